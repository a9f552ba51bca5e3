"""Recalibrates the versions in use of a data set: bundle and prices in, a row of the ledger out.

A training's end is where a version's own calibration ends; see `forecasting.models.recalibration` for
what goes on from there, and `forecasting.adapters.registry.calibrations` for where it is kept. The
same bundle, prices and earlier rows give the same calibration.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.adapters.registry.calibrations import CalibrationRow, Calibrations, verified
from forecasting.adapters.registry.in_use import versions_in_use
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION
from forecasting.adapters.served_bundles import trained_bundle
from forecasting.adapters.signing_keys import signer_of, trusted_keys_of
from forecasting.bundle.calibration import Calibration
from forecasting.errors import BellwetherError, BundleRejected, InvalidSettings
from forecasting.instants import to_datetime, to_nanoseconds
from forecasting.path_names import is_number

if TYPE_CHECKING:
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.lake.snapshot import Snapshot
    from forecasting.adapters.registry.records import ModelVersion
    from forecasting.bundle.bundle import Bundle
    from forecasting.bundle.signature import Signer, TrustedKeys
    from forecasting.features.spec import FeatureSpec
    from forecasting.models.recalibration import Recalibration
    from forecasting.models.training_set import Examples
    from forecasting.settings import Settings

Tell = Callable[[str], None]
"""Called with a sentence about what a reader should know."""

REMEDY: Final = "Refresh the prices, or ask for another data set: --dataset"


@dataclass(frozen=True)
class Reference:
    """Training features that drift may be measured against from now on.

    Attributes:
        run: run of the registry that holds them.
        specification: digest of the feature specification that they were built by.
    """

    run: str
    specification: str


@dataclass(frozen=True)
class VersionRecalibrated:
    """What came of one version.

    Attributes:
        version: its number.
        calibration: number of the calibration in force; 0 for the bundle's own.
        made: whether it is a new one.
        until: close of the last bar that is counted, ISO 8601.
        outcomes: one bar ahead that are counted since the training.
        misses: of these, outside the 90 % interval that was in force.
        stretch: factor on the 90 % interval one bar ahead, over the bundle's own.
    """

    version: str
    calibration: int
    made: bool
    until: str
    outcomes: int
    misses: int
    stretch: float

    @property
    def in_words(self) -> str:
        """A sentence for people."""
        if not self.outcomes:
            return f"version {self.version}: no outcome since its training yet"
        covered = 1 - self.misses / self.outcomes
        return (
            f"version {self.version}: calibration {self.calibration}"
            + ("" if self.made else ", unchanged")
            + f"; 90 % interval covered {covered:.1%} of {self.outcomes:,} outcomes one bar ahead since "
            f"its training and is {self.stretch:.3f} times as wide as then"
        )


def recalibrate_versions(
    settings: "Settings",
    lake: "Lake",
    snapshot: "Snapshot",
    *,
    who: str,
    why: str,
    tell: Tell,
    days: int = 0,
    reference: Reference | None = None,
) -> tuple[list[VersionRecalibrated], list[BellwetherError]]:
    """Recalibrate every version in use that reads a snapshot's data set.

    One version that fails keeps no other from being recalibrated: it is told, and it is a failure of
    the run if it is the champion.

    Args:
        settings: where registry, ledger and keys are.
        lake: where the prices are.
        snapshot: prices to judge by.
        who: who recalibrates.
        why: for people.
        tell: called with what a reader should know.
        days: days of prices after which a version is due again; 0: whenever there is a newer bar.
        reference: training features for the drift job, where a training has just made some; it is
            taken by versions of the same feature specification.

    Returns:
        What came of each, and what kept the champion from being recalibrated.

    Raises:
        InvalidSettings: there are trusted keys and none to sign with.
        RegistryUnavailable, Unavailable: registry or ledger cannot be reached.
    """
    signer, keys = signer_of(settings), trusted_keys_of(settings)
    if keys is not None and signer is None:
        raise InvalidSettings(
            "where versions are served by signature, a recalibration signs its calibrations",
            "there are trusted keys, and no signing key",
            "Set BELLWETHER_SIGNING_KEY",
        )
    in_use = versions_in_use(settings)
    for sentence in in_use.unseen:
        tell(f"not seen: {sentence}")
    # A bundle in a folder that the settings pin is in no registry.
    versions = [one for one in in_use.of(snapshot.dataset) if is_number(one.version)]
    if not versions:
        tell(f"no version in use reads {snapshot.dataset!r}")
    done: list[VersionRecalibrated] = []
    failures: list[BellwetherError] = []
    with (
        RegistryReader(settings.registry_url, settings.registered_model) as registry,
        closing(Calibrations(settings.prediction_log)) as calibrations,
        TemporaryDirectory() as work,
    ):
        renewal = Renewal(
            lake,
            snapshot,
            calibrations,
            registry.model,
            who,
            why,
            tell,
            days,
            signer,
            keys,
            reference,
        )
        for version in versions:
            number = version.version
            try:
                record = registry.version(number)
                if not renewal.is_due(record):
                    continue
                bundle = trained_bundle(registry, record, Path(work) / number, keys)
                done.append(renewal.of(number, bundle))
            except BellwetherError as error:
                tell(f"version {number} keeps its calibration: {error}")
                failures += [error] if version.role == CHAMPION else []
            else:
                tell(done[-1].in_words)
    return done, failures


@dataclass(frozen=True)
class Renewal:
    """One run over one snapshot; features of a specification are built once.

    Attributes:
        lake, snapshot: the prices.
        calibrations: of the ledger.
        model: name of the registered model.
        who, why: for the rows.
        tell, days, reference: see `recalibrate_versions`.
        signer: signs what is made; None without a key.
        keys: must have signed what was made before; None where signatures are not asked for.
        examples: what was built so far, by digest of the specification.
    """

    lake: "Lake"
    snapshot: "Snapshot"
    calibrations: Calibrations
    model: str
    who: str
    why: str
    tell: Tell
    days: int
    signer: "Signer | None"
    keys: "TrustedKeys | None"
    reference: Reference | None
    examples: "dict[str, Examples]" = field(default_factory=dict)

    def is_due(self, record: "ModelVersion") -> bool:
        """Whether prices are so much newer than the last calibration, or the training, of a version."""
        if not self.days:
            return True
        rows = self.calibrations.history(self.model, record.version)
        digest = record.bundle_digest
        own = [self._sound(row, digest) for row in rows if row.restores is None]
        known = [one.until for one in own if one is not None]
        known += [record.tags["trained_until"]] if "trained_until" in record.tags else []
        newest = max(map(datetime.fromisoformat, known), default=None)
        return newest is None or self.snapshot.last - newest >= timedelta(days=self.days)

    def of(self, version: str, bundle: "Bundle") -> VersionRecalibrated:
        """Recalibrate one version."""
        examples = self._described(bundle.spec)
        until = int(examples.timestamps.max())
        rows = self.calibrations.history(self.model, version)
        earlier = [self._sound(row, bundle.digest) for row in rows if row.restores is None]
        made = [to_nanoseconds(datetime.fromisoformat(one.until)) for one in earlier if one]
        own, null = recalibrated(bundle, examples, made)
        current = self.calibrations.current(self.model, version)
        in_force = None if current is None else self._sound(current, bundle.digest)
        before = in_force.reference_run if in_force is not None else ""
        given = self.reference
        fits = given is not None and given.specification == bundle.spec.digest
        run = given.run if given is not None and fits else before
        newer = until > max(made, default=own.instants[0]) and bool(own.outcomes.any())
        damaged = current is not None and in_force is None
        found = Calibration(
            model=self.model,
            number=0,
            version=version,
            bundle_digest=bundle.digest,
            dataset=self.snapshot.dataset,
            data_snapshot=self.snapshot.id,
            until=to_datetime(own.instants[-1]).isoformat(),
            log_stretch=tuple(own.log_stretch.tolist()),
            baseline_log_stretch=tuple(null.log_stretch.tolist()),
            reference_run=run,
        )
        if not (newer or damaged):
            # These prices tell nothing new, or are older than those of the calibration in force, as
            # those of a training that took long are: its intervals stay, and so does a rollback.
            kept = in_force if in_force is not None else _unstretched(found, own.instants[0])
            found = replace(kept, reference_run=run)
        made_now = newer or damaged or run != before
        number = in_force.number if in_force is not None else 0
        if made_now:
            number = self.calibrations.add(
                lambda place: replace(found, number=place),
                model=self.model,
                who=self.who,
                why=self.why,
                signer=self.signer,
            ).number
        return VersionRecalibrated(
            version,
            number,
            made_now,
            to_datetime(until).isoformat(),
            int(own.outcomes[0]),
            int(own.misses[0]),
            float(np.exp(found.log_stretch[0])),
        )

    def _sound(self, row: CalibrationRow, digest: str) -> Calibration | None:
        """What a row holds of a bundle; None, and told, where it is damaged, unsigned or another's."""
        try:
            found = verified(row, self.model, self.keys)
        except BundleRejected as error:
            self.tell(f"not counted: {error}")
            return None
        if found.bundle_digest != digest:
            # A registry that was made anew counts its versions from 1 again.
            self.tell(f"not counted: calibration {row.number} is of another bundle")
            return None
        return found

    def _described(self, spec: "FeatureSpec") -> "Examples":
        """All usable rows of the snapshot for a specification, checked for leaks."""
        from forecasting.adapters.lake.describe import describe_prices
        from forecasting.errors import UnknownSymbol
        from forecasting.leakage.findings import refuse_leaks
        from forecasting.models.training_set import Examples

        if spec.digest not in self.examples:
            lake, snapshot = self.lake, self.snapshot
            symbols = [symbol for symbol in spec.symbols if symbol in snapshot.symbols]
            if spec.symbols and not symbols:
                raise UnknownSymbol(
                    "the snapshot must hold symbols of the version's specification",
                    f"none of {', '.join(spec.symbols[:20])}",
                    REMEDY,
                )
            described = describe_prices(lake, snapshot, lake.read(snapshot, symbols), spec)
            refuse_leaks(described.leaks)
            self.examples[spec.digest] = Examples.of(described.features, described.returns)
        return self.examples[spec.digest]


def _unstretched(calibration: Calibration, learned_until: int) -> Calibration:
    """The bundle's own calibration, as the training left it."""
    zeros = (0.0,) * len(calibration.log_stretch)
    until = to_datetime(learned_until).isoformat()
    return replace(calibration, until=until, log_stretch=zeros, baseline_log_stretch=zeros)


def recalibrated(
    bundle: "Bundle", examples: "Examples", made: list[int]
) -> "tuple[Recalibration, Recalibration]":
    """The recalibrations of a bundle and of its random walk, on the rows after its training.

    Args:
        bundle: as it was trained; a calibration in force would count twice.
        examples: usable rows of its specification, those it learned from among them.
        made: closes of the last bars that earlier recalibrations knew, ns.

    Raises:
        BundleRejected: the manifest does not say which bars the bundle learned from, or it forecasts
            further than outcomes are looked up.
    """
    from forecasting.models.recalibration import (
        OutOfSampleRows,
        breadth_of,
        recalibration_instants,
        recalibration_of,
    )

    last = bundle.manifest["training"].get("last")
    if not last or bundle.max_horizon > examples.returns.shape[1]:
        raise BundleRejected(
            f"a bundle is recalibrated up to {examples.returns.shape[1]} bars ahead, by what came after "
            "the last bar it learned from",
            f"it forecasts {bundle.max_horizon} bars, and its manifest says training.last {last!r}",
            "Train a version that replaces it: bellwether train",
        )
    learned_until = to_nanoseconds(datetime.fromisoformat(str(last)))
    before = examples.timestamps <= learned_until
    counted = before if before.any() else ~before
    breadth = breadth_of(examples.timestamps[counted], examples.codes[counted])
    instants = recalibration_instants(learned_until, made, int(examples.timestamps.max()))
    new = examples.rows(np.flatnonzero(~before))
    z = new.standardised()
    loc, log_width = (
        bundle.predict(new.x) if len(new) else (np.zeros((0, len(bundle.table.knots))), None)
    )
    own = OutOfSampleRows(new.timestamps, new.codes, z, loc, log_width, breadth)
    null = OutOfSampleRows(new.timestamps, new.codes, z, np.zeros_like(loc), None, breadth)
    return (
        recalibration_of(own, bundle.table, instants),
        recalibration_of(null, bundle.baseline, instants),
    )
