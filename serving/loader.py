"""Finds bundles and features, verifies them, and builds the next serving state beside the old one.

Bundles come from a folder (a pod's model volume) or from the registry: the champion by default,
the challenger beside it. Features come from the lake, each version's of its own specification. A
registry or lake that is down, or a bundle that is damaged, leave what was served before untouched.
"""

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHALLENGER, CHAMPION, ModelVersion
from forecasting.adapters.signing_keys import trusted_keys_of
from forecasting.bundle.bundle import Bundle, load_bundle
from forecasting.bundle.signature import ADOPT, TrustedKeys
from forecasting.errors import (
    BellwetherError,
    BundleRejected,
    InvalidSettings,
    NotReady,
    UnknownVersion,
)
from forecasting.path_names import is_digest, require_digest
from forecasting.settings import Settings
from serving.calibration_loader import CalibrationLoader
from serving.feature_loader import FeatureLoader
from serving.state import ON_DEMAND, Features, ServingState, Version

Report = Callable[[str, str, str], None]
"""Called with (what, outcome, sentence) at every attempt to load something."""

T = TypeVar("T")

logger = logging.getLogger("bellwether.serving")
_CACHED_BUNDLES: Final = 6


@dataclass(frozen=True)
class DesiredVersion:
    """A version that should be served.

    Attributes:
        number: as the registry writes it.
        alias: champion, challenger, pinned or on demand.
        digest: what its manifest's SHA-256 must be; "" when nothing promises one.
        dataset: the lake's data set it reads, "" for the one in its manifest.
        folder: where its files are, or None: to be downloaded.
        record: the registry's record, or None.
        signature: who trained it, as signed; "" when unsigned.
    """

    number: str
    alias: str
    digest: str
    dataset: str
    folder: Path | None = None
    record: ModelVersion | None = None
    signature: str = ""


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
    _problems: dict[str, BellwetherError] = field(default_factory=dict)
    _keys: TrustedKeys | None = None

    def __post_init__(self) -> None:
        self._features = FeatureLoader(Lake(self.settings.lake))
        self._ledger = Ledger(self.settings.prediction_log)
        self._calibrations = CalibrationLoader(self.settings)
        self._registry = RegistryReader(
            self.settings.registry_url, self.settings.registered_model, timeout_seconds=5.0
        )

    def close(self) -> None:
        """Let go of connections."""
        self._registry.close()
        self._ledger.close()
        self._calibrations.close()

    def next_state(self, old: ServingState) -> ServingState:
        """The state to serve from now on; `old` itself when nothing changed."""
        try:
            desired = self._desired()
            registered = self._registered_numbers()
        except BellwetherError as error:
            self._failed("registry", error)
            if not old.default:
                return ServingState(problem=str(error))
            # Which versions to serve is not known now; their features still move on.
            same = {number: self._refreshed(known) for number, known in old.versions.items()}
            return _unless_same(old, replace(old, versions=same, problem=""))
        self._succeeded("registry")
        versions: dict[str, Version] = {}
        for version in desired:
            if version.number not in versions:
                versions[version.number] = self._version(version, old.versions.get(version.number))
        default = desired[0].number
        before = old.versions.get(old.default)
        if (
            versions[default].features is None
            and before is not None
            and before.features is not None
        ):
            # The new champion cannot be verified, or has no features yet: the old one goes on.
            versions[before.number] = self._refreshed(before)
            default = before.number
        for number, one in old.versions.items():
            if one.alias == ON_DEMAND and number in registered and number not in versions:
                versions[number] = self._refreshed(one)
        self._forget(versions.values())
        return _unless_same(old, ServingState(versions, default, "", registered))

    def on_demand(
        self, number: str, state: ServingState, keep: Callable[[str], bool]
    ) -> ServingState:
        """The state with a registered version more.

        Args:
            number: of the version.
            state: what is served now.
            keep: whether a version that was loaded on demand before stays.

        Raises:
            UnknownVersion: the registry does not know it any more.
            BundleRejected: its bundle is not what its digest or signature promises.
            RegistryUnavailable: the registry cannot be reached.
        """
        self._keys = trusted_keys_of(self.settings)
        loaded = self._try("model", number, lambda: self._registered_bundle(number))
        if loaded is None:
            raise self._problems[f"model {number}"]
        trained, dataset = loaded
        bundle = self._with_calibration(number, trained)
        features = self._latest_features(dataset, bundle.spec.digest)
        version = Version.of(number, ON_DEMAND, dataset, bundle, features)
        new = state.with_version(version, keep)
        self._forget(new.versions.values())
        return new

    def _registered_bundle(self, number: str) -> tuple[Bundle, str]:
        """Bundle and data set of a version on demand."""
        desired = self._registered(number, ON_DEMAND)
        return self._bundle(desired), desired.dataset

    def _registered_numbers(self) -> tuple[str, ...]:
        """Numbers that may be asked for, the oldest first; none where nothing is loaded on demand."""
        settings = self.settings
        if not settings.versions_on_demand or settings.bundle_url or settings.model_version:
            return ()
        return tuple(record.version for record in reversed(self._registry.versions()))

    def _desired(self) -> list[DesiredVersion]:
        settings = self.settings
        self._keys = trusted_keys_of(settings)
        if settings.bundle_url:
            folder = Path(settings.bundle_url.removeprefix("file://"))
            if "://" in str(settings.bundle_url.removeprefix("file://")):
                raise InvalidSettings(
                    "a bundle is served from a local folder",
                    settings.bundle_url,
                    "Mount or copy it, or leave BELLWETHER_BUNDLE_URL empty to ask the registry",
                )
            number = settings.model_version or "local"
            digest, signature = settings.bundle_digest, settings.bundle_signature
            return [DesiredVersion(number, "pinned", digest, "", folder, signature=signature)]
        if settings.model_version:
            return [self._registered(settings.model_version, "pinned")]
        aliases = self._registry.aliases()
        desired = [self._registered(*self._champion(aliases.get(CHAMPION, "")))]
        if CHALLENGER in aliases:
            try:
                desired.append(self._registered(aliases[CHALLENGER], CHALLENGER))
            except UnknownVersion as error:  # the champion is served all the same
                self._failed("registry", error, key=CHALLENGER)
        return desired

    def _champion(self, aliased: str) -> tuple[str, str, str]:
        """Number, alias and, if it is known, digest of the champion.

        Where versions are signed, that is the ledger's champion, whatever the registry says.
        """
        model = self.settings.registered_model
        if self._keys is None:
            if not aliased:
                raise NotReady(
                    "the registry must have a champion", f"none of {model!r}", "Train first"
                )
            return aliased, CHAMPION, ""
        decided = self._ledger.head(model)
        if decided is None or not decided.to_version:
            raise NotReady(
                "the ledger must know a champion",
                f"none of {model!r}" + f", the registry names version {aliased}" * bool(aliased),
                f"Train first. {ADOPT}" if aliased else "Train first",
            )
        if aliased == decided.to_version:
            self._succeeded("alias")
        else:
            differs = f"the registry names version {aliased or 'none'}, the ledger "
            differs += f"{decided.to_version}, which is served"
            rule = "the registry's champion must be the ledger's"
            self._failed(
                "registry", BundleRejected(rule, differs, "Find out who moved it"), key="alias"
            )
        return decided.to_version, CHAMPION, decided.bundle_digest

    def _registered(self, number: str, alias: str, digest: str = "") -> DesiredVersion:
        record = self._registry.version(number)
        # One that is no digest is refused when its bundle is loaded: others are served still.
        digest = digest or record.bundle_digest or self.settings.bundle_digest
        return DesiredVersion(number, alias, digest, record.dataset, None, record, record.signature)

    def _version(self, desired: DesiredVersion, old: Version | None) -> Version:
        trained = self._try("model", desired.number, lambda: self._bundle(desired))
        bundle = None if trained is None else self._with_calibration(desired.number, trained)
        if bundle is None:
            # The registry may be half down: a version that was verified before stays as it is.
            if (
                old is not None
                and old.bundle is not None
                and desired.digest in {"", old.bundle.digest}
            ):
                bundle = old.bundle
            else:
                problem = str(self._problems.get(f"model {desired.number}", "not loaded"))
                return Version(desired.number, desired.alias, desired.dataset, None, None, problem)
        dataset = desired.dataset or str(bundle.manifest["training"].get("dataset") or "default")
        features = self._latest_features(dataset, bundle.spec.digest)
        if (
            old is not None
            and old.bundle is bundle
            and old.alias == desired.alias
            and old.features is features
        ):
            return old
        return Version.of(desired.number, desired.alias, dataset, bundle, features)

    def _bundle(self, desired: DesiredVersion) -> Bundle:
        key = (desired.number, desired.digest)
        if key in self._bundles:
            return self._bundles[key]
        if self._keys is not None:
            desired = self._verified(self._keys, desired)
        if desired.record is None:
            assert desired.folder is not None
            bundle = load_bundle(desired.folder, expected_digest=desired.digest or None)
        else:
            digest = require_digest(desired.digest, f"bundle_digest of version {desired.number}")
            folder = self._registry.download_bundle(desired.record, self._cache / digest)
            try:
                bundle = load_bundle(folder, expected_digest=digest)
            except BundleRejected:
                self._remove_download(digest)  # a damaged one is fetched anew
                raise
        self._bundles[key] = bundle
        return bundle

    def _verified(self, keys: TrustedKeys, desired: DesiredVersion) -> DesiredVersion:
        """The version with what was signed of it, before anything of it is fetched or read."""
        unnumbered = desired.record is None and not self.settings.model_version
        statement = keys.verified(
            desired.signature,
            model=self.settings.registered_model,
            version="" if unnumbered else desired.number,
            digest=desired.digest,
        )
        if desired.dataset not in {"", statement.dataset}:
            raise BundleRejected(
                "a version reads the data set that it was signed with",
                f"version {desired.number}: {statement.dataset}, its tag says {desired.dataset!r}",
                ADOPT,
            )
        return replace(desired, digest=statement.bundle_digest)

    @property
    def _cache(self) -> Path:
        return self.settings.state_dir / "serving"

    def _remove_download(self, digest: str) -> None:
        """Remove a bundle's folder from the cache; nothing that has another name than a digest."""
        if is_digest(digest):
            shutil.rmtree(self._cache / digest, ignore_errors=True)  # of a link it removes nothing

    def _latest_features(self, dataset: str, specification: str) -> Features | None:
        """The newest features of a specification, else those of before, else None."""
        key = (dataset, specification)
        served = self._features.served(key)
        newest = self._try(
            "features",
            f"{dataset} {specification}",
            lambda: self._features.newest(key),
            quiet=lambda found: found is served,
        )
        return newest or served

    def _refreshed(self, version: Version) -> Version:
        """The version with the newest features of its specification."""
        if version.bundle is None:
            return version
        trained = self._calibrations.trained(version.number, version.bundle)
        bundle = self._with_calibration(version.number, trained)
        features = self._latest_features(version.dataset, bundle.spec.digest) or version.features
        if features is version.features and bundle is version.bundle:
            return version
        return Version.of(version.number, version.alias, version.dataset, bundle, features)

    def _with_calibration(self, number: str, trained: Bundle) -> Bundle:
        """The bundle with the calibration that the ledger has in force for the version.

        What was in force stays where the ledger cannot be asked, or its calibration is refused.
        """
        served = self._calibrations.served(number, trained)
        newest = self._try(
            "calibration",
            number,
            lambda: self._calibrations.newest(number, trained, self._keys),
            quiet=lambda found: found is served,
        )
        return newest or served

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
        except Exception as error:  # whatever one of them holds, it keeps no other from loading
            logger.debug("%s", key, exc_info=True)
            found = f"{type(error).__name__}: {error}"
            self._failed(what, BundleRejected(f"{name} must be readable", found), key=key)
            return None
        self._succeeded(key)
        if (what != "model" or set(self._bundles) != known) and not quiet(loaded):
            self.report(what, "loaded", f"{what} {name} loaded")
        return loaded

    def _failed(self, what: str, error: BellwetherError, *, key: str = "") -> None:
        """Report every failure; the same sentence only once."""
        sentence = str(error)
        key = key or what
        told = str(self._problems.get(key, ""))
        self.report(what, "failed", "" if told == sentence else sentence)
        self._problems[key] = error

    def _succeeded(self, key: str) -> None:
        self._problems.pop(key, None)

    def _forget(self, versions: Iterable[Version]) -> None:
        """Drop what no version uses, in memory and, but for the newest few, on disk."""
        loaded = [(version, version.bundle) for version in versions if version.bundle is not None]
        used = {bundle.digest for _, bundle in loaded}
        self._features.forget({(version.dataset, bundle.spec.digest) for version, bundle in loaded})
        self._calibrations.forget({version.number for version, _ in loaded})
        self._bundles = {
            key: bundle for key, bundle in self._bundles.items() if bundle.digest in used
        }
        if self._cache.is_dir():
            folders = [
                path
                for path in self._cache.iterdir()
                if is_digest(path.name) and path.name not in used and path.is_dir()
            ]
            folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            for path in folders[_CACHED_BUNDLES:]:
                self._remove_download(path.name)


def _unless_same(old: ServingState, new: ServingState) -> ServingState:
    same = old.default == new.default and list(old.versions) == list(new.versions)
    same = same and old.registered == new.registered
    if same and all(old.versions[number] is version for number, version in new.versions.items()):
        return old
    return new
