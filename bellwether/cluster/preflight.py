"""Checks, before a cluster command changes anything: tools, memory, disk, kernel limits, ports.

Every rule is a pure function of facts; the facts are gathered apart, all of them, so that one run
names everything that is wrong, each with the command that mends it.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bellwether.cluster.kubectl import Kubectl, ask, holds
from bellwether.demo.supervisor import is_free
from bellwether.doctor import CheckResult
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
    remedy: str


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
    """The first version number in a program's output."""
    match = re.search(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def judge_tool(tool: Tool, output: str | None) -> CheckResult:
    """Whether a tool is there and new enough; `output` is None when it is not installed."""
    least = ".".join(str(part) for part in tool.minimum)
    if output is None:
        return CheckResult(tool.name, ok=False, detail=f"not installed. {tool.remedy}")
    version = version_in(output)
    if version is None:
        tail = output.strip().splitlines()[-1] if output.strip() else "nothing"
        detail = f"gives no version, but: {tail}. {tool.remedy}"
        return CheckResult(tool.name, ok=False, detail=detail)
    text = ".".join(str(part) for part in version)
    if version < tool.minimum:
        return CheckResult(
            tool.name, ok=False, detail=f"{text} is older than {least}. {tool.remedy}"
        )
    return CheckResult(tool.name, ok=True, detail=text)


def judge_memory(total: int, profile: str) -> CheckResult:
    """Whether the machine that runs the containers has the memory a profile needs."""
    needed, has = MEMORY[profile], f"{total / GIB:.1f} GiB"
    if total >= needed:
        return CheckResult("memory", ok=True, detail=has)
    if total >= MEMORY["small"]:
        remedy = "Take the small profile: make kind-up PROFILE=small"
    else:
        remedy = "Give Docker more memory (Docker Desktop: Settings, Resources)"
    detail = f"{has}, and the profile {profile} needs {needed / GIB:.0f} GiB. {remedy}"
    return CheckResult("memory", ok=False, detail=detail)


def judge_disk(free: int, folder: str) -> CheckResult:
    """Whether there is room for images and volumes."""
    has = f"{free / GIB:.0f} GiB free in {folder}"
    if free >= DISK:
        return CheckResult("disk", ok=True, detail=has)
    return CheckResult(
        "disk", ok=False, detail=f"{has}, {DISK / GIB:.0f} needed. Free some: docker system prune"
    )


def judge_inotify(limits: dict[str, int]) -> list[CheckResult]:
    """Whether the kernel lets every pod watch its files; too little shows as "too many open files"."""
    results = []
    for name, least in INOTIFY_LIMITS.items():
        if name not in limits:
            continue
        has = limits[name]
        remedy = f"{has:,} is less than {least:,}. sudo sysctl -w fs.inotify.{name}={least}"
        results.append(
            CheckResult(
                f"inotify {name}", ok=has >= least, detail=f"{has:,}" if has >= least else remedy
            )
        )
    return results


def judge_port(port: int, *, free: bool, own: bool) -> CheckResult:
    """Whether the port of the gateway can be had; the kind cluster itself may hold it."""
    what = f"port {port}"
    if own:
        return CheckResult(what, ok=True, detail="held by our cluster")
    if free:
        return CheckResult(what, ok=True, detail="free")
    remedy = f"taken. See by whom: ss -ltnp 'sport = :{port}', and stop it"
    return CheckResult(what, ok=False, detail=remedy)


def judge_time_zones(values: Mapping[str, Any], settings: Mapping[str, str]) -> list[CheckResult]:
    """Whether the schedules' time zones exist: the API server refuses others half-way through.

    Args:
        values: of charts/bellwether.
        settings: values that were given one by one, by their dotted names.
    """
    results = []
    for part in ("training", "refresh", "drift", "kubeflowPipelines"):
        name = f"{part}.timeZone"
        zone = str(settings.get(name) or values.get(part, {}).get("timeZone") or "Etc/UTC")
        try:
            known = zone not in {"", "Local"} and bool(ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            known = False
        remedy = f"{zone!r} is no time zone. Give one of the IANA database, e.g. Europe/Berlin"
        results.append(CheckResult(name, ok=known, detail=zone if known else remedy))
    return results


def judge_cluster(
    version: str, nodes: dict[str, Any], classes: dict[str, Any], *, volumes: bool
) -> list[CheckResult]:
    """Whether a cluster is new enough, has ready nodes, and a place for volumes if one is needed."""
    number = version_in(version)
    least = ".".join(str(part) for part in KUBERNETES[:2])
    fresh = bool(number and number >= KUBERNETES)
    results = [
        CheckResult(
            "Kubernetes",
            ok=fresh,
            detail=version if fresh else f"{version} is older than {least}. Upgrade the cluster",
        )
    ]
    ready = [node["metadata"]["name"] for node in nodes.get("items", ()) if holds(node, "Ready")]
    results.append(
        CheckResult(
            "nodes",
            ok=bool(ready),
            detail=f"{len(ready)} ready" if ready else "none is ready. kubectl describe nodes",
        )
    )
    if volumes:
        mark = "storageclass.kubernetes.io/is-default-class"
        default = [
            entry["metadata"]["name"]
            for entry in classes.get("items", ())
            if entry["metadata"].get("annotations", {}).get(mark) == "true"
        ]
        remedy = (
            "none is the default. Choose one: kubectl annotate storageclass NAME "
            f"{mark}=true, or bring your own with --skip"
        )
        results.append(
            CheckResult("storage class", ok=bool(default), detail=default[0] if default else remedy)
        )
    return results


def check_tools(tools: Sequence[Tool]) -> list[CheckResult]:
    """Ask every tool for its version, and check it."""
    results = []
    for tool in tools:
        if shutil.which(tool.name) is None:
            results.append(judge_tool(tool, None))
            continue
        result = ask(tool.command)
        results.append(judge_tool(tool, result.out if result.code == 0 else result.err))
    return results


def check_machine(profile: str, port: int, *, own: bool) -> list[CheckResult]:
    """Everything kind needs of this machine."""
    results = check_tools(KIND_TOOLS)
    if results[0].ok:
        docker = json.loads(ask(["docker", "info", "--format", "{{json .}}"]).out or "{}")
        results.append(judge_memory(int(docker.get("MemTotal", 0)), profile))
        # Docker Desktop keeps its images in a machine of its own, whose disk cannot be seen from here.
        root = Path(docker.get("DockerRootDir", ""))
        folder = root if root.is_dir() else Path.cwd()
        results.append(judge_disk(shutil.disk_usage(folder).free, str(folder)))
    limits = {
        path.name: int(path.read_text())
        for path in (INOTIFY / name for name in INOTIFY_LIMITS)
        if path.exists()
    }
    return [
        *results,
        *judge_inotify(limits),
        judge_port(port, free=is_free(port), own=own),
    ]


def check_cluster(kubectl: Kubectl, *, volumes: bool) -> list[CheckResult]:
    """Everything the platform needs of a cluster.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    results = check_tools(CLUSTER_TOOLS)
    if not all(result.ok for result in results):
        return results
    nodes = kubectl.objects("nodes")
    version = kubectl.server_version() or "unknown"
    results += judge_cluster(version, nodes, kubectl.objects("storageclasses"), volumes=volumes)
    allowed = ask(kubectl.command("auth", "can-i", "*", "*", "--all-namespaces")).out.strip()
    remedy = "not a cluster administrator. Use a kubeconfig of one: installing CRDs needs it"
    results.append(
        CheckResult(
            "rights", ok=allowed == "yes", detail="administrator" if allowed == "yes" else remedy
        )
    )
    return results


def refuse(results: Sequence[CheckResult]) -> None:
    """Stop when anything is wrong, and say all of it.

    Raises:
        BellwetherError: at least one result is not ok.
    """
    wrong = [f"{result.what}: {result.detail}" for result in results if not result.ok]
    if wrong:
        raise BellwetherError(
            "everything must be in place before the first change",
            "\n       ".join(["", *wrong]),
            "Mend these, then run the same command again",
        )
