"""Installs the Helm releases of charts/platform/helmfile.yaml, one after the other, and removes them.

What is there is left alone, what an interrupted run left is repaired. Only the part of helmfile's
format that the list uses is read; docs/decisions/0022-helmfile-stays-a-format.md says why helmfile
itself is not used.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl, ask, condition, follow, holds, run
from bellwether.console import Step
from forecasting.errors import InvalidSettings

CHARTS: Final = Path(__file__).parents[2] / "charts"
EXACT: Final = re.compile(r"v?\d+\.\d+\.\d+")
TIMEOUT: Final = "10m"

Decision = Literal["install", "upgrade", "mend", "unchanged", "elsewhere", "skipped"]


@dataclass(frozen=True)
class Release:
    """One Helm release: what to install, where, with which values.

    Args:
        chart: what `helm` takes: a folder, oci://..., or a chart's name beside its repository.
        repository: address of a chart repository; "" where the chart says it all.
        found: an object whose presence says that somebody else installed it, e.g. crd/<name>.
        ready: <condition>=<kind>/<name> to wait for beyond Helm's own waiting.
    """

    name: str
    namespace: str
    chart: str
    repository: str
    version: str
    needs: tuple[str, ...]
    values: tuple[Path, ...]
    found: str
    ready: str


def platform_releases(profile: str = "default", folder: Path | None = None) -> tuple[Release, ...]:
    """The releases in the order they are installed, with the values of a profile.

    Raises:
        InvalidSettings: the list is missing, or names something it does not have.
    """
    import yaml

    folder = folder or CHARTS / "platform"
    path = folder / "helmfile.yaml"
    if not path.is_file():
        raise InvalidSettings(
            "the cluster commands run from a checkout of the repository",
            f"there is no {path}",
            "Clone the repository and use make up or make kind-up in it",
        )
    content: dict[str, Any] = {}
    for document in yaml.safe_load_all(path.read_text()):
        content |= document
    profiles = list(content["environments"])
    if profile not in profiles:
        raise InvalidSettings(
            "a profile must be known", repr(profile), f"There are {', '.join(profiles)}"
        )
    repositories = {entry["name"]: entry for entry in content["repositories"]}
    releases: list[Release] = []
    for entry in content["releases"]:
        if not entry.get("installed", True):
            continue
        release = _release(entry, repositories, profile, folder)
        earlier = {f"{before.namespace}/{before.name}" for before in releases}
        if unknown := set(release.needs) - earlier:
            raise InvalidSettings(
                "a release must come after what it needs",
                f"{release.name} needs {', '.join(sorted(unknown))}",
                f"Move it in {path}",
            )
        releases.append(release)
    return tuple(releases)


def merged(values: Sequence[Path]) -> dict[str, Any]:
    """Values files as Helm merges them: later ones win, mappings are joined."""
    import yaml

    total: dict[str, Any] = {}
    for path in values:
        total = _merge(total, yaml.safe_load(path.read_text()) or {})
    return total


def single_values(settings: Sequence[str]) -> dict[str, str]:
    """Values given one by one, `NAME=VALUE` as `helm --set` takes them; the last one wins."""
    return dict(setting.split("=", 1) for setting in settings if "=" in setting)


def _release(
    entry: Mapping[str, Any], repositories: Mapping[str, Any], profile: str, folder: Path
) -> Release:
    chart, version = str(entry["chart"]), str(entry["version"])
    if not EXACT.fullmatch(version):
        raise InvalidSettings(
            "every release is pinned to one version", f"{entry['name']}: {version}", "Pin it"
        )
    address = ""
    if chart.startswith(("./", "../")):
        chart = str((folder / chart).resolve())
    else:
        name, _, rest = chart.partition("/")
        repository = repositories[name]
        if repository.get("oci"):
            chart = f"oci://{repository['url']}/{rest}"
        else:
            chart, address = rest, repository["url"]
    layers = [
        folder / str(value).replace("{{ .Environment.Name }}", profile) for value in entry["values"]
    ]
    labels = entry.get("labels", {})
    return Release(
        name=entry["name"],
        namespace=entry["namespace"],
        chart=chart,
        repository=address,
        version=version,
        needs=tuple(entry.get("needs", ())),
        values=tuple(path for path in layers if path.is_file()),
        found=labels.get("found", ""),
        ready=labels.get("ready", ""),
    )


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for key, value in upper.items():
        below = lower.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = _merge(below, value)
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Installed:
    """A release as Helm knows it: its state, its chart with version, and the values it was given."""

    status: str
    chart: str
    values: Mapping[str, Any]
    revision: int = 1

    @property
    def stuck(self) -> bool:
        """Whether a helm that was killed left the release in the middle of something."""
        return self.status.startswith("pending") or self.status == "uninstalling"


def decide(
    release: Release,
    installed: Installed | None,
    values: Mapping[str, Any],
    skip: Collection[str],
    *,
    elsewhere: bool,
) -> Decision:
    """What to do with a release, from what is there.

    What Helm knows under the release's name was installed by an earlier run and is kept up to
    date; the same thing installed in another way is left alone.

    Args:
        release: to be installed.
        installed: the release as Helm knows it.
        values: it is to have.
        skip: names to leave out; "all" for every one.
        elsewhere: whether the same thing is there, but not as this release.
    """
    if release.name in skip or "all" in skip:
        return "skipped"
    if installed is None:
        return "elsewhere" if elsewhere else "install"
    if installed.stuck:
        return "mend"
    same_chart = installed.chart.endswith(f"-{release.version}")
    if installed.status == "deployed" and same_chart and installed.values == values:
        return "unchanged"
    return "upgrade"


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
    kubectl: Kubectl,
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
    place = Installation(kubectl, release.namespace, release.name)
    installed = installed_release(place)
    elsewhere = installed is None and is_found(kubectl, release.found)
    # Single values (--set) are not compared: with them every run upgrades.
    values = merged(release.values) if not settings else {"": settings}
    decision = decide(release, installed, values, skip, elsewhere=elsewhere)
    if decision == "elsewhere":
        step.outcome = f"already there ({release.found})"
        return decision
    if decision == "unchanged":
        step.outcome = f"{release.version} unchanged"
        return decision
    source = ["--repo", release.repository] if release.repository else []
    if not Path(release.chart).is_dir():
        source += ["--version", release.version]
    upgrade(place, installed, (release.chart, *source), step, release.values, settings)
    if release.ready:
        kind, _, name = release.ready.partition("=")
        follow(
            place.command("wait", name, f"--for=condition={kind}", f"--timeout={TIMEOUT}"),
            lambda _: step.doing(waiting_for(place)),
        )
    step.outcome = f"{release.version} {'upgraded' if decision == 'upgrade' else 'installed'}"
    return decision


def upgrade(
    place: Installation,
    installed: Installed | None,
    chart: Sequence[str],
    step: Step,
    values: Sequence[Path],
    settings: Sequence[str],
) -> None:
    """Install or upgrade a release and wait until it is ready; what broke off before is mended.

    Args:
        place: of the release.
        installed: the release as Helm knows it; None when it does not.
        chart: with options that say where it comes from.
        step: shows what is waited for.
        values: files, the last one wins.
        settings: single values, as `helm --set` takes them.

    Raises:
        Unavailable: Helm failed, or something did not become ready in time.
    """
    if installed and installed.status != "deployed":
        step.doing("mending what an interrupted run left")
        _mend(place, installed)
    follow(
        place.helm(
            *("upgrade", "--install", place.release, *chart),
            *("--create-namespace", "--wait", "--timeout", TIMEOUT),
            *given(values, settings),
        ),
        lambda _: step.doing(waiting_for(place)),
    )


def given(values: Sequence[Path], settings: Sequence[str]) -> list[str]:
    """Values files and single values as options of helm; the last one wins."""
    files = [part for path in values for part in ("--values", str(path))]
    return [*files, *(part for setting in settings for part in ("--set", setting))]


def uninstall(place: Installation, step: Step) -> None:
    """Remove a release if it is there.

    Raises:
        Unavailable: Helm failed.
    """
    if installed_release(place) is None:
        step.outcome = "not there"
        return
    follow(
        place.helm("uninstall", place.release, "--wait", "--timeout", TIMEOUT),
        lambda _: step.doing("its objects are being deleted"),
    )
    step.outcome = "removed"


def installed_release(place: Installation) -> Installed | None:
    """The release as Helm knows it, whatever its state.

    Raises:
        Unavailable: Helm failed.
    """
    name = place.release
    listing = run(place.helm("list", "--all", "--filter", f"^{name}$", "--output", "json"))
    entries = json.loads(listing or "[]")
    if not entries:
        return None
    entry = entries[0]
    values = ask(place.helm("get", "values", name, "--output", "json"))
    given = json.loads(values.out) if values.code == 0 else {}
    return Installed(entry["status"], entry["chart"], given or {}, int(entry["revision"]))


def is_found(kubectl: Kubectl, found: str) -> bool:
    """Whether the object that a label `found` names is in the cluster.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    kind, _, name = found.partition("/")
    if kind == "service":
        namespace, _, service = name.partition(".")
        return kubectl.exists("service", service, "--namespace", namespace)
    return bool(kind) and kubectl.exists(kind, name)


def waiting_for(place: Installation) -> str:
    """Which pods of a namespace are not ready yet, in a few words."""
    pods = ask(place.command("get", "pods", "--output", "json"))
    return "working" if pods.code else unready(json.loads(pods.out))


def unready(pods: Mapping[str, Any]) -> str:
    """Names and reasons of pods that are neither ready nor done."""
    waiting = []
    for pod in pods.get("items", ()):
        status = pod.get("status", {})
        if status.get("phase") == "Succeeded" or holds(pod, "Ready"):
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
        scheduled = condition(pod, "PodScheduled")
        if scheduled and scheduled["status"] != "True":
            reasons.insert(0, scheduled.get("message", ""))
        waiting.append(f"{pod['metadata']['name']} {(reasons or [status.get('phase', '')])[0]}")
    return f"waiting for {', '.join(waiting[:3])}" if waiting else "working"


def _mend(place: Installation, installed: Installed) -> None:
    """Bring a release that an interrupted helm left behind to where an upgrade can start.

    A pending one is freed, because Helm would refuse every upgrade of it. A failed one is applied
    once more: Helm compares custom resources with what it recorded, not with what is there, and
    would leave alone what it never got to write.

    Raises:
        Unavailable: Helm or kubectl failed.
    """
    name = place.release
    if installed.stuck and installed.revision == 1:
        run(place.helm("uninstall", name, "--wait"), timeout=600)
        return
    if installed.stuck:
        run(place.helm("rollback", name))
    manifest = run(place.helm("get", "manifest", name))
    if manifest.strip():
        apply = ("apply", "--server-side", "--force-conflicts", "--field-manager", "helm")
        run(place.command(*apply, "--filename", "-"), manifest)
