"""Weekly trainings of one made-up market over years: in which week would the gate first promote?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
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


class Gains:
    """Losses that the candidates of a world save, for all its bars; summed when they are first asked for.

    Most worlds without skill are refused by the first test, which asks for `over_null` alone.

    Args:
        world: the market.
    """

    def __init__(self, world: World) -> None:
        from forecasting.evaluation.loss_sums import panel_of
        from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
        from forecasting.testing import planted_forecasts

        self._forecasts = planted_forecasts(
            signal=world.signal,
            candidates=(*KINDS, DRIFT_MODEL, *(("tie",) if world.near_ties else ())),
            symbols=SYMBOLS,
            periods=world.first_bars + world.weeks * BARS_A_WEEK,
            seed=world.seed,
        )
        if world.near_ties:
            self._forecasts[NULL_MODEL] = replace(self._forecasts.pop("tie"), kind=NULL_MODEL)
        self._panel = panel_of(self._forecasts)
        self._drift = self._forecasts[DRIFT_MODEL].loc
        self._null = self._summed(NULL_MODEL)
        self._own = [self._summed(kind) for kind in KINDS]

    @cached_property
    def over_null(self) -> Floats:
        """Loss of the benchmark less the candidate's, by bar, shape [T, M]."""
        return _saved([self._null] * len(KINDS), self._own)

    @cached_property
    def over_undirected(self) -> Floats:
        """Loss of the candidate without its direction less its own, shape [T, M]."""
        return _saved([self._summed(k, -self._forecasts[k].loc) for k in KINDS], self._own)

    @cached_property
    def over_drift(self) -> Floats:
        """Loss of the candidate with a constant drift for its direction less its own, shape [T, M]."""
        moved = [self._summed(k, self._drift - self._forecasts[k].loc) for k in KINDS]
        return _saved(moved, self._own)

    @cached_property
    def by_horizon(self) -> Floats:
        """`over_null` at each of the five judged horizons, shape [T, M, 5]."""
        at = [horizon - 1 for horizon in _HORIZONS]
        saved = [self._null.horizon_series - own.horizon_series for own in self._own]
        return np.stack([gain[:, at] for gain in saved], axis=1)

    def _summed(self, kind: str, moved: Floats | None = None) -> "LossSums":
        from forecasting.evaluation.loss_sums import sum_losses

        return sum_losses(self._forecasts[kind], self._panel, moved=moved)


class Week:
    """The p-values of one training, as if there were no other; each is computed at most once.

    Args:
        gains: of all bars.
        known: the out-of-sample bars of the training.
        seed: of the tests.
    """

    def __init__(self, gains: Gains, known: slice, seed: int) -> None:
        self._gains, self._known, self._seed = gains, known, seed
        self.periods = known.stop - known.start
        self._best = int(gains.over_null[known].mean(axis=0).argmax())

    @cached_property
    def beats_null(self) -> float:
        """That the best candidate loses less than the benchmark."""
        return self._beats(self._gains.over_null)

    @cached_property
    def beats_null_picked(self) -> float:
        """The same, counting that the best was picked."""
        return self._picked(self._gains.over_null)

    @cached_property
    def beats_undirected(self) -> tuple[float, float]:
        """That its direction saves loss; and the same, counting the picking."""
        return self._beats(self._gains.over_undirected), self._picked(self._gains.over_undirected)

    @cached_property
    def beats_drift(self) -> tuple[float, float]:
        """That its direction saves more than a constant drift; and the same, counting the picking."""
        return self._beats(self._gains.over_drift), self._picked(self._gains.over_drift)

    @cached_property
    def worse_somewhere(self) -> float:
        """That it loses more at any horizon, all of them looked at."""
        gains = self._gains.by_horizon[self._known, self._best]
        p_values = [
            1 - diebold_mariano(gains[:, place], horizon=horizon).p_value
            for place, horizon in enumerate(_HORIZONS)
        ]
        return min(holm(p_values))

    def promotes(self, lifetime: Lifetime | None) -> bool:
        """Whether the gates that rest on losses let the best candidate pass.

        Args:
            lifetime: trainings before; None to take each p-value as it is.
        """

        def sure(p_value: float) -> bool:
            over = p_value if lifetime is None else lifetime.p_value(p_value, self.periods)
            return over < ALPHA

        # The cheap test first: a p-value that counts the picking is never below it but by simulation.
        if not sure(self.beats_null) or not sure(self.beats_null_picked):
            return False
        return (
            self._directed(self.beats_undirected, sure)
            and self._directed(self.beats_drift, sure)
            and self.worse_somewhere >= ALPHA
        )

    @staticmethod
    def _directed(p_values: tuple[float, float], sure: Callable[[float], bool]) -> bool:
        alone, picked = p_values
        return sure(alone) and picked < ALPHA

    def _beats(self, gains: Floats) -> float:
        return diebold_mariano(gains[self._known, self._best], horizon=_OVERLAP).p_value

    def _picked(self, gains: Floats) -> float:
        p_values = picked_p_values(
            gains[self._known], overlap=_OVERLAP, draws=_DRAWS, seed=self._seed
        )
        return float(p_values[self._best])


def first_promotions(world: World) -> Promoted:
    """Make the forecasts of a world once, and judge the losses that each week knows."""
    gains = Gains(world)
    first = world.first_bars - int(INITIAL * world.first_bars)
    found = {"over_all": -1, "each_alone": -1}
    for number in range(world.weeks + 1):
        bars = world.first_bars + number * BARS_A_WEEK
        week = Week(gains, slice(int(INITIAL * bars), bars), world.seed)
        for name, lifetime in (("over_all", Lifetime(first)), ("each_alone", None)):
            if found[name] < 0 and week.promotes(lifetime):
                found[name] = number
        if min(found.values()) >= 0:
            break
    return Promoted(**found)


def _saved(beaten: "list[LossSums]", own: "list[LossSums]") -> Floats:
    return np.stack([a.series - b.series for a, b in zip(beaten, own, strict=True)], axis=1)
