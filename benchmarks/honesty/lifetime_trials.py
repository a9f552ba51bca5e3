"""Weekly trainings of one made-up market over years: in which week would the gate first promote?"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.evaluation.lifetime import Lifetime
from forecasting.models.cross_validation import INITIAL
from forecasting.stats.significance import diebold_mariano, holm, picked_p_values

if TYPE_CHECKING:
    from forecasting.evaluation.loss_sums import LossSums

ALPHA: Final = 0.05
BARS_A_WEEK: Final = 5
KINDS: Final = ("ridge", "random_forest", "xgboost")
SYMBOLS: Final = 5
FIRST_BARS: Final = 2_520
"""Daily bars at the first training, ten years: 1,764 out-of-sample periods."""

FEWER_BARS: Final = 2_143
"""Daily bars that leave the 1,500 out-of-sample periods of the promotion experiment."""

_HORIZONS: Final = (1, 5, 10, 20, 30)
_OVERLAP: Final = 30
_DRAWS: Final = 1_000


@dataclass(frozen=True)
class World:
    """A market whose candidates are weighed every week.

    Attributes:
        signal: strength of what the candidates know; 0 plants none.
        near_ties: whether the benchmark errs as much as the candidates, the hardest case.
        weeks: trainings after the first one.
        first_bars: bars at the first training.
        seed: of everything.
    """

    signal: float
    near_ties: bool
    weeks: int
    first_bars: int
    seed: int


@dataclass(frozen=True)
class Promoted:
    """Week of the first promotion, 0 for the first training; -1 for none.

    Attributes:
        over_all: by the gate, whose p-values hold over all trainings.
        each_alone: if each training were judged as if it were the only one.
    """

    over_all: int
    each_alone: int


@dataclass(frozen=True)
class _Gains:
    """Losses saved by the candidates per bar, shape [T, M], and by horizon, shape [T, M, 5]."""

    over_null: Floats
    over_undirected: Floats
    over_drift: Floats
    by_horizon: Floats


def first_promotions(world: World) -> Promoted:
    """Make the forecasts of a world once, and judge the losses that each week knows."""
    gains = gains_of(world)
    first = world.first_bars - int(INITIAL * world.first_bars)
    found = {"over_all": -1, "each_alone": -1}
    for week in range(world.weeks + 1):
        bars = world.first_bars + week * BARS_A_WEEK
        known = slice(int(INITIAL * bars), bars)
        for name, lifetime in (("over_all", Lifetime(first)), ("each_alone", None)):
            if found[name] < 0 and promotes(gains, known, lifetime, world.seed):
                found[name] = week
        if min(found.values()) >= 0:
            break
    return Promoted(**found)


def promotes(gains: _Gains, known: slice, lifetime: Lifetime | None, seed: int) -> bool:
    """Whether the gates that rest on losses let the best candidate pass.

    Args:
        gains: of all bars.
        known: the out-of-sample bars of the training.
        lifetime: trainings before; None to take each p-value as it is.
        seed: of the tests.
    """
    over_null = gains.over_null[known]

    def sure(p_value: float) -> bool:
        over = p_value if lifetime is None else lifetime.p_value(p_value, len(over_null))
        return over < ALPHA

    best = int(over_null.mean(axis=0).argmax())
    # The cheap test first: a p-value that counts the picking is never below it but by simulation.
    if not sure(diebold_mariano(over_null[:, best], horizon=_OVERLAP).p_value):
        return False
    picked = picked_p_values(over_null, overlap=_OVERLAP, draws=_DRAWS, seed=seed)
    if not sure(float(picked[best])):
        return False
    for directed in (gains.over_undirected[known], gains.over_drift[known]):
        if not sure(diebold_mariano(directed[:, best], horizon=_OVERLAP).p_value):
            return False
        picked = picked_p_values(directed, overlap=_OVERLAP, draws=_DRAWS, seed=seed)
        if not picked[best] < ALPHA:
            return False
    worse = holm(
        [
            1 - diebold_mariano(gains.by_horizon[known, best, place], horizon=horizon).p_value
            for place, horizon in enumerate(_HORIZONS)
        ]
    )
    return min(worse) >= ALPHA


def gains_of(world: World) -> _Gains:
    """Losses that the candidates of a world save, for all its bars."""
    from forecasting.evaluation.loss_sums import panel_of, sum_losses
    from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
    from forecasting.testing import planted_forecasts

    forecasts = planted_forecasts(
        signal=world.signal,
        candidates=(*KINDS, DRIFT_MODEL, *(("tie",) if world.near_ties else ())),
        symbols=SYMBOLS,
        periods=world.first_bars + world.weeks * BARS_A_WEEK,
        seed=world.seed,
    )
    if world.near_ties:
        forecasts[NULL_MODEL] = replace(forecasts.pop("tie"), kind=NULL_MODEL)
    panel = panel_of(forecasts)
    drift = forecasts[DRIFT_MODEL].loc
    null = sum_losses(forecasts[NULL_MODEL], panel)
    own = [sum_losses(forecasts[kind], panel) for kind in KINDS]
    undirected = [sum_losses(forecasts[kind], panel, moved=-forecasts[kind].loc) for kind in KINDS]
    drifting = [
        sum_losses(forecasts[kind], panel, moved=drift - forecasts[kind].loc) for kind in KINDS
    ]
    at = [horizon - 1 for horizon in _HORIZONS]
    return _Gains(
        _saved([null] * len(KINDS), own),
        _saved(undirected, own),
        _saved(drifting, own),
        np.stack([(null.horizon_series - one.horizon_series)[:, at] for one in own], axis=1),
    )


def _saved(beaten: "list[LossSums]", own: "list[LossSums]") -> Floats:
    return np.stack([a.series - b.series for a, b in zip(beaten, own, strict=True)], axis=1)
