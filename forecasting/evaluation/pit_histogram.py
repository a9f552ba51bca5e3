"""Where outcomes fall in the forecast distribution: twenty equal bins, and what chance leaves of them.

An honest distribution has one outcome in twenty in each bin (Diebold, Gunther and Tay 1998,
"Evaluating density forecasts with applications to financial risk management"). A hill in the middle
is a distribution too wide, a valley one too narrow, a slope one that leans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.evaluation.loss_sums import Panel
from forecasting.models.knot_forecasts import UNKNOWN_RANK
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import cosines, smoothing

BINS: Final = 20
"""Bins of the histogram, five percent each."""

_PERCENTS: Final = 100 // BINS


@dataclass(frozen=True)
class RankSums:
    """Outcomes per period, horizon and bin; those of parts of the rows add up. R horizons.

    Attributes:
        horizons: the horizons counted, bars.
        count: known outcomes, shape [T, R, 20].
    """

    horizons: tuple[int, ...]
    count: Floats


@dataclass(frozen=True)
class PitHistogram:
    """Shares of the probability integral transform's bins at one horizon.

    Attributes:
        horizon: bars ahead.
        forecasts: known outcomes behind it.
        shares: share of them in each bin, 0.05 if honest, shape [20]; NaN without outcomes.
        band: by how much a share is off 0.05 by chance in 19 of 20 honest distributions, bin by
            bin, shape [20]: overlap counted, and an instant's symbols taken as one observation; NaN
            where there are too few instants to say.
    """

    horizon: int
    forecasts: int
    shares: Floats
    band: Floats


def sum_ranks(candidate: OutOfSample, panel: Panel, horizons: Sequence[int]) -> RankSums:
    """Count a candidate's outcomes per period, horizon and bin.

    Args:
        candidate: its forecasts.
        panel: the rows all candidates share.
        horizons: horizons, bars; those between the knots, whose ranks are not kept, are left out.
    """
    told = tuple(horizon for horizon in horizons if horizon in KNOTS)
    count = np.zeros((panel.instants.size, len(told), BINS))
    for at, horizon in enumerate(told):
        ranks = candidate.ranks[:, KNOTS.index(horizon)]
        met = ranks != UNKNOWN_RANK
        cells = panel.periods[met] * BINS + ranks[met] // _PERCENTS
        count[:, at] = np.bincount(cells, minlength=panel.instants.size * BINS).reshape(-1, BINS)
    return RankSums(told, count)


def pit_histograms(sums: RankSums, panel: Panel) -> tuple[PitHistogram, ...]:
    """A histogram for every horizon.

    Args:
        sums: the outcomes counted.
        panel: the rows behind them, for how far forecasts overlap.
    """
    return tuple(
        _histogram(sums.count[:, at], horizon, overlap=panel.lags(horizon) + 1)
        for at, horizon in enumerate(sums.horizons)
    )


def _histogram(count: Floats, horizon: int, *, overlap: int) -> PitHistogram:
    """Shares of the bins, counted per period [T, 20], and their bands.

    Errors are those of `conditional_coverage.share_inside` for a share of 0.05, all bins at once.
    """
    from scipy.special import stdtrit

    met = count.sum(axis=1) > 0
    count = count[met]
    total = count.sum(axis=1)
    outcomes = float(total.sum())
    unknown = np.full(BINS, np.nan)
    if not outcomes:
        return PitHistogram(horizon, 0, unknown, unknown)
    shares = count.sum(axis=0) / outcomes
    freedom = smoothing(len(count), overlap)
    if freedom < 2:
        return PitHistogram(horizon, int(outcomes), shares, unknown)
    waves = cosines(count - shares * total[:, None], freedom)
    per_period = outcomes / len(count)
    independent = shares * (1 - shares) * per_period
    effect = np.full(BINS, overlap * per_period)  # nothing to see: as dependent as they can be
    np.divide(np.mean(waves**2, axis=0), independent, out=effect, where=independent > 0)
    error = np.sqrt((1 - 1 / BINS) / BINS * np.maximum(effect, 1.0) / outcomes)
    return PitHistogram(horizon, int(outcomes), shares, error * stdtrit(freedom, 0.975))
