"""Decisions of the promotion gate on made-up prices and on made-up forecasts, and their counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.honesty.experiment import Table
from benchmarks.honesty.random_walks import learnable
from forecasting.models.width import EWMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.models.out_of_sample import OutOfSample

ALPHA: Final = 0.05
PERIODS: Final = 1_500
SYMBOLS: Final = 5
"""Size of a panel of made-up forecasts."""

GATES: Final = {
    "enough_evidence": "enough evidence",
    "beats_random_walk": "beats the random walk",
    "direction_proved": "direction proved",
    "survives_selection": "survives selection",
    "survives_trials": "survives trials",
    "no_horizon_worse": "no horizon worse",
    "not_worse_than_champion": "not worse than the champion",
    "honest_intervals": "honest intervals",
    "conditional_intervals": "honest in calm and storm",
}


@dataclass(frozen=True)
class Trained:
    """A panel on which real candidates are trained by `forecasting.models.training`.

    Attributes:
        walk: a key of `random_walks.WALKS`.
        signal: strength of the planted momentum; 0 plants none.
        kinds: candidates besides the random walks.
        symbols: number of symbols.
        bars: bars per symbol, of which the walk-forward tests about 58 %.
        search: settings that are tried for each candidate; 0 for none.
        seed: of everything.
        drift: mean return of every bar, see `random_walks.random_walk`.
        width: of the candidates' intervals. A learned one has skill of its own on most walks, so
            where there is to be nothing to find it is the random walk's.
    """

    walk: str
    signal: float
    kinds: tuple[str, ...]
    symbols: int
    bars: int
    search: int
    seed: np.random.SeedSequence
    drift: float = 0.0
    width: str = EWMA


@dataclass(frozen=True)
class Planted:
    """Made-up forecasts of candidates that know the signal up to errors of their own.

    Attributes:
        signal: its strength; 0 plants none.
        near_ties: whether the benchmark carries such errors too, so that in truth no candidate is
            worse than it: the hardest case for the gate.
        searched: settings said to have been tried for each of three candidates.
        seed: of everything.
    """

    signal: float
    near_ties: bool
    searched: int
    seed: int


@dataclass(frozen=True)
class Judged:
    """What the gate decided, and the skill of the best candidate."""

    promoted: bool
    refused_by: tuple[str, ...]
    skill: float


def judge_trained(panel: Trained) -> Judged:
    """Train on a panel, evaluate and decide."""
    from forecasting.models.candidates import NULLS
    from forecasting.models.parts import takes_width
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples

    table, returns = learnable(
        panel.walk,
        symbols=panel.symbols,
        bars=panel.bars,
        signal=panel.signal,
        drift=panel.drift,
        widths=panel.width != EWMA,
        seed=panel.seed,
    )
    examples = Examples.of(table, returns)
    forecasts, trials = {}, {}
    for kind in (*NULLS, *panel.kinds):
        config = TrainingConfig(
            params={"width": panel.width} if takes_width(kind) else {},
            seed=7,
            folds=4,
            tuning_trials=panel.search,
        )
        trained = train_on_examples(kind, examples, config, threads=1)
        forecasts[kind], trials[kind] = trained.out_of_sample, trained.trials
    return judged(forecasts, trials)


def judge_planted(case: Planted) -> Judged:
    """Make forecasts up, evaluate and decide."""
    from forecasting.models.candidates import DRIFT_MODEL
    from forecasting.testing import planted_forecasts

    kinds = ("ridge", "random_forest", "xgboost")
    forecasts = planted_forecasts(
        signal=case.signal,
        candidates=(*kinds, DRIFT_MODEL, *(("tie",) if case.near_ties else ())),
        symbols=SYMBOLS,
        periods=PERIODS,
        seed=case.seed,
    )
    if case.near_ties:
        forecasts["random_walk"] = replace(forecasts.pop("tie"), kind="random_walk")
    return judged(forecasts, dict.fromkeys(kinds, case.searched))


def judged(forecasts: "Mapping[str, OutOfSample]", trials: "Mapping[str, int]") -> Judged:
    """Evaluate forecasts of one panel by kind, with the settings tried for each, and decide."""
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import PromotionPolicy, decide

    evaluation = evaluate(forecasts, trials=trials)
    verdict = decide(evaluation, policy=PromotionPolicy(alpha=ALPHA))
    refused = tuple(gate.name for gate in verdict.gates if not gate.passed)
    return Judged(verdict.promote, refused, verdict.skill)


def promoted(decisions: Sequence[Judged]) -> int:
    """How many were promoted."""
    return sum(decision.promoted for decision in decisions)


def refused_by_alone(decisions: Sequence[Judged], gate: str) -> int:
    """How many only this gate refused."""
    return sum(decision.refused_by == (gate,) for decision in decisions)


def counts(decisions: Sequence[Judged]) -> dict[str, Any]:
    """Promotions and refusals, ready for JSON."""
    refused = Counter(name for decision in decisions for name in decision.refused_by)
    return {
        "promoted": promoted(decisions),
        "of": len(decisions),
        "refused by": dict(refused),
    }


def by_gate(groups: "Mapping[str, Sequence[Judged]]") -> Table:
    """Refusals of each gate, by group of decisions."""
    return Table(
        ["gate", *(f">{name}" for name in groups)],
        [
            [
                label,
                *(
                    f"{sum(gate in decision.refused_by for decision in decisions)} of {len(decisions)}"
                    for decisions in groups.values()
                ),
            ]
            for gate, label in GATES.items()
        ],
    )
