"""Splits skill into that of the width and that of the direction, each with its own test.

A candidate's forecast without its direction has its quantiles, moved so that every location is
zero. What that saves of the random walk's loss is the skill of the width; what the candidate saves
beyond it is the skill of the direction. Both add up to the candidate's skill. The forecast with a
constant drift has its quantiles, moved to the location of the random walk with drift: a direction
that does not beat it has learned no more than how prices rose on average.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.evaluation.loss_sums import LossSums, Panel, horizon_weights, sum_losses
from forecasting.evaluation.scores import ratio
from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
from forecasting.models.out_of_sample import OutOfSample
from forecasting.stats.significance import DRAWS, diebold_mariano, picked_p_values


@dataclass(frozen=True)
class SkillParts:
    """Skill of one group of forecasts in two parts. NaN where there is nothing to say.

    Attributes:
        width: skill of the forecasts without their direction against the random walk.
        direction: what the direction saves beyond that, as a share of the random walk's loss.
        width_p: one-sided Diebold-Mariano p-value that the forecasts without their direction beat
            the random walk.
        direction_p: that the forecasts beat themselves without their direction.
        drift_p: that they beat themselves with the drift of the random walk with drift instead.
    """

    width: float
    direction: float
    width_p: float
    direction_p: float
    drift_p: float


@dataclass(frozen=True)
class SkillSplit:
    """One candidate's skill in two parts.

    Attributes:
        claims_direction: whether any of its locations is not zero.
        overall: over all symbols and horizons.
        by_horizon: over all symbols, per reported horizon.
        by_symbol: over all horizons.
        by_fold: over all symbols and horizons.
        picked_direction_p: `overall.direction_p`, counting that one of all challengers that claim
            a direction was picked; see `forecasting.stats.significance.picked_p_values`.
        picked_drift_p: the same for `overall.drift_p`.
    """

    claims_direction: bool
    overall: SkillParts
    by_horizon: dict[int, SkillParts]
    by_symbol: dict[str, SkillParts]
    by_fold: dict[int, SkillParts]
    picked_direction_p: float
    picked_drift_p: float


@dataclass(frozen=True)
class _Losses:
    """Sums of a candidate beside the random walk's, and of the same with its locations moved.

    Attributes:
        null: the random walk's.
        own: the candidate's.
        undirected: with every location zero; `own` itself for one that claims no direction.
        drifting: with the drift for location; None where there is none to compare with.
    """

    null: LossSums
    own: LossSums
    undirected: LossSums
    drifting: LossSums | None

    @property
    def claims_direction(self) -> bool:
        """Whether moving the locations to zero changes anything."""
        return self.undirected is not self.own


def split_skills(
    candidates: Mapping[str, OutOfSample],
    sums: Mapping[str, LossSums],
    panel: Panel,
    *,
    horizons: Sequence[int],
    challengers: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, SkillSplit]:
    """Split every candidate's skill; the random walk has none.

    Args:
        candidates: by name, the random walk among them. Without the random walk with drift no
            p-value against a drift is known.
        sums: each candidate's sums of losses.
        panel: the rows behind them.
        horizons: horizons to split by, bars.
        challengers: candidates one of which may be picked.
        draws: simulated values behind the p-values that count the picking.
        seed: of the simulation.
    """
    drift = candidates[DRIFT_MODEL].loc if DRIFT_MODEL in candidates else None
    losses = {
        name: _losses(name, candidate, sums, panel, drift) for name, candidate in candidates.items()
    }
    claiming = {name: losses[name] for name in challengers if losses[name].claims_direction}
    benchmarks = (
        {name: (one.undirected, one.own) for name, one in claiming.items()},
        {name: (one.drifting, one.own) for name, one in claiming.items() if one.drifting},
    )
    over_undirected, over_drift = (
        _picked(pairs, overlap=_ahead(panel), draws=draws, seed=seed) for pairs in benchmarks
    )
    groups = _Groups.of(panel, horizons)
    return {
        name: SkillSplit(
            claims_direction=one.claims_direction,
            overall=_parts(one, groups.overall),
            by_horizon={key: _parts(one, group) for key, group in groups.by_horizon.items()},
            by_symbol={key: _parts(one, group) for key, group in groups.by_symbol.items()},
            by_fold={key: _parts(one, group) for key, group in groups.by_fold.items()},
            picked_direction_p=over_undirected.get(name, float("nan")),
            picked_drift_p=over_drift.get(name, float("nan")),
        )
        for name, one in losses.items()
    }


def _losses(
    name: str,
    candidate: OutOfSample,
    sums: Mapping[str, LossSums],
    panel: Panel,
    drift: Floats | None,
) -> _Losses:
    null, own = sums[NULL_MODEL], sums[name]
    if name == NULL_MODEL or not candidate.loc.any():
        return _Losses(null, own, own, None)
    undirected = sum_losses(candidate, panel, moved=-candidate.loc)
    if drift is None or name == DRIFT_MODEL:
        return _Losses(null, own, undirected, None)
    drifting = sum_losses(candidate, panel, moved=drift - candidate.loc)
    return _Losses(null, own, undirected, drifting)


def _picked(
    benchmarks: Mapping[str, tuple[LossSums, LossSums]], *, overlap: int, draws: int, seed: int
) -> dict[str, float]:
    """P-values of candidates against benchmarks of their own, counting that one is picked.

    Args:
        benchmarks: by name, sums of the benchmark and the candidate.
        overlap: periods the longest forecast spans.
        draws: simulated values.
        seed: of the simulation.
    """
    if not benchmarks:
        return {}
    gains = np.stack([beaten.series - own.series for beaten, own in benchmarks.values()], axis=1)
    known = np.isfinite(gains).all(axis=1)
    p_values = picked_p_values(gains[known], overlap=overlap, draws=draws, seed=seed)
    return dict(zip(benchmarks, p_values.tolist(), strict=True))


@dataclass(frozen=True)
class _Group:
    """Forecasts that are split together.

    Attributes:
        read: gives the loss of a group, and its series in time order, from sums of losses.
        ahead: periods its longest forecast spans.
    """

    read: Callable[[LossSums], tuple[float, Floats]]
    ahead: int


@dataclass(frozen=True)
class _Groups:
    """The groups of a panel; see `SkillSplit`."""

    overall: _Group
    by_horizon: dict[int, _Group]
    by_symbol: dict[str, _Group]
    by_fold: dict[int, _Group]

    @classmethod
    def of(cls, panel: Panel, horizons: Sequence[int]) -> "_Groups":
        weights, ahead = horizon_weights(panel.horizon), _ahead(panel)
        order = np.lexsort((panel.periods, panel.codes))
        bounds = np.searchsorted(panel.codes[order], np.arange(len(panel.symbols) + 1))

        def at_horizon(horizon: int) -> _Group:
            at = horizon - 1
            return _Group(
                lambda sums: (float(sums.pinball[:, at].sum()), sums.horizon_series[:, at]),
                panel.lags(horizon) + 1,
            )

        def of_symbol(code: int) -> _Group:
            rows = order[bounds[code] : bounds[code + 1]]
            return _Group(
                lambda sums: (
                    float(sums.symbol_pinball[code] @ weights),
                    sums.row_pinball[rows].astype(np.float64),
                ),
                panel.horizon,
            )

        def of_periods(at: NDArray[np.bool_]) -> _Group:
            return _Group(
                lambda sums: (float(sums.pinball[at].sum(axis=0) @ weights), sums.series[at]),
                ahead,
            )

        return cls(
            overall=of_periods(np.ones(panel.instants.size, dtype=np.bool_)),
            by_horizon={horizon: at_horizon(horizon) for horizon in horizons},
            by_symbol={
                symbol: of_symbol(code)
                for code, symbol in enumerate(panel.symbols)
                if panel.known[code].any()
            },
            by_fold={int(fold): of_periods(panel.folds == fold) for fold in np.unique(panel.folds)},
        )


def _ahead(panel: Panel) -> int:
    return panel.lags(panel.horizon) + 1


def _parts(losses: _Losses, group: _Group) -> SkillParts:
    """Split the skill of one group of forecasts."""
    null, null_series = group.read(losses.null)
    own, own_series = group.read(losses.own)
    undirected, undirected_series = group.read(losses.undirected)

    def p_value(benchmark: Floats, series: Floats) -> float:
        return diebold_mariano(benchmark - series, horizon=group.ahead).p_value

    width_p = direction_p = drift_p = float("nan")
    if losses.undirected is not losses.null:
        width_p = p_value(null_series, undirected_series)
    if losses.claims_direction:
        direction_p = p_value(undirected_series, own_series)
    if losses.drifting is not None:
        drift_p = p_value(group.read(losses.drifting)[1], own_series)
    return SkillParts(
        width=1 - ratio(undirected, null),
        direction=ratio(undirected - own, null),
        width_p=width_p,
        direction_p=direction_p,
        drift_p=drift_p,
    )
