"""Scores a candidate's direction: per horizon and symbol, its P(rise) and its signal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Counts, Floats
from forecasting.evaluation.directional import (
    HitRate,
    RankCorrelation,
    brier_score,
    confusion,
    hit_rate,
    outcome_ranks,
    rank_correlation,
)
from forecasting.evaluation.loss_sums import Panel
from forecasting.evaluation.losses import level_index
from forecasting.evaluation.scores import ratio
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import sides


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
        came = panel.realised[:, horizon - 1].astype(np.float64)
        ahead = panel.lags(horizon) + 1
        hits[horizon] = hit_rate(median, came, panel.periods, horizon=ahead)
        correlations[horizon] = rank_correlation(
            median / panel.scale, outcomes, panel.periods, horizon=ahead, symbols=len(panel.symbols)
        )
    column = min(forecasts.signal_horizon, panel.horizon) - 1
    by_symbol = _direction_by_symbol(forecasts, panel, column)
    came = panel.realised[:, column].astype(np.float64)
    known = np.isfinite(came)
    above = forecasts.probability_above_cost[known, 0].astype(np.float64)
    not_below = forecasts.probability_above_cost[known, 1].astype(np.float64)
    came = came[known]
    said = sides(above, 1 - not_below, threshold)
    outcome = (came > forecasts.cost).astype(np.int8) - (came < -forecasts.cost).astype(np.int8)
    table = confusion(said, outcome)
    total = float(table.sum())
    return Direction(
        hit_rate=hits,
        information_coefficient=correlations,
        symbol_hit_rate={name: hits for name, (hits, _) in by_symbol.items()},
        symbol_information_coefficient={name: rank for name, (_, rank) in by_symbol.items()},
        brier=brier_score((above + not_below) / 2, came > 0),
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
    found = {}
    for code, name in enumerate(panel.symbols):
        rows = np.flatnonzero(panel.codes == code)
        said, came = median[rows].astype(np.float64), panel.realised[rows, column].astype(float)
        when, scale = panel.periods[rows], panel.scale[rows]
        ranks = outcome_ranks(came / scale, when, symbols=1)
        found[name] = (
            hit_rate(said, came, when, horizon=ahead),
            rank_correlation(said / scale, ranks, when, horizon=ahead, symbols=1),
        )
    return found
