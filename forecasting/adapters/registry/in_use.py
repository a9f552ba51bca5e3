"""Which versions are in use, and the data set and features that each of them reads.

In use are: champion and challenger; the ledger's champion and the one before it, to which a rollback
goes; versions that run on a cluster, by the tag that a rollout writes before it makes their
InferenceService and takes back after it is gone; a version that the settings pin; every version
where a server loads them on demand; and whatever else the caller has seen answer.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forecasting.adapters.registry.ledger import Ledger, Promotion
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION, RUNS, ModelVersion
from forecasting.errors import BellwetherError
from forecasting.features.spec import FeatureSpec
from forecasting.settings import Settings

_ROLLED_OUT: Final = frozenset({"serving", "rolled back"})
"""What a rollout wrote of versions that run, before it wrote `RUNS`."""


@dataclass(frozen=True)
class VersionInUse:
    """A version that answers, or may have to.

    Attributes:
        version: its number.
        role: why it is in use: champion, challenger, ...
        dataset: data set it reads.
        spec: features it needs.
    """

    version: str
    role: str
    dataset: str
    spec: FeatureSpec


@dataclass(frozen=True)
class InUse:
    """What is known of the versions in use.

    Attributes:
        versions: those that are known, the champion first.
        unseen: what could not be seen, in sentences; empty when nothing is missing.
    """

    versions: tuple[VersionInUse, ...] = ()
    unseen: tuple[str, ...] = ()

    def of(self, dataset: str) -> tuple[VersionInUse, ...]:
        """Those that read a data set."""
        return tuple(version for version in self.versions if version.dataset == dataset)

    def champion(self, dataset: str) -> VersionInUse | None:
        """The champion, if it reads a data set."""
        found = [version for version in self.of(dataset) if version.role == CHAMPION]
        return found[0] if found else None

    def symbols(self, dataset: str) -> tuple[str, ...]:
        """All symbols that versions of a data set know, each once."""
        known = (symbol for version in self.of(dataset) for symbol in version.spec.symbols)
        return tuple(dict.fromkeys(known))


def versions_in_use(settings: Settings, answered: Iterable[str] = ()) -> InUse:
    """Which versions are in use, as registry, ledger and settings say.

    Args:
        settings: where they are.
        answered: numbers of versions that were seen to answer, and are in use for that.

    Returns:
        Them, and what could not be seen: nothing is raised, and nothing is guessed.
    """
    unseen: list[str] = []
    pinned = _pinned_folder(settings, unseen)
    try:
        with RegistryReader(settings.registry_url, settings.registered_model) as registry:
            records = {record.version: record for record in registry.versions()}
            number = "" if settings.bundle_url else settings.model_version
            # Where any version may be asked for by number, any may have to answer.
            asked = [*answered, *(records if settings.versions_on_demand else ())]
            roles = roles_of(records, _head(settings, unseen), number, asked)
            known = [
                found
                for number, role in roles.items()
                if (found := _known(registry, number, role, records.get(number), unseen))
            ]
    except BellwetherError as error:
        return InUse(pinned, (*unseen, f"registry: {error.found or error.rule}"))
    known.sort(key=lambda version: version.role != CHAMPION)
    return InUse((*known, *pinned), tuple(unseen))


def roles_of(
    records: Mapping[str, ModelVersion],
    head: Promotion | None,
    pinned: str,
    answered: Iterable[str] = (),
) -> dict[str, str]:
    """Why each version is in use, by number; a version that is not in use is left out.

    Args:
        records: every version of the registry, by number.
        head: the ledger's newest promotion.
        pinned: the version that the settings pin; "" for none.
        answered: numbers of versions that were seen to answer.
    """
    roles: dict[str, str] = {}
    for record in records.values():
        if record.aliases:
            roles[record.version] = CHAMPION if CHAMPION in record.aliases else record.aliases[0]
    decided = (
        {head.to_version: "ledger's champion", head.from_version: "champion before"} if head else {}
    )
    for number, role in decided.items():
        if number:
            roles.setdefault(number, role)
    for record in records.values():
        runs = record.tags.get(RUNS)
        if runs == "yes" or (runs is None and record.tags.get("rollout") in _ROLLED_OUT):
            roles.setdefault(record.version, "runs")
    if pinned:
        roles.setdefault(pinned, "pinned")
    for number in answered:
        roles.setdefault(number, "answered lately")
    return roles


def _head(settings: Settings, unseen: list[str]) -> Promotion | None:
    try:
        with closing(Ledger(settings.prediction_log)) as ledger:
            return ledger.head(settings.registered_model)
    except BellwetherError as error:
        unseen.append(f"ledger: {error.found or error.rule}")
        return None


def _known(
    registry: RegistryReader,
    number: str,
    role: str,
    record: ModelVersion | None,
    unseen: list[str],
) -> VersionInUse | None:
    if record is None:
        unseen.append(f"version {number} ({role}) is not in the registry")
        return None
    try:
        spec = registry.specification(record)
    except BellwetherError as error:
        unseen.append(f"version {number} ({role}): {error.found or error.rule}")
        return None
    return VersionInUse(number, role, record.dataset, spec)


def _pinned_folder(settings: Settings, unseen: list[str]) -> tuple[VersionInUse, ...]:
    """The bundle in a folder that a server with these settings serves, if there is one."""
    if not settings.bundle_url:
        return ()
    from forecasting.bundle.bundle import read_manifest

    try:
        _, manifest = read_manifest(Path(settings.bundle_url.removeprefix("file://")))
        spec = FeatureSpec.from_dict(manifest["feature_spec"])
    except BellwetherError as error:
        unseen.append(f"the bundle at {settings.bundle_url}: {error.found or error.rule}")
        return ()
    dataset = str(manifest["training"].get("dataset") or "default")
    return (VersionInUse(settings.model_version or "local", "pinned", dataset, spec),)
