"""Installs Helm releases one after the other: leaves alone what is there, continues what broke."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bellwether.cluster.kubectl import Cluster, ask, follow, run
from bellwether.cluster.platform_list import Release, merged
from bellwether.steps import Step
from forecasting.errors import InvalidSettings

TIMEOUT: Final = "10m"

Decision = Literal["install", "upgrade", "mend", "unchanged", "elsewhere", "skipped"]


@dataclass(frozen=True)
class Installed:
    """A release that Helm knows: its state, chart and the values it was given."""

    status: str
    chart: str
    values: Mapping[str, Any]
    revision: int = 1


def decide(
    release: Release,
    installed: Installed | None,
    wanted: Mapping[str, Any],
    skip: Collection[str],
    *,
    elsewhere: bool,
) -> Decision:
    """What to do with a release, from what is there.

    A release of ours is ours to keep, even where --skip is not given again; what somebody else
    installed is left alone.
    """
    if release.name in skip or "all" in skip:
        return "skipped"
    if installed is None:
        return "elsewhere" if elsewhere else "install"
    if is_stuck(installed):
        return "mend"
    same_chart = installed.chart.endswith(f"-{release.version}")
    if installed.status == "deployed" and same_chart and installed.values == wanted:
        return "unchanged"
    return "upgrade"


def is_stuck(installed: Installed) -> bool:
    """Whether a helm that was killed left the release in the middle of something."""
    return installed.status.startswith("pending") or installed.status == "uninstalling"


def check_skips(skip: Sequence[str], releases: Sequence[Release]) -> None:
    """Refuse a --skip that names nothing.

    Raises:
        InvalidSettings: one of the names is unknown.
    """
    names = [release.name for release in releases]
    if unknown := [name for name in skip if name not in {*names, "all"}]:
        raise InvalidSettings(
            "--skip names a release of charts/platform",
            ", ".join(unknown),
            f"There are {', '.join(names)}; --skip all leaves out every one",
        )


def install(
    cluster: Cluster,
    release: Release,
    step: Step,
    skip: Collection[str] = (),
    settings: Sequence[str] = (),
) -> Decision:
    """Bring one release to its version and values; return what was done.

    Raises:
        Unavailable: Helm failed, or something did not become ready in time.
    """
    if release.name in skip or "all" in skip:
        step.outcome = "left out by --skip"
        return "skipped"
    there = installed_release(cluster, release.name, release.namespace)
    elsewhere = there is None and is_found(cluster, release.found)
    # Single values (--set) are not compared: with them every run upgrades.
    wanted = merged(release.values) if not settings else {"": settings}
    decision = decide(release, there, wanted, skip, elsewhere=elsewhere)
    if decision == "elsewhere":
        step.outcome = f"already there ({release.found})"
        return decision
    if decision == "unchanged":
        step.outcome = f"{release.version} unchanged"
        return decision
    if there:
        mend(cluster, release.name, release.namespace, there)
    source = ["--repo", release.repository] if release.repository else []
    local = Path(release.chart).is_dir()
    follow(
        cluster.helm(
            *("upgrade", "--install", release.name, release.chart, *source),
            *(() if local else ("--version", release.version)),
            *("--namespace", release.namespace, "--create-namespace"),
            *("--wait", "--timeout", TIMEOUT),
            *(part for path in release.values for part in ("--values", str(path))),
            *(part for setting in settings for part in ("--set", setting)),
        ),
        lambda _: step.doing(waiting_for(cluster, release.namespace)),
    )
    if release.ready:
        condition, _, thing = release.ready.partition("=")
        follow(
            cluster.kubectl(
                *("wait", thing, "--namespace", release.namespace),
                *(f"--for=condition={condition}", f"--timeout={TIMEOUT}"),
            ),
            lambda _: step.doing(waiting_for(cluster, release.namespace)),
        )
    step.outcome = f"{release.version} {'upgraded' if decision == 'upgrade' else 'installed'}"
    return decision


def uninstall(cluster: Cluster, name: str, namespace: str, step: Step) -> None:
    """Remove a release if it is there.

    Raises:
        Unavailable: Helm failed.
    """
    if installed_release(cluster, name, namespace) is None:
        step.outcome = "not there"
        return
    follow(
        cluster.helm(
            *("uninstall", name, "--namespace", namespace, "--wait", "--timeout", TIMEOUT)
        ),
        lambda _: step.doing("objects of it are going"),
    )
    step.outcome = "removed"


def installed_release(cluster: Cluster, name: str, namespace: str) -> Installed | None:
    """The release as Helm knows it, whatever its state.

    Raises:
        Unavailable: Helm failed.
    """
    place = ("--namespace", namespace)
    listing = run(
        cluster.helm("list", *place, "--all", "--filter", f"^{name}$", "--output", "json")
    )
    entries = json.loads(listing or "[]")
    if not entries:
        return None
    entry = entries[0]
    values = ask(cluster.helm("get", "values", name, *place, "--output", "json"))
    given = json.loads(values.out) if values.code == 0 else {}
    return Installed(entry["status"], entry["chart"], given or {}, int(entry["revision"]))


def is_found(cluster: Cluster, found: str) -> bool:
    """Whether what a label `found` names is in the cluster.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    kind, _, name = found.partition("/")
    if kind == "service":
        namespace, _, service = name.partition(".")
        return cluster.there("service", service, "--namespace", namespace)
    return bool(kind) and cluster.there(kind, name)


def waiting_for(cluster: Cluster, namespace: str) -> str:
    """Which pods of a namespace are not ready yet, in a few words."""
    answer = ask(cluster.kubectl("get", "pods", "--namespace", namespace, "--output", "json"))
    if answer.code:
        return "working"
    return unready(json.loads(answer.out))


def unready(pods: Mapping[str, Any]) -> str:
    """Names and reasons of pods that are neither ready nor done."""
    said = []
    for pod in pods.get("items", ()):
        status = pod.get("status", {})
        conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", ())}
        if status.get("phase") == "Succeeded" or conditions.get("Ready") == "True":
            continue
        containers = [
            *status.get("initContainerStatuses", ()),
            *status.get("containerStatuses", ()),
        ]
        reasons = [
            entry["state"]["waiting"].get("reason", "waiting")
            for entry in containers
            if "waiting" in entry.get("state", {})
        ]
        nowhere = [
            entry.get("message", "")
            for entry in status.get("conditions", ())
            if entry["type"] == "PodScheduled" and entry["status"] != "True"
        ]
        said.append(
            f"{pod['metadata']['name']} {(nowhere or reasons or [status.get('phase', '')])[0]}"
        )
    return f"waiting for {', '.join(said[:3])}" if said else "working"


def mend(cluster: Cluster, name: str, namespace: str, there: Installed) -> None:
    """Bring a release that an interrupted helm left behind to where an upgrade can start.

    A pending one is freed, because Helm would refuse every upgrade of it. A failed one is applied
    once more: Helm compares custom resources with what it recorded, not with what is there, and
    would leave alone what it never got to write.

    Raises:
        Unavailable: Helm or kubectl failed.
    """
    place = ("--namespace", namespace)
    if there.status == "deployed":
        return
    if is_stuck(there) and there.revision == 1:
        run(cluster.helm("uninstall", name, *place, "--wait"), timeout=600)
        return
    if is_stuck(there):
        run(cluster.helm("rollback", name, *place))
    manifest = run(cluster.helm("get", "manifest", name, *place))
    if manifest.strip():
        apply = ("apply", "--server-side", "--force-conflicts", "--field-manager", "helm")
        run(cluster.kubectl(*apply, *place, "--filename", "-"), manifest)
