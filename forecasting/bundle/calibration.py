"""A calibration beside a bundle: how far its intervals are stretched now, signed as the bundle is.

A recalibration makes no new version: model, features and evidence are the same, and a version number
each week would begin a rollout each week. What it says is a factor per horizon on the calibration in
the bundle, small enough to stand in the ledger. See `forecasting.models.recalibration`.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from forecasting.bundle.bundle import Bundle
from forecasting.errors import BundleRejected
from forecasting.models.conformal import MOST_STRETCH
from forecasting.models.quantiles import QuantileTable

if TYPE_CHECKING:
    from forecasting.arrays import Floats

FORMAT: Final = "bellwether-calibration/1"
REMEDY: Final = "Recalibrate again (bellwether calibration run), or find out who wrote it"
_MOST: Final = float(np.log(MOST_STRETCH)) + 1e-9
_LONGEST: Final = 20_000


@dataclass(frozen=True)
class Calibration:
    """One recalibration of a version.

    Attributes:
        model: name of the registered model.
        number: place in the model's calibrations, from 1.
        version: the version's number.
        bundle_digest: SHA-256 of its bundle's manifest.
        dataset: data set in the lake whose prices it was judged by.
        data_snapshot: snapshot of these prices.
        until: close of the last bar that was known, ISO 8601.
        log_stretch: [H] logarithm of the factor on the version's calibration.
        baseline_log_stretch: [H] the same of the random walk in its bundle.
        reference_run: run of the registry whose training features drift is measured against; "" for
            the version's own.
    """

    model: str
    number: int
    version: str
    bundle_digest: str
    dataset: str
    data_snapshot: str
    until: str
    log_stretch: tuple[float, ...]
    baseline_log_stretch: tuple[float, ...]
    reference_run: str = ""

    def payload(self) -> bytes:
        """The bytes that are kept and signed: JSON, keys sorted."""
        written = {"format": FORMAT, **asdict(self)}
        return orjson.dumps(written, option=orjson.OPT_SORT_KEYS)

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, hex."""
        return sha256(self.payload()).hexdigest()

    @classmethod
    def from_payload(cls, payload: str | bytes) -> "Calibration":
        """Read what `payload` wrote.

        Raises:
            BundleRejected: it is none, or of another format.
        """
        rule, fault = "a calibration must be readable", ""
        if len(payload) > _LONGEST:
            raise BundleRejected(rule, f"it has {len(payload):,} characters", REMEDY)
        try:
            read: dict[str, Any] = orjson.loads(payload)
            written_as = read.pop("format")
            for name in ("log_stretch", "baseline_log_stretch"):
                read[name] = tuple(float(factor) for factor in read[name])
            found = cls(**read)
            if datetime.fromisoformat(found.until).tzinfo is None:
                fault = f"until {found.until!r} has no zone"
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleRejected(rule, f"{type(error).__name__}: {error}", REMEDY) from error
        if written_as != FORMAT:
            fault = f"its format is {str(written_as)[:40]!r}, not {FORMAT}"
        if fault:
            raise BundleRejected(rule, fault, REMEDY)
        return found


def applied(bundle: Bundle, calibration: Calibration) -> Bundle:
    """The bundle with its intervals as the calibration stretches them.

    Raises:
        BundleRejected: the calibration is of another bundle, has another number of horizons, or
            stretches further than a recalibration may.
    """
    if calibration.bundle_digest != bundle.digest:
        raise BundleRejected(
            "a calibration must be of the bundle that is served",
            f"calibration {calibration.number} is of {calibration.bundle_digest[:16]}, version "
            f"{calibration.version[:20]} is {bundle.digest[:16]}",
            REMEDY,
        )
    return replace(
        bundle,
        table=_stretched(bundle.table, calibration.log_stretch, calibration.number),
        baseline=_stretched(bundle.baseline, calibration.baseline_log_stretch, calibration.number),
        calibrated=calibration.number,
        calibrated_until=calibration.until,
    )


def _stretched(table: QuantileTable, log_stretch: tuple[float, ...], number: int) -> QuantileTable:
    stretch: Floats = np.array(log_stretch, dtype=np.float64)
    horizons = len(table.calibration)
    if stretch.shape != (horizons,) or not np.all(np.abs(stretch) <= _MOST):
        raise BundleRejected(
            f"a calibration has a finite logarithm for each of {horizons} horizons, and stretches by "
            f"at most {MOST_STRETCH:g}",
            f"calibration {number} has {stretch.size}, of them "
            f"{int(np.sum(~(np.abs(stretch) <= _MOST)))} beyond",
            REMEDY,
        )
    return QuantileTable.of(
        table.calibration * np.exp(stretch)[:, None],
        table.levels,
        grid=tuple(table.grid.tolist()),
        knots=table.knots,
    )
