"""Looks before a cluster command leaps: tools, memory, disk, kernel limits, ports, the cluster.

Every rule is a pure function of facts; the facts are gathered apart, all of them, so that one run
names everything that is wrong, each with the command that cures it.
"""

import json
import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bellwether.cluster.kubectl import Cluster, ask
from bellwether.doctor import Finding
from forecasting.errors import BellwetherError

GIB: Final = 2**30
INOTIFY: Final = Path("/proc/sys/fs/inotify")
INOTIFY_LIMITS: Final = {"max_user_instances": 512, "max_user_watches": 524_288}
# Of the machine, in bytes. What the pods ask for is in charts/platform/README.md; the rest is
# Kubernetes itself, the images' page cache, and the training's peak.
MEMORY: Final = {"default": 12 * GIB, "small": 7 * GIB}
DISK: Final = 20 * GIB
KUBERNETES: Final = (1, 32, 0)


@dataclass(frozen=True)
class Tool:
    """A program we call: the least version that is known to work, how to ask, where to get it."""

    name: str
    minimum: tuple[int, int, int]
    command: tuple[str, ...]
    cure: str


KUBECTL: Final = Tool(
    "kubectl",
    (1, 33, 0),
    ("kubectl", "version", "--client"),
    "Install it: https://kubernetes.io/docs/tasks/tools",
)
HELM: Final = Tool(
    "helm",
    (3, 16, 0),
    ("helm", "version", "--short"),
    "Install it: https://helm.sh/docs/intro/install",
)
KIND: Final = Tool(
    "kind",
    (0, 32, 0),
    ("kind", "version"),
    "Install it: go install sigs.k8s.io/kind@v0.33.0 (or https://kind.sigs.k8s.io)",
)
DOCKER: Final = Tool(
    "docker",
    (20, 10, 0),
    ("docker", "version", "--format", "{{.Server.Version}}"),
    "Install Docker Engine and start it: sudo systemctl start docker",
)
CLUSTER_TOOLS: Final = (KUBECTL, HELM)
KIND_TOOLS: Final = (DOCKER, KIND, KUBECTL, HELM)


def version_in(text: str) -> tuple[int, int, int] | None:
    """The first version number in what a program said about itself."""
    found = re.search(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def judge_tool(tool: Tool, said: str | None) -> Finding:
    """Whether a tool is there and new enough; `said` is None when it is not installed."""
    least = ".".join(str(part) for part in tool.minimum)
    if said is None:
        return Finding(tool.name, ok=False, said=f"not installed. {tool.cure}")
    version = version_in(said)
    if version is None:
        words = said.strip().splitlines()[-1] if said.strip() else "nothing"
        return Finding(tool.name, ok=False, said=f"gives no version, but: {words}. {tool.cure}")
    text = ".".join(str(part) for part in version)
    if version < tool.minimum:
        return Finding(tool.name, ok=False, said=f"{text} is older than {least}. {tool.cure}")
    return Finding(tool.name, ok=True, said=text)


def judge_memory(total: int, profile: str) -> Finding:
    """Whether the machine that runs the containers has the memory a profile needs."""
    needed, has = MEMORY[profile], f"{total / GIB:.1f} GiB"
    if total >= needed:
        return Finding("memory", ok=True, said=has)
    if total >= MEMORY["small"]:
        cure = "Take the small profile: make kind-up PROFILE=small"
    else:
        cure = "Give Docker more memory (Docker Desktop: Settings, Resources)"
    found = f"{has}, and the profile {profile} needs {needed / GIB:.0f} GiB. {cure}"
    return Finding("memory", ok=False, said=found)


def judge_disk(free: int, folder: str) -> Finding:
    """Whether there is room for images and volumes."""
    has = f"{free / GIB:.0f} GiB free in {folder}"
    if free >= DISK:
        return Finding("disk", ok=True, said=has)
    return Finding(
        "disk", ok=False, said=f"{has}, {DISK / GIB:.0f} needed. Free some: docker system prune"
    )


def judge_inotify(limits: dict[str, int]) -> list[Finding]:
    """Whether the kernel lets every pod watch its files; too little shows as "too many open files"."""
    findings = []
    for name, least in INOTIFY_LIMITS.items():
        if name not in limits:
            continue
        has = limits[name]
        cure = f"{has:,} is less than {least:,}. sudo sysctl -w fs.inotify.{name}={least}"
        findings.append(
            Finding(f"inotify {name}", ok=has >= least, said=f"{has:,}" if has >= least else cure)
        )
    return findings


def judge_port(port: int, *, free: bool, ours: bool) -> Finding:
    """Whether the port of the gateway can be had; our own cluster may hold it."""
    what = f"port {port}"
    if ours:
        return Finding(what, ok=True, said="held by our cluster")
    if free:
        return Finding(what, ok=True, said="free")
    cure = f"taken. See by whom: ss -ltnp 'sport = :{port}', and stop it"
    return Finding(what, ok=False, said=cure)


def judge_cluster(
    version: str, nodes: dict[str, Any], classes: dict[str, Any], *, volumes: bool
) -> list[Finding]:
    """Whether a cluster is new enough, has ready nodes, and a place for volumes if one is needed."""
    found = version_in(version)
    least = ".".join(str(part) for part in KUBERNETES[:2])
    fresh = bool(found and found >= KUBERNETES)
    findings = [
        Finding(
            "Kubernetes",
            ok=fresh,
            said=version if fresh else f"{version} is older than {least}. Upgrade the cluster",
        )
    ]
    ready = [
        node["metadata"]["name"]
        for node in nodes.get("items", ())
        if any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for entry in node["status"]["conditions"]
        )
    ]
    findings.append(
        Finding(
            "nodes",
            ok=bool(ready),
            said=f"{len(ready)} ready" if ready else "none is ready. kubectl describe nodes",
        )
    )
    if volumes:
        mark = "storageclass.kubernetes.io/is-default-class"
        default = [
            entry["metadata"]["name"]
            for entry in classes.get("items", ())
            if entry["metadata"].get("annotations", {}).get(mark) == "true"
        ]
        cure = (
            "none is the default. Choose one: kubectl annotate storageclass NAME "
            f"{mark}=true, or bring your own with --skip"
        )
        findings.append(
            Finding("storage class", ok=bool(default), said=default[0] if default else cure)
        )
    return findings


def look_at_tools(tools: Sequence[Tool]) -> list[Finding]:
    """Ask every tool for its version."""
    findings = []
    for tool in tools:
        if shutil.which(tool.name) is None:
            findings.append(judge_tool(tool, None))
            continue
        answer = ask(tool.command)
        findings.append(judge_tool(tool, answer.out if answer.code == 0 else answer.err))
    return findings


def look_at_machine(profile: str, port: int, *, ours: bool) -> list[Finding]:
    """Everything kind needs of this machine."""
    findings = look_at_tools(KIND_TOOLS)
    if findings[0].ok:
        told = json.loads(ask(["docker", "info", "--format", "{{json .}}"]).out or "{}")
        findings.append(judge_memory(int(told.get("MemTotal", 0)), profile))
        # Docker Desktop keeps its images in a machine of its own, whose disk is not ours to see.
        root = Path(told.get("DockerRootDir", ""))
        folder = root if root.is_dir() else Path.cwd()
        findings.append(judge_disk(shutil.disk_usage(folder).free, str(folder)))
    limits = {
        path.name: int(path.read_text())
        for path in (INOTIFY / name for name in INOTIFY_LIMITS)
        if path.exists()
    }
    return [
        *findings,
        *judge_inotify(limits),
        judge_port(port, free=_is_free(port), ours=ours),
    ]


def look_at_cluster(cluster: Cluster, *, volumes: bool) -> list[Finding]:
    """Everything the platform needs of a cluster.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    findings = look_at_tools(CLUSTER_TOOLS)
    if not all(finding.ok for finding in findings):
        return findings
    nodes = cluster.objects("nodes")
    answer = ask(cluster.kubectl("version", "--output", "json"))
    version = json.loads(answer.out or "{}").get("serverVersion", {}).get("gitVersion", "unknown")
    findings += judge_cluster(version, nodes, cluster.objects("storageclasses"), volumes=volumes)
    allowed = ask(cluster.kubectl("auth", "can-i", "*", "*", "--all-namespaces")).out.strip()
    cure = "not a cluster administrator. Use a kubeconfig of one: installing CRDs needs it"
    findings.append(
        Finding("rights", ok=allowed == "yes", said="administrator" if allowed == "yes" else cure)
    )
    return findings


def refuse(findings: Sequence[Finding]) -> None:
    """Stop when anything is wrong, and say all of it.

    Raises:
        BellwetherError: at least one finding is not ok.
    """
    wrong = [f"{finding.what}: {finding.said}" for finding in findings if not finding.ok]
    if wrong:
        raise BellwetherError(
            "everything must be in place before the first change",
            "\n       ".join(["", *wrong]),
            "Mend these, then run the same command again",
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
