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
from forecasting.evaluation.conditional_coverage import share_inside
from forecasting.evaluation.loss_sums import Panel
from forecasting.models.knot_forecasts import UNKNOWN_RANK
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import KNOTS

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
    from scipy.special import stdtrit

    total = count.sum(axis=1)
    bins = [share_inside(one, total, overlap=overlap, nominal=1 / BINS) for one in count.T]
    return PitHistogram(
        horizon=horizon,
        forecasts=int(total.sum()),
        shares=np.array([share.value for share in bins]),
        band=np.array(
            [
                share.error * stdtrit(share.freedom, 0.975) if share.freedom else np.nan
                for share in bins
            ]
        ),
    )
