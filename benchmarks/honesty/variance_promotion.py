"""Promotion experiment on markets whose variance is known: who is promoted, and would an oracle be?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.promotion_trials import Judged, by_gate, counts, promoted
from benchmarks.honesty.shares import at_least, at_most, share
from benchmarks.honesty.variance_markets import KINDS
from benchmarks.honesty.variance_trials import Panel, Trial, judge_panel

if TYPE_CHECKING:
    from collections.abc import Mapping

CANDIDATES: Final = ("random_walk_drift", "ridge", "har_combination")
"""Who is trained on every panel, besides the random walk; ridge with the width that har learns."""

NOTHING_TO_GAIN: Final = "ewma"
"""The market on which the random walk's own width is the true one."""

CLUSTERED: Final = ("gjr", "stochastic", "rough")
"""Markets whose variance moves as that of real prices does."""

MOST_FALSE: Final = 0.08
LEAST_FOUND: Final = 0.80


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count promotions of the candidates, and of an oracle, on every kind of market."""
    panels = _panels(seed, full=size == "full")
    trials: dict[str, list[Trial]] = {kind: [] for kind in KINDS}
    done = workers.map(judge_panel, panels, "trained on markets of known variance")
    for panel, trial in zip(panels, done, strict=True):
        trials[panel.market].append(trial)
    candidates = {kind: [trial.candidates for trial in done] for kind, done in trials.items()}
    oracles = {kind: [trial.oracle for trial in done] for kind, done in trials.items()}
    return Outcome(
        _findings(candidates, oracles),
        _story(panels, candidates, oracles),
        {
            kind: {
                "candidates": {**counts(candidates[kind]), "skill": _skill(candidates[kind])},
                "oracle": {**counts(oracles[kind]), "skill": _skill(oracles[kind])},
            }
            for kind in KINDS
        },
    )


def _panels(seed: int, *, full: bool) -> list[Panel]:
    """Many short panels without anything to gain, fewer of a realistic size with something."""
    seeds = iter(np.random.SeedSequence((seed, 94)).spawn(1_000))
    null, other = (200, 50) if full else (3, 1)
    symbols = 6 if full else 4
    return [
        Panel(
            kind,
            CANDIDATES,
            symbols,
            1_300 if kind == NOTHING_TO_GAIN or not full else 2_520,
            next(seeds),
        )
        for kind in KINDS
        for _ in range(null if kind == NOTHING_TO_GAIN else other)
    ]


def _findings(
    candidates: "Mapping[str, Sequence[Judged]]", oracles: "Mapping[str, Sequence[Judged]]"
) -> list[Finding]:
    null = candidates[NOTHING_TO_GAIN]
    others = [kind for kind in KINDS if kind != NOTHING_TO_GAIN]
    return [
        at_most(
            "variance is the random walk's own scale: a candidate promoted",
            promoted(null),
            len(null),
            MOST_FALSE,
        ),
        Finding(
            "constant variance: a candidate promoted",
            share(promoted(candidates["constant"]), len(candidates["constant"])),
        ),
        *(
            at_least(
                f"{kind} variance: a candidate promoted",
                promoted(candidates[kind]),
                len(candidates[kind]),
                LEAST_FOUND,
            )
            for kind in CLUSTERED
        ),
        *(
            at_least(
                f"{kind} variance: an oracle promoted",
                promoted(oracles[kind]),
                len(oracles[kind]),
                LEAST_FOUND,
            )
            for kind in others
        ),
    ]


def _story(
    panels: Sequence[Panel],
    candidates: "Mapping[str, Sequence[Judged]]",
    oracles: "Mapping[str, Sequence[Judged]]",
) -> list[str | Table]:
    sizes = {panel.market: f"{panel.symbols} x {panel.bars:,}" for panel in panels}
    names = ", ".join(CANDIDATES)
    return [
        (
            f"Candidates ({names}) and the random walk were trained, walk-forward in four folds, on "
            "panels in which nobody knows the sign of a return, but its variance is known exactly; "
            "bars are cut from paths within the day, so their ranges tell of it. The oracle is a "
            "random walk whose width is the true one: what is expected, at a bar's close, of the "
            "variance of the bars ahead, the next one's being known. Its skill bounds what a "
            "learned width can gain. Where the variance is the EWMA itself the oracle is the random walk "
            "up to rounding. Where it is constant there is something to gain: the EWMA "
            "is a noisy estimate of a constant."
        ),
        Table(
            [
                "market",
                "symbols x bars",
                ">promoted",
                ">of",
                ">mean skill of the best",
                ">oracle promoted",
                ">mean skill of the oracle",
            ],
            [
                [
                    words,
                    sizes[kind],
                    str(promoted(candidates[kind])),
                    str(len(candidates[kind])),
                    f"{_skill(candidates[kind]):+.2%}",
                    str(promoted(oracles[kind])),
                    f"{_skill(oracles[kind]):+.2%}",
                ]
                for kind, words in KINDS.items()
            ],
        ),
        "**Which gate refused the candidates.** A refusal usually has several reasons.",
        by_gate({f"{kind} variance": decisions for kind, decisions in candidates.items()}),
    ]


def _skill(decisions: Sequence[Judged]) -> float:
    """Mean skill of the best candidate."""
    return float(np.mean([decision.skill for decision in decisions]))


EXPERIMENT: Final = Experiment(
    name="variance_promotion",
    title="Promotion for a learned width",
    question=(
        "The random walk's intervals are as wide as an exponentially weighted volatility says. On "
        "markets whose variance is known, how often is a candidate promoted where that is the "
        "truth, and where it is not, and would one be promoted that knows the truth?"
    ),
    run=run,
)
