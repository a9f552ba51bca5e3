"""Recalibration of a version that is served: the stretch of its intervals since it was trained.

A training ends with a calibration (`forecasting.models.conformal.recalibrate`). From there on the
bundle's own forecasts are out of sample, and the same feedback goes on with their outcomes: at every
recalibration intervals that were missed too often are widened, missed too rarely narrowed. The shape
of the residual's distribution stays the training's; what is renewed is its scale at every horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.models.conformal import (
    RECALIBRATION_INTERVAL,
    UPPER,
    feedback_step,
    moved_stretch,
)
from forecasting.models.cross_validation import label_ends
from forecasting.models.periods import Periods
from forecasting.models.quantiles import QuantileTable, interpolation_matrix, widths_of

_GAP: Final = 2 * RECALIBRATION_INTERVAL
"""From here on a time without recalibrations is filled with weekly ones, so that none moves too far."""


@dataclass(frozen=True, eq=False)
class OutOfSampleRows:
    """Rows that a version has not learned from, with what it says of them.

    Attributes:
        timestamps: int64 [n] bar closes, ns.
        codes: int32 [n] symbol of each row.
        z: [n, H] realised standardised returns, NaN where not known.
        loc: [n, K] locations at the knots.
        log_width: [n, K] logs of the widths at the knots; None where none is learned.
        breadth: mean number of rows of a period, see `forecasting.models.conformal.Schedule`.
    """

    timestamps: Instants
    codes: NDArray[np.int32]
    z: NDArray[np.floating]
    loc: Floats
    log_width: Floats | None
    breadth: float


@dataclass(frozen=True, eq=False)
class Recalibration:
    """What a recalibration has come to.

    Attributes:
        instants: [B] of the recalibrations, ns, the training's end first.
        path: [B, H] logarithm of the stretch in force from each instant on.
        outcomes: [H] outcomes that moved it.
        misses: [H] those outside the 90 % interval in force.
    """

    instants: tuple[int, ...]
    path: Floats
    outcomes: NDArray[np.int64]
    misses: NDArray[np.int64]

    @property
    def log_stretch(self) -> Floats:
        """[H] what is in force from the last instant on."""
        newest: Floats = self.path[-1]
        return newest


def recalibration_instants(learned_until: int, made: Sequence[int], until: int) -> tuple[int, ...]:
    """When a version was recalibrated, the training's end first and `until` last.

    Times of two weeks and more without one are filled with weekly instants: their forecasts are
    judged as if the schedule had been kept.

    Args:
        learned_until: close of the last bar the version learned from, ns.
        made: closes of the last bars that earlier recalibrations knew, ns.
        until: close of the last bar known now, ns.
    """
    found = [learned_until]
    for instant in sorted({*made, until}):
        if not learned_until < instant <= until:
            continue
        while instant - found[-1] >= _GAP:
            found.append(found[-1] + RECALIBRATION_INTERVAL)
        found.append(instant)
    return tuple(found)


def breadth_of(timestamps: Instants, codes: NDArray[np.int32]) -> float:
    """Mean number of rows of a period: symbols that are missed together."""
    return len(timestamps) / len(Periods.of(timestamps, codes).instants)


def recalibration_of(
    rows: OutOfSampleRows, table: QuantileTable, instants: Sequence[int]
) -> Recalibration:
    """Go on with the feedback of `conformal.recalibrate` from where the training ended.

    Forecasts as of an instant, and of those up to the next, are judged by the interval in force from
    that instant on; an outcome counts at the first recalibration that knows it. A forecast of rows before
    the first instant is none of the version's.

    Args:
        rows: what came after the training.
        table: the calibration that the training ended with.
        instants: of the recalibrations, ns, rising; the training's end first.
    """
    horizons = len(table.calibration)
    weights = interpolation_matrix(horizons, table.knots)
    residuals = rows.z[:, :horizons] - rows.loc @ weights
    if rows.log_width is not None:
        residuals = residuals / widths_of(rows.log_width, weights)
    half = table.calibration[:, UPPER]
    starts = np.array(instants, dtype=np.int64)
    served = np.searchsorted(starts, rows.timestamps, side="right") - 1
    known = np.empty(residuals.shape, dtype=np.intp)
    for column in range(horizons):
        ends = label_ends(rows.timestamps, rows.codes, column + 1)
        known[:, column] = np.searchsorted(starts, ends, side="left")
    counted = np.isfinite(residuals) & (served >= 0)[:, None] & (known < len(starts))
    step = feedback_step(horizons, rows.breadth)
    misses, outcomes = np.zeros((len(starts), horizons)), np.zeros((len(starts), horizons))
    path = np.zeros((len(starts), horizons))
    stretch = np.zeros(horizons)
    for number in range(len(starts)):
        stretch = moved_stretch(stretch, misses[number], outcomes[number], step)
        path[number] = stretch
        here = np.flatnonzero(served == number)
        at, columns = np.nonzero(counted[here])
        place = known[here[at], columns] * horizons + columns
        np.add.at(outcomes.reshape(-1), place, 1.0)
        missed = np.abs(residuals[here[at], columns]) > (half * np.exp(stretch))[columns]
        np.add.at(misses.reshape(-1), place[missed], 1.0)
    return Recalibration(
        tuple(int(instant) for instant in starts),
        path,
        outcomes.sum(axis=0).astype(np.int64),
        misses.sum(axis=0).astype(np.int64),
    )
