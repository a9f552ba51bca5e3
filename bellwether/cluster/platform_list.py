"""Reads the list of third parties, charts/platform/helmfile.yaml: the part our installer needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forecasting.errors import InvalidSettings

CHARTS: Final = Path(__file__).parents[2] / "charts"
EXACT: Final = re.compile(r"v?\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Release:
    """One Helm release: what to install, where, with which values.

    Args:
        chart: what `helm` takes: a folder, oci://..., or a chart's name beside its repository.
        repository: address of a chart repository; "" where the chart says it all.
        found: what makes it needless when somebody else installed it, e.g. crd/<name>.
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
    listed: dict[str, Any] = {}
    for document in yaml.safe_load_all(path.read_text()):
        listed |= document
    profiles = list(listed["environments"])
    if profile not in profiles:
        raise InvalidSettings(
            "a profile must be known", repr(profile), f"There are {', '.join(profiles)}"
        )
    repositories = {entry["name"]: entry for entry in listed["repositories"]}
    releases: list[Release] = []
    for entry in listed["releases"]:
        if not entry.get("installed", True):
            continue
        release = _release(entry, repositories, profile, folder)
        earlier = {f"{known.namespace}/{known.name}" for known in releases}
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

    whole: dict[str, Any] = {}
    for path in values:
        whole = _joined(whole, yaml.safe_load(path.read_text()) or {})
    return whole


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


def _joined(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(under)
    for key, value in over.items():
        below = whole.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        whole[key] = _joined(below, value) if both and isinstance(below, Mapping) else value
    return whole
