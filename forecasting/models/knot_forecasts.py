"""What a walk says of the return at the knot horizons besides quantiles: its variance, and its rank.

Both are made of what was known when the forecast was: the level of the variance from outcomes known
by then, the rank from the calibration in force.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.models.conformal import Schedule
from forecasting.models.quantiles import KNOT_COLUMNS, KNOTS, grid_columns, widths_of
from forecasting.models.training_set import Examples

UNKNOWN_RANK: Final = 255
"""Rank of a return that is not known yet."""

MOST_DEVIATIONS: Final = 20.0
"""Widths beyond which a return counts as this many for the level of the variance: a price that
stood still and moves again would outweigh all others."""

_WHOLE_PERCENTS: Final = grid_columns([percent / 100 for percent in range(1, 100)])


def return_variance(examples: Examples, schedule: Schedule, log_width: Floats | None) -> Floats:
    """Forecast second moment about zero [n, K] of the log return over the next h bars.

    It is (scale * width)^2 * h times the mean square of all returns in units of their own
    scale * width * sqrt(h) that were known at the recalibration in force: one level for all symbols
    and each horizon, so that the variance is right on average by what was known. The interval's
    own deviation would not be: with fat tails it is too low at every level.

    Args:
        examples: n rows.
        schedule: the recalibrations of the walk.
        log_width: [n, K] logs of widths, read in test spans only; None where none is learned.

    Returns:
        float64 [n, K]; NaN outside of test spans, and where no outcome was known.
    """
    unit = _units(examples, log_width)
    size = np.minimum(np.abs(examples.returns[:, KNOT_COLUMNS]) / unit, MOST_DEVIATIONS)
    recalibrations = len(schedule.recalibrations)
    level = np.full((recalibrations, len(KNOTS)), np.nan)
    for knot, column in enumerate(KNOT_COLUMNS):
        known = schedule.known[:, column]
        met = (known >= 0) & np.isfinite(size[:, knot])
        at = known[met]
        count = np.bincount(at, minlength=recalibrations)[:recalibrations].cumsum()
        total = np.bincount(at, size[met, knot] ** 2, recalibrations)[:recalibrations].cumsum()
        np.divide(total, count, out=level[:, knot], where=count > 0)
    variance = np.full(unit.shape, np.nan)
    for number, rows in enumerate(schedule.recalibrations):
        variance[rows] = level[number] * np.square(unit[rows])
    return variance


def knot_residuals(examples: Examples, loc: Floats, log_width: Floats | None) -> Floats:
    """Returns [n, K] less their location, in units of scale * width * sqrt(h); NaN where not known.

    Args:
        examples: n rows.
        loc: [n, K] locations in units of scale * sqrt(h).
        log_width: [n, K] logs of widths; None where none is learned.
    """
    centre = loc * _units(examples, None)
    residuals: Floats = (examples.returns[:, KNOT_COLUMNS] - centre) / _units(examples, log_width)
    return residuals


def _units(examples: Examples, log_width: Floats | None) -> Floats:
    """Units scale * width * sqrt(h) of every row at the knots, [n, K]."""
    units: Floats = examples.scale[:, None] * np.sqrt(np.array(KNOTS))
    if log_width is not None:
        units = units * widths_of(log_width, np.eye(len(KNOTS)))
    return units


def percent_ranks(calibration: Floats, residual: Floats) -> NDArray[np.uint8]:
    """Whole percents [n, K] of the forecast distribution below each residual.

    That is the probability integral transform of the return (Diebold, Gunther and Tay 1998,
    "Evaluating density forecasts with applications to financial risk management"), rounded down:
    uniform on 0..99 for an honest forecast.

    Args:
        calibration: quantiles [K, G] of the standardised residual at the levels of GRID, at the
            knots; those of 1 to 99 % are read.
        residual: standardised residuals [n, K] at the knots, NaN where not known.
    """
    ranks = np.full(residual.shape, UNKNOWN_RANK, dtype=np.uint8)
    for knot, quantiles in enumerate(calibration[:, _WHOLE_PERCENTS]):
        met = np.isfinite(residual[:, knot])
        ranks[met, knot] = np.searchsorted(quantiles, residual[met, knot])
    return ranks
