"""Finds bundles and features, verifies them, and builds the next serving state beside the old one.

Bundles come from a folder (a pod's model volume) or from the registry: the champion by default,
the challenger beside it. Features come from the lake. A registry or lake that is down, a bundle
that is damaged, or features that do not fit leave what was served before untouched.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.registry.reader import (
    CHALLENGER,
    CHAMPION,
    ModelVersion,
    RegistryReader,
)
from forecasting.bundle.bundle import Bundle, load_bundle
from forecasting.errors import BellwetherError, BundleRejected, InvalidSettings, NotReady
from forecasting.settings import Settings
from serving.state import Features, ServingState, Version

Report = Callable[[str, str, str], None]
"""Called with (what, outcome, sentence) at every attempt to load something."""

T = TypeVar("T")
_CACHED_BUNDLES: Final = 6


@dataclass(frozen=True)
class DesiredVersion:
    """A version that should be served.

    Attributes:
        number: as the registry writes it.
        alias: champion, challenger or pinned.
        digest: what its manifest's SHA-256 must be; "" when nothing promises one.
        dataset: the lake's data set it reads, "" for the one in its manifest.
        folder: where its files are, or None: to be downloaded.
        record: the registry's record, or None.
    """

    number: str
    alias: str
    digest: str
    dataset: str
    folder: Path | None = None
    record: ModelVersion | None = None


@dataclass
class Loader:
    """Builds serving states; used from one thread.

    Attributes:
        settings: where things are.
        report: called at every attempt.
    """

    settings: Settings
    report: Report
    _bundles: dict[tuple[str, str], Bundle] = field(default_factory=dict)
    _features: dict[str, tuple[str, Features]] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lake = Lake(self.settings.lake)
        self._registry = RegistryReader(
            self.settings.registry_url, self.settings.registered_model, timeout_seconds=5.0
        )

    def close(self) -> None:
        """Let go of connections."""
        self._registry.close()

    def next_state(self, old: ServingState) -> ServingState:
        """The state to serve from now on; `old` itself when nothing changed."""
        try:
            desired = self._desired()
        except BellwetherError as error:
            self._failed("registry", error)
            if not old.default:
                return ServingState(problem=str(error))
            # Which versions to serve is not known now; their features still move on.
            same = {number: self._refreshed(known) for number, known in old.versions.items()}
            return _unless_same(old, ServingState(same, old.default, ""))
        self._succeeded("registry")
        versions: dict[str, Version] = {}
        for version in desired:
            if version.number not in versions:
                versions[version.number] = self._version(version, old.versions.get(version.number))
        default = desired[0].number
        before = old.versions.get(old.default)
        if versions[default].bundle is None and before is not None and before.bundle is not None:
            # The new champion cannot be verified: the old one goes on.
            versions[before.number] = self._refreshed(before)
            default = before.number
        self._forget(versions.values())
        return _unless_same(old, ServingState(versions, default, ""))

    def _desired(self) -> list[DesiredVersion]:
        settings = self.settings
        if settings.bundle_url:
            folder = Path(settings.bundle_url.removeprefix("file://"))
            if "://" in str(settings.bundle_url.removeprefix("file://")):
                raise InvalidSettings(
                    "a bundle is served from a local folder",
                    settings.bundle_url,
                    "Mount or copy it, or leave BELLWETHER_BUNDLE_URL empty to ask the registry",
                )
            number = settings.model_version or "local"
            return [DesiredVersion(number, "pinned", settings.bundle_digest, "", folder=folder)]
        if settings.model_version:
            return [self._registered(settings.model_version, "pinned")]
        aliases = self._registry.aliases()
        if CHAMPION not in aliases:
            raise NotReady(
                "the registry must have a champion",
                f"none of {settings.registered_model!r}",
                "Train first",
            )
        return [
            self._registered(aliases[alias], alias)
            for alias in (CHAMPION, CHALLENGER)
            if alias in aliases
        ]

    def _registered(self, number: str, alias: str) -> DesiredVersion:
        record = self._registry.version(number)
        digest = record.bundle_digest or self.settings.bundle_digest
        return DesiredVersion(number, alias, digest, record.dataset, record=record)

    def _version(self, desired: DesiredVersion, old: Version | None) -> Version:
        bundle = self._try("model", desired.number, lambda: self._bundle(desired))
        if bundle is None:
            # The registry may be half down: a version that was verified before stays as it is.
            if (
                old is not None
                and old.bundle is not None
                and desired.digest in {"", old.bundle.digest}
            ):
                bundle = old.bundle
            else:
                problem = self._problems.get(f"model {desired.number}", "not loaded")
                return Version(desired.number, desired.alias, desired.dataset, None, None, problem)
        dataset = desired.dataset or str(bundle.manifest["training"].get("dataset") or "default")
        features = self._latest_features(dataset)
        if (
            old is not None
            and old.bundle is bundle
            and old.alias == desired.alias
            and old.features is features
        ):
            return old
        joined = Version.of(desired.number, desired.alias, dataset, bundle, features)
        if joined.problem and old is not None and old.bundle is bundle and old.features is not None:
            # New features of another specification: the old ones still fit.
            self._failed("features", BundleRejected(joined.problem), key=f"fit {desired.number}")
            return old
        return joined

    def _bundle(self, desired: DesiredVersion) -> Bundle:
        key = (desired.number, desired.digest)
        if key in self._bundles:
            return self._bundles[key]
        folder = desired.folder
        if folder is None:
            if not desired.digest or desired.record is None:
                raise BundleRejected(
                    "a registered version must carry its bundle's digest as the tag bundle_digest",
                    f"version {desired.number} has none",
                    "Register it again",
                )
            folder = self._cache / desired.digest
            self._registry.download_bundle(desired.record, folder)
        try:
            bundle = load_bundle(folder, expected_digest=desired.digest or None)
        except BundleRejected:
            if desired.folder is None:
                shutil.rmtree(folder, ignore_errors=True)  # a damaged download is fetched anew
            raise
        self._bundles[key] = bundle
        return bundle

    @property
    def _cache(self) -> Path:
        return self.settings.state_dir / "serving"

    def _latest_features(self, dataset: str) -> Features | None:
        """The newest features, else those of before, else None."""
        current = self._features.get(dataset)

        def look() -> tuple[str, Features]:
            newest = self._lake.served_id(dataset)
            if newest is None:
                raise NotReady(
                    "the lake must hold features", f"none of data set {dataset!r}", "Run refresh"
                )
            if current is not None and current[0] == newest:
                return current
            return newest, Features.of(self._lake.served_features(dataset))

        loaded = self._try("features", dataset, look, quiet=lambda new: new is current)
        if loaded is None:
            return current[1] if current is not None else None
        self._features[dataset] = loaded
        return loaded[1]

    def _refreshed(self, version: Version) -> Version:
        """The version with the newest features that fit it."""
        if version.bundle is None:
            return version
        features = self._latest_features(version.dataset)
        if features is None or features is version.features:
            return version
        number, alias, dataset = version.number, version.alias, version.dataset
        joined = Version.of(number, alias, dataset, version.bundle, features)
        return version if joined.problem else joined

    def _try(
        self,
        what: str,
        name: str,
        load: Callable[[], T],
        *,
        quiet: Callable[[T], bool] = lambda _: False,
    ) -> T | None:
        known = set(self._bundles)
        key = f"{what} {name}"
        try:
            loaded = load()
        except BellwetherError as error:
            self._failed(what, error, key=key)
            return None
        except OSError as error:
            self._failed(what, BundleRejected(f"{name} must be readable", str(error)), key=key)
            return None
        self._succeeded(key)
        if (what != "model" or set(self._bundles) != known) and not quiet(loaded):
            self.report(what, "loaded", f"{what} {name} loaded")
        return loaded

    def _failed(self, what: str, error: BellwetherError, *, key: str = "") -> None:
        """Report every failure; the same sentence only once."""
        sentence = str(error)
        key = key or what
        self.report(what, "failed", "" if self._problems.get(key) == sentence else sentence)
        self._problems[key] = sentence

    def _succeeded(self, key: str) -> None:
        self._problems.pop(key, None)

    def _forget(self, versions: Iterable[Version]) -> None:
        """Drop what no version uses, in memory and, but for the newest few, on disk."""
        used = {version.bundle.digest for version in versions if version.bundle is not None}
        self._bundles = {
            key: bundle for key, bundle in self._bundles.items() if bundle.digest in used
        }
        if self._cache.is_dir():
            folders = [
                path
                for path in self._cache.iterdir()
                if path.is_dir() and path.name not in used and not path.name.startswith(".")
            ]
            folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            for path in folders[_CACHED_BUNDLES:]:
                shutil.rmtree(path, ignore_errors=True)


def _unless_same(old: ServingState, new: ServingState) -> ServingState:
    same = old.default == new.default and list(old.versions) == list(new.versions)
    if same and all(old.versions[number] is version for number, version in new.versions.items()):
        return old
    return new
