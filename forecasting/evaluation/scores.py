"""Scores from sums of losses: per horizon, symbol and fold, each beside the random walk's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Counts, Floats
from forecasting.evaluation.loss_sums import LossSums, Panel, horizon_weights
from forecasting.stats.significance import diebold_mariano


@dataclass(frozen=True)
class Score:
    """Losses of one group of forecasts. NaN where there is nothing to say.

    Over several horizons the losses (not coverage and width) are averaged with weights 1/h; see
    `forecasting.evaluation.loss_sums`.

    Attributes:
        forecasts: known outcomes behind it.
        pinball: mean pinball loss in units of the volatility known beforehand.
        crps: continuous ranked probability score, same unit.
        mae: mean absolute error of the median, log return.
        relative_mae: `mae` over the random walk's on the same rows (RelMAE of Hyndman and Koehler
            2006, "Another look at measures of forecast accuracy", sec. 2.4).
        skill: 1 - pinball / the random walk's; above 0 is better than it.
        crps_skill: the same with `crps`.
        coverage_50: share of outcomes inside the 50 % interval.
        coverage_90: share of outcomes inside the 90 % interval.
        width_50: mean width of the 50 % interval, log return; NaN per symbol.
        width_90: mean width of the 90 % interval, log return; NaN per symbol.
        statistic: Diebold-Mariano statistic against the random walk.
        p_value: its one-sided p-value.
    """

    forecasts: int
    pinball: float
    crps: float
    mae: float
    relative_mae: float
    skill: float
    crps_skill: float
    coverage_50: float
    coverage_90: float
    width_50: float
    width_90: float
    statistic: float
    p_value: float


@dataclass(frozen=True)
class Scores:
    """A candidate's scores by group; see `CandidateEvaluation`."""

    overall: Score
    by_horizon: dict[int, Score]
    by_symbol: dict[str, Score]
    skill_by_fold: dict[int, float]
    coverage_by_fold: dict[int, float]
    below: Floats


def ratio(part: float, whole: float) -> float:
    """`part / whole`, NaN for an empty whole."""
    return part / whole if whole > 0 else float("nan")


def scores_of(
    own: LossSums, rival: LossSums | None, null: LossSums, panel: Panel, levels: Sequence[float]
) -> Scores:
    """Score a candidate per group.

    Args:
        own: the candidate's sums.
        rival: the random walk's sums to test against; None for the random walk itself.
        null: the random walk's sums.
        panel: the rows behind them.
        levels: quantile levels.
    """
    count = panel.known.sum(axis=0).astype(np.float64)
    weights = horizon_weights(panel.horizon)
    by_horizon = {
        h + 1: _score(
            own,
            null,
            count=count[h : h + 1],
            cells=np.s_[:, h : h + 1],
            test=_test(
                own.horizon_series[:, h],
                None if rival is None else rival.horizon_series[:, h],
                panel.lags(h + 1) + 1,
            ),
        )
        for h in range(panel.horizon)
    }
    overall = _score(
        own,
        null,
        count=count,
        cells=np.s_[:, :],
        test=_test(
            own.series,
            None if rival is None else rival.series,
            panel.lags(panel.horizon) + 1,
        ),
    )
    order = np.lexsort((panel.periods, panel.codes))
    bounds = np.searchsorted(panel.codes[order], np.arange(len(panel.symbols) + 1))
    by_symbol: dict[str, Score] = {}
    for code, name in enumerate(panel.symbols):
        rows = order[bounds[code] : bounds[code + 1]]
        if not panel.known[code].any():
            continue
        losses = own.row_pinball[rows].astype(np.float64)
        rival_losses = None if rival is None else rival.row_pinball[rows].astype(np.float64)
        by_symbol[name] = _symbol_score(
            own,
            null,
            code=code,
            count=panel.known[code],
            test=_test(losses, rival_losses, panel.horizon),
        )
    skill_by_fold: dict[int, float] = {}
    coverage_by_fold: dict[int, float] = {}
    for fold in np.unique(panel.folds):
        at = panel.folds == fold
        count_in_fold = float(own.count[at].sum())
        if count_in_fold:
            skill_by_fold[int(fold)] = 1 - ratio(
                float(own.pinball[at].sum(axis=0) @ weights),
                float(null.pinball[at].sum(axis=0) @ weights),
            )
            coverage_by_fold[int(fold)] = float(own.period_inside[at].sum()) / count_in_fold
    below = np.divide(
        own.below, count[:, None], out=np.full(own.below.shape, np.nan), where=count[:, None] > 0
    )
    assert below.shape[1] == len(levels)
    return Scores(overall, by_horizon, by_symbol, skill_by_fold, coverage_by_fold, below)


def _test(own: Floats, rival: Floats | None, ahead: int) -> tuple[float, float]:
    if rival is None:
        return float("nan"), float("nan")
    result = diebold_mariano(rival - own, horizon=ahead)
    return result.statistic, result.p_value


def _score(
    own: LossSums,
    null: LossSums,
    *,
    count: Floats,
    cells: tuple[slice, slice],
    test: tuple[float, float],
) -> Score:
    """Score horizons `cells[1]`; losses weigh them 1/h, coverage and width count outcomes."""
    horizons = cells[1]
    weights = horizon_weights(own.pinball.shape[1])[horizons]
    known = float(count @ weights)

    def mean(sums: Floats) -> float:
        return ratio(float(sums[cells].sum(axis=0) @ weights), known)

    def share(sums: Floats) -> float:
        return ratio(float(sums[..., horizons].sum()), float(count.sum()))

    return Score(
        forecasts=int(count.sum()),
        pinball=mean(own.pinball),
        crps=mean(own.crps),
        mae=mean(own.symbol_error),
        relative_mae=ratio(mean(own.symbol_error), mean(null.symbol_error)),
        skill=1 - ratio(mean(own.pinball), mean(null.pinball)),
        crps_skill=1 - ratio(mean(own.crps), mean(null.crps)),
        coverage_50=share(own.symbol_inside[0.5]),
        coverage_90=share(own.symbol_inside[0.9]),
        width_50=share(own.width[0.5]),
        width_90=share(own.width[0.9]),
        statistic=test[0],
        p_value=test[1],
    )


def _symbol_score(
    own: LossSums, null: LossSums, *, code: int, count: Counts, test: tuple[float, float]
) -> Score:
    weights = horizon_weights(count.size)
    known = float(count @ weights)
    pinball = float(own.symbol_pinball[code] @ weights)
    crps = float(own.symbol_crps[code] @ weights)
    error = float(own.symbol_error[code] @ weights)
    total, nan = float(count.sum()), float("nan")
    return Score(
        forecasts=int(total),
        pinball=ratio(pinball, known),
        crps=ratio(crps, known),
        mae=ratio(error, known),
        relative_mae=ratio(error, float(null.symbol_error[code] @ weights)),
        skill=1 - ratio(pinball, float(null.symbol_pinball[code] @ weights)),
        crps_skill=1 - ratio(crps, float(null.symbol_crps[code] @ weights)),
        coverage_50=ratio(float(own.symbol_inside[0.5][code].sum()), total),
        coverage_90=ratio(float(own.symbol_inside[0.9][code].sum()), total),
        width_50=nan,
        width_90=nan,
        statistic=test[0],
        p_value=test[1],
    )
