"""Directional scores: hit rate, rank correlation, Brier score of a rise, confusion of signals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Counts, Floats
from forecasting.evaluation.loss_sums import Panel
from forecasting.evaluation.losses import level_index
from forecasting.evaluation.scores import ratio
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import sides
from forecasting.ranks import average_ranks
from forecasting.stats.significance import does_not_vary, long_run_variance, mean_over_error

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
        statistic: its t statistic, overlap and symbols that move together counted; NaN where
            there are too few periods to say.
        dates: dates it is the mean of; 0 when pooled.
        p_value: chance of a statistic so far from 0, on either side, if the forecast says nothing.
    """

    value: float
    statistic: float
    dates: int
    p_value: float


@dataclass(frozen=True)
class Direction:
    """A candidate's direction figures; see `CandidateEvaluation`."""

    hit_rate: dict[int, HitRate]
    information_coefficient: dict[int, RankCorrelation]
    symbol_hit_rate: dict[str, HitRate]
    symbol_information_coefficient: dict[str, RankCorrelation]
    brier: float
    confusion: Counts
    signal_accuracy: float
    signal_base_rate: float


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
    p(1-p) / Var(p), with the variance clustered by period (Kish's design effect). Where every row
    hit, or none, nothing tells how they move together, and a period counts once. Rows without
    a direction (forecast or outcome exactly zero) are left out.

    Args:
        forecast: median log return, shape [n].
        realised: log return that came, NaN where unknown, shape [n].
        periods: number of each row's period in time order, shape [n].
        horizon: periods a forecast reaches ahead.
    """
    counted = (periods % max(horizon, 1) == 0) & np.isfinite(realised)
    counted &= (forecast != 0) & (realised != 0)
    count = int(counted.sum())
    if count == 0:
        return HitRate(float("nan"), float("nan"), float("nan"), 0, 0.0)
    hits = (np.sign(forecast[counted]) == np.sign(realised[counted])).astype(np.float64)
    share = float(hits.mean())
    clusters = np.bincount(periods[counted], weights=hits - share)
    variance = float(clusters @ clusters) / count**2
    effective = float(count)
    if share in {0.0, 1.0}:
        effective = float(np.unique(periods[counted]).size)
    elif variance > 0:
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
    ranks[known] = average_ranks(realised[known], _groups(periods[known], symbols))
    return ranks


def rank_correlation(
    forecast: Floats, outcomes: Floats, periods: Ints, *, horizon: int, symbols: int
) -> RankCorrelation:
    """Information coefficient of a forecast for the outcomes.

    With eight symbols or more: Spearman's correlation across symbols per period, averaged. With
    fewer: one correlation over all rows. The variance of either is a long-run variance of one
    number per period, the period's correlation or the sum of its rows' influences on the pooled one,
    so that neither symbols that move together nor forecasts that overlap count as many. The t
    statistic has that variance's degrees of freedom (see `long_run_variance`).

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
    if x.size < 8 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(nothing, nothing, 0, nothing)
    x = average_ranks(x, groups)
    if symbols < _PANEL:
        return _pooled_correlation(x, y, periods[known], horizon)
    series = _grouped_correlation(x, y, groups)
    series = series[np.isfinite(series)]
    variance, freedom = long_run_variance(series, horizon)
    if not freedom:
        mean = float(series.mean()) if series.size else nothing
        return RankCorrelation(mean, nothing, int(series.size), nothing)
    statistic = mean_over_error(series, variance)
    return RankCorrelation(
        float(series.mean()), statistic, int(series.size), _two_sided(statistic, freedom)
    )


def _pooled_correlation(x: Floats, y: Floats, periods: Ints, horizon: int) -> RankCorrelation:
    """Correlation of ranks [n] over all rows; its variance is that of its influence function.

    A row's influence on a correlation r of standardised numbers u and v is u v - r (u^2 + v^2) / 2
    (Devlin, Gnanadesikan and Kettenring 1975, "Robust estimation and outlier detection with
    correlation coefficients", Biometrika 62). That ranks are estimated too adds nothing where the
    forecast says nothing.
    """
    u, v = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    value = float(np.mean(u * v))
    _, place = np.unique(periods, return_inverse=True)
    products = np.bincount(place, u * v).astype(np.float64)
    influence = products - value * np.bincount(place, (u * u + v * v) / 2)
    variance, freedom = long_run_variance(influence, horizon)
    if not freedom:
        return RankCorrelation(value, float("nan"), 0, float("nan"))
    if does_not_vary(variance, products):  # every rank is told exactly
        statistic = float(np.copysign(np.inf, value))
    else:
        statistic = float(value * x.size / np.sqrt(variance * products.size))
    return RankCorrelation(value, statistic, 0, _two_sided(statistic, freedom))


def _two_sided(statistic: float, freedom: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(statistic)))


def _groups(periods: Ints, symbols: int) -> Ints:
    return periods if symbols >= _PANEL else np.zeros(periods.size, dtype=np.intp)


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
    """Counts [3, 3]: rows the signals, columns the outcomes, in the order of `quantiles.SIGNALS`."""
    cells = (predicted.astype(np.int64) + 1) * 3 + (realised.astype(np.int64) + 1)
    return np.bincount(cells, minlength=9).reshape(3, 3)


def ranks_of(panel: Panel, horizons: Sequence[int]) -> dict[int, Floats]:
    """Ranks of the outcomes at these horizons, for every candidate's rank correlation."""
    return {
        horizon: outcome_ranks(
            panel.realised[:, horizon - 1].astype(np.float64) / panel.scale,
            panel.periods,
            symbols=len(panel.symbols),
        )
        for horizon in horizons
    }


def direction_of(
    forecasts: OutOfSample, panel: Panel, ranks: Mapping[int, Floats], threshold: float
) -> Direction:
    """Score a candidate's direction, its probability of a rise and its signal.

    P(rise) is the mean of P(r > cost) and P(r > -cost): the distribution between the two points
    taken as straight, which a band of a few basis points allows.

    Args:
        forecasts: the candidate's.
        panel: the rows behind them.
        ranks: `ranks_of` the panel; its horizons are scored.
        threshold: probability a signal's side needs.
    """
    middle = level_index(0.5, forecasts.levels)
    hits: dict[int, HitRate] = {}
    correlations: dict[int, RankCorrelation] = {}
    for horizon, outcomes in ranks.items():
        median = forecasts.quantiles[:, horizon - 1, middle].astype(np.float64)
        realised = panel.realised[:, horizon - 1].astype(np.float64)
        ahead = panel.lags(horizon) + 1
        hits[horizon] = hit_rate(median, realised, panel.periods, horizon=ahead)
        correlations[horizon] = rank_correlation(
            median / panel.scale, outcomes, panel.periods, horizon=ahead, symbols=len(panel.symbols)
        )
    column = min(forecasts.signal_horizon, panel.horizon) - 1
    by_symbol = _direction_by_symbol(forecasts, panel, column)
    realised = panel.realised[:, column].astype(np.float64)
    known = np.isfinite(realised)
    above = forecasts.probability_above_cost[known, 0].astype(np.float64)
    not_below = forecasts.probability_above_cost[known, 1].astype(np.float64)
    realised = realised[known]
    rose, fell = realised > forecasts.cost, realised < -forecasts.cost
    table = confusion(
        sides(above, 1 - not_below, threshold), rose.astype(np.int8) - fell.astype(np.int8)
    )
    total = float(table.sum())
    return Direction(
        hit_rate=hits,
        information_coefficient=correlations,
        symbol_hit_rate={name: hits for name, (hits, _) in by_symbol.items()},
        symbol_information_coefficient={name: rank for name, (_, rank) in by_symbol.items()},
        brier=brier_score((above + not_below) / 2, realised > 0),
        confusion=table,
        signal_accuracy=ratio(float(np.trace(table)), total),
        signal_base_rate=ratio(float(table.sum(axis=0).max()), total),
    )


def _direction_by_symbol(
    forecasts: OutOfSample, panel: Panel, column: int
) -> dict[str, tuple[HitRate, RankCorrelation]]:
    """Hit rate and rank correlation of each symbol alone, `column` + 1 bars ahead."""
    median = forecasts.quantiles[:, column, level_index(0.5, forecasts.levels)]
    ahead = panel.lags(column + 1) + 1
    scores = {}
    for code, name in enumerate(panel.symbols):
        rows = np.flatnonzero(panel.codes == code)
        forecast = median[rows].astype(np.float64)
        realised = panel.realised[rows, column].astype(np.float64)
        periods, scale = panel.periods[rows], panel.scale[rows]
        ranks = outcome_ranks(realised / scale, periods, symbols=1)
        scores[name] = (
            hit_rate(forecast, realised, periods, horizon=ahead),
            rank_correlation(forecast / scale, ranks, periods, horizon=ahead, symbols=1),
        )
    return scores
