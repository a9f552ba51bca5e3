"""Did the forecasts know up from down? Hit rate, rank correlation, Brier score, confusion."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.stats.significance import long_run_variance

Ints: TypeAlias = NDArray[np.signedinteger]


_PANEL = 8
"""Symbols from which a correlation across them on one date says something."""


@dataclass(frozen=True)
class HitRate:
    """How often the median forecast had the right sign.

    Attributes:
        accuracy: share of right signs; NaN when the model names no direction.
        low: lower end of the 95 % Wilson interval.
        high: upper end.
        forecasts: non-overlapping forecasts with a direction.
        effective: how many independent ones they are worth, as symbols move together.
    """

    accuracy: float
    low: float
    high: float
    forecasts: int
    effective: float


@dataclass(frozen=True)
class RankCorrelation:
    """Information coefficient: Spearman correlation of forecast and outcome.

    Attributes:
        value: mean over dates across symbols, or pooled over all rows for a few symbols.
        statistic: its t statistic, overlap counted.
        dates: dates it is the mean of; 0 when pooled.
    """

    value: float
    statistic: float
    dates: int


def wilson_interval(share: float, count: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's (1927) score interval of a share; 95 % by default, `count` may be fractional."""
    if not count > 0:
        return float("nan"), float("nan")
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def hit_rate(forecast: Floats, realised: Floats, periods: Ints, *, horizon: int) -> HitRate:
    """Directional accuracy with an interval that does not count the same news twice.

    Only every `horizon`-th period is taken, so no two forecasts of a symbol share a bar. Symbols
    forecast in the same period are correlated: the interval uses the effective number
    p(1-p) / Var(p), with the variance clustered by period (Kish's design effect). Rows without
    a direction (forecast or outcome exactly zero) are left out.

    Args:
        forecast: median log return, shape [n].
        realised: log return that came, NaN where unknown, shape [n].
        periods: number of each row's period in time order, shape [n].
        horizon: periods a forecast reaches ahead.
    """
    taken = (periods % max(horizon, 1) == 0) & np.isfinite(realised)
    taken &= (forecast != 0) & (realised != 0)
    count = int(taken.sum())
    if count == 0:
        return HitRate(float("nan"), float("nan"), float("nan"), 0, 0.0)
    hits = (np.sign(forecast[taken]) == np.sign(realised[taken])).astype(np.float64)
    share = float(hits.mean())
    clusters = np.bincount(periods[taken], weights=hits - share)
    variance = float(clusters @ clusters) / count**2
    effective = float(count)
    if variance > 0:
        effective = min(effective, share * (1 - share) / variance)
    return HitRate(share, *wilson_interval(share, effective), count, effective)


def outcome_ranks(realised: Floats, periods: Ints, *, symbols: int) -> Floats:
    """Ranks of the known outcomes: within each period, or over all rows for a few symbols.

    Worked out once for all candidates; NaN where the outcome is not known, shape [n].

    Args:
        realised: outcome divided by its volatility, NaN where unknown, shape [n].
        periods: number of each row's period, shape [n].
        symbols: number of symbols in the panel.
    """
    known = np.isfinite(realised)
    ranks = np.full(realised.size, np.nan)
    ranks[known] = grouped_ranks(realised[known], _groups(periods[known], symbols))
    return ranks


def rank_correlation(
    forecast: Floats, outcomes: Floats, periods: Ints, *, horizon: int, symbols: int
) -> RankCorrelation:
    """Information coefficient of a forecast for the outcomes.

    With eight symbols or more: Spearman's correlation across symbols per period, averaged, with
    a t statistic that knows the overlap (`long_run_variance`). With fewer: one correlation over all rows, whose t
    statistic counts a row as 1/h of an observation because forecasts overlap.

    Args:
        forecast: location or median divided by the volatility, shape [n].
        outcomes: `outcome_ranks` of what came, shape [n].
        periods: number of each row's period in time order, shape [n].
        horizon: periods a forecast reaches ahead.
        symbols: number of symbols in the panel.
    """
    nothing = float("nan")
    known = np.isfinite(outcomes)
    x, y, groups = forecast[known], outcomes[known], _groups(periods[known], symbols)
    if x.size < 8 or np.ptp(x) == 0:
        return RankCorrelation(nothing, nothing, 0)
    series = _grouped_correlation(grouped_ranks(x, groups), y, groups)
    if symbols < _PANEL:
        value = float(series[0])
        worth = max(x.size / max(horizon, 1) - 2, 0.0)
        statistic = value * np.sqrt(worth / max(1 - value * value, 1e-12))
        return RankCorrelation(value, float(statistic), 0)
    series = series[np.isfinite(series)]
    if series.size < 3:
        return RankCorrelation(nothing, nothing, int(series.size))
    variance, _ = long_run_variance(series, horizon)
    value = float(series.mean())
    statistic = value / np.sqrt(variance / series.size) if variance > 0 else nothing
    return RankCorrelation(value, float(statistic), int(series.size))


def _groups(periods: Ints, symbols: int) -> Ints:
    return periods if symbols >= _PANEL else np.zeros(periods.size, dtype=np.intp)


def grouped_ranks(values: Floats, groups: Ints) -> Floats:
    """Ranks 1.. within each group, ties sharing their mean rank, shape [n]."""
    order = np.argsort(values)
    # Sixteen bits where they suffice: NumPy then sorts by radix.
    narrow = groups.astype(np.uint16) if groups.size and groups.max() < 2**16 else groups
    order = order[np.argsort(narrow[order], kind="stable")]
    value, group = values[order], groups[order]
    new_group = np.ones(value.size, dtype=bool)
    new_group[1:] = group[1:] != group[:-1]
    new_value = new_group.copy()
    new_value[1:] |= value[1:] != value[:-1]
    position = np.arange(value.size)
    group_start = np.maximum.accumulate(np.where(new_group, position, 0))
    starts = np.flatnonzero(new_value)
    run = np.cumsum(new_value) - 1
    lengths = np.diff(np.append(starts, value.size))
    ranks = np.empty(value.size)
    ranks[order] = starts[run] + (lengths[run] - 1) / 2 - group_start + 1
    return ranks


def _grouped_correlation(x: Floats, y: Floats, groups: Ints) -> Floats:
    """Pearson correlation within each group; NaN where one side does not vary, shape [G]."""
    count = np.bincount(groups).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - (np.bincount(groups, weights=x) / count)[groups]
        y = y - (np.bincount(groups, weights=y) / count)[groups]
        spread = np.bincount(groups, weights=x * x) * np.bincount(groups, weights=y * y)
        together = np.bincount(groups, weights=x * y)
        return np.asarray(
            np.where((spread > 1e-12) & (count > 2), together / np.sqrt(spread), np.nan)
        )


def brier_score(probability: Floats, happened: NDArray[np.bool_]) -> float:
    """Mean squared error of a probability (Brier, 1950); 0.25 for always saying one half."""
    return float(np.mean((probability - happened) ** 2)) if probability.size else float("nan")


def confusion(predicted: Ints, realised: Ints) -> NDArray[np.int64]:
    """Counts [3, 3]: rows what was said, columns what came, in the order of `forecast.SIGNALS`."""
    cells = (predicted.astype(np.int64) + 1) * 3 + (realised.astype(np.int64) + 1)
    return np.bincount(cells, minlength=9).reshape(3, 3)
