"""Shrinks predicted locations and widths towards the random walk's by what earlier folds bear out.

Thirty bars ahead a year holds eight outcomes that do not overlap, so a location learned from them
is mostly luck, and costs more than it brings, though the one learned for the next bar may be good.
At every knot locations are shrunk towards the random walk's zero by how they did on earlier rows
that no model had learned, less what luck alone would have done.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Rows
from forecasting.models.cross_validation import Fold
from forecasting.models.periods import Periods
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import long_run_variance


def shrink_factor(estimate: float, variance: float) -> float:
    """Share of an estimate to believe, 0..1: max(0, 1 - variance / estimate^2).

    Of all multiples c * b of an unbiased estimate b of a number B, c = B^2 / (B^2 + var b) has the
    least squared error. As E b^2 = B^2 + var b, that is 1 - var b / E b^2; with b^2 for its
    expectation it is the factor of the non-negative garrote with the variance for its penalty
    (Breiman 1995, "Better subset regression using the nonnegative garrote", Technometrics 37). An
    estimate within one standard error counts for nothing, one of three standard errors for 89 %.

    Args:
        estimate: b.
        variance: of b; NaN where too little is known to say.
    """
    return max(0.0, 1.0 - variance / estimate**2) if variance < estimate**2 else 0.0


def shrink_walk(
    predicted: Floats,
    knots: Floats,
    timestamps: Instants,
    codes: NDArray[np.int32],
    steps: list[Fold],
    *,
    widths: bool = False,
) -> tuple[Floats, Floats]:
    """Predictions of a walk, each fold's shrunk by the folds before it, and the slopes at the end.

    A fold's slopes are estimated on the rows that calibrate it: those of earlier folds whose
    labels had closed when it began. The first fold has none; as it only feeds what comes after
    it, it takes the second's, so that the residuals that calibrate the second are of its kind.

    Args:
        predicted: [n, K] locations from each fold's own model; read in test spans only.
        knots: [n, K] standardised returns at the knots, NaN where not known.
        timestamps: [n] bar closes.
        codes: [n] symbol of each row.
        steps: the folds, at least two.
        widths: whether logs of widths were predicted, see `width_slopes`.

    Returns:
        Predictions [n, K], and the slopes [K] after all folds: for the model that is served.
    """
    tested = np.zeros(len(predicted), dtype=np.intp)
    for step in steps:
        tested[step.test] = step.number

    def slopes_on(rows: Rows) -> Floats:
        estimate = width_slopes if widths else slopes
        return estimate(predicted[rows], knots[rows], timestamps[rows], codes[rows])

    shrunk = predicted.copy()
    for before, step in pairwise(steps):
        earlier = step.train
        factors = slopes_on(earlier[(tested[earlier] > 0) & (tested[earlier] < step.number)])
        shrunk[step.test] *= factors
        if before.number == steps[0].number:
            shrunk[before.test] *= factors
    return shrunk, slopes_on(np.flatnonzero(tested))


def slopes(loc: Floats, knots: Floats, timestamps: Instants, codes: NDArray[np.int32]) -> Floats:
    """What to multiply locations with, 0..1 [K], after how they did on rows they did not learn.

    The slope b of returns on locations through the origin (Mincer and Zarnowitz 1969, "The
    evaluation of economic forecasts", without the constant) is the weight of a linear combination
    with the random walk's forecast of zero (Granger and Ramanathan 1984, "Improved methods of
    combining forecasts"). It is shrunk by `shrink_factor`. Its variance takes a period's symbols as one
    observation, on whatever exchanges, and is robust to overlapping returns (see
    `long_run_variance`). A slope above 1 would amplify, one below 0 turn a forecast around: neither
    is believed.

    Args:
        loc: [n, K] locations of models that had not seen the rows.
        knots: [n, K] standardised returns at the knots, NaN where not known.
        timestamps: [n] bar closes.
        codes: [n] symbol of each row.
    """
    shrunk = np.zeros(knots.shape[1])
    periods = Periods.of(timestamps, codes)
    for knot, horizon in enumerate(KNOTS):
        known = np.isfinite(knots[:, knot])
        at, forecast = periods.places[known], loc[known, knot]
        present = np.bincount(at) > 0
        size = np.bincount(at, forecast**2)[present]
        if np.count_nonzero(size) < 2:  # one period fits its own slope and tells no variance
            continue
        product = np.bincount(at, forecast * knots[known, knot])[present]
        slope = product.sum() / size.sum()
        spread, _ = long_run_variance(product - slope * size, periods.overlap(horizon))
        variance = spread * len(size) / size.sum() ** 2
        shrunk[knot] = np.clip(slope * shrink_factor(slope, variance), 0.0, 1.0)
    return shrunk


def width_slopes(
    log_width: Floats, knots: Floats, timestamps: Instants, codes: NDArray[np.int32]
) -> Floats:
    """What to multiply logs of widths with, 0..1 [K], after how wide returns were that they foretold.

    One slope for all knots, that of the first: it is told by as many outcomes that do not overlap as
    there are bars, where at thirty bars a year holds eight, and a width that is borne out at one
    horizon is so at the others, for they are learned from the same rows.

    The slope b of |z| on the width (Mincer and Zarnowitz 1969, with the constant), both over their
    means; 1 where returns are as much wider as was said, 0 where the width said nothing. It is
    shrunk and bounded as `slopes` are. Ranges may tell of another volatility than returns have, or
    be made up; only returns bear a width out.

    Args:
        log_width: [n, K] logs of widths of models that had not seen the rows.
        knots: [n, K] standardised returns at the knots, NaN where not known.
        timestamps: [n] bar closes.
        codes: [n] symbol of each row.
    """
    nothing = np.zeros(knots.shape[1])
    known = np.isfinite(knots[:, 0])
    if not known.any():
        return nothing
    periods = Periods.of(timestamps, codes)
    at, size, width = periods.places[known], np.abs(knots[known, 0]), np.exp(log_width[known, 0])
    told = width / width.mean() - 1.0
    came = size / max(size.mean(), 1e-12) - 1.0
    spread = float(told @ told)
    if not spread > 1e-12 * len(told):
        return nothing
    slope = float(told @ came) / spread
    present = np.bincount(at) > 0
    moments = np.bincount(at, told * (came - slope * told))[present].astype(np.float64)
    noise, _ = long_run_variance(moments, periods.overlap(KNOTS[0]))
    variance = noise * len(moments) / spread**2
    return np.full_like(nothing, np.clip(slope * shrink_factor(slope, variance), 0.0, 1.0))
