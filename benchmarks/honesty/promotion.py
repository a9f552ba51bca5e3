"""Promotion experiment: how often the gate promotes without skill, and how often it misses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.promotion_trials import (
    ALPHA,
    PERIODS,
    SYMBOLS,
    Judged,
    Planted,
    Trained,
    by_gate,
    counts,
    judge_planted,
    judge_trained,
    promoted,
    refused_by_alone,
)
from benchmarks.honesty.random_walks import WALKS, correlation_at
from benchmarks.honesty.shares import at_most, plot_shares, share
from forecasting.report.plots import MARKERS, Theme, styled_axes, styled_legend
from pipelines.runs import DEFAULT_WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping


MOST_FALSE: Final = 0.08
LEAST_FOUND: Final = 0.80

REALISTIC: Final = 0.10
"""Correlation of the best one-bar forecast with the return: of what is found in daily prices the
good end, worth about half a percent of the random walk's loss at one bar."""

STRENGTHS: Final = (0.0, 0.03, 0.05, 0.07, 0.10, 0.13)
LEARNED: Final = (0.06, 0.10, 0.14, 0.18)
LEARNABLE: Final = 0.18
"""Strength by which training, too, has to find what is there four times in five."""


DRIFT: Final = 0.06
"""Mean return of a bar over its deviation: about one a year, as of shares that did well."""


@dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
        nothing: panels whose prices are random walks.
        every: on every so-manieth of them trees are trained as well, on another one ridge is
            trained after a search.
        drifting: panels whose prices are random walks with a constant drift.
        momentum: panels whose prices have some momentum.
        strengths: of the signal in made-up forecasts, 0 first.
        made_up: made-up forecasts by group: "ties", "none", or "strength/settings tried".
    """

    nothing: Sequence[Trained]
    every: int
    drifting: Sequence[Trained]
    momentum: Sequence[Trained]
    strengths: Sequence[float]
    made_up: "Mapping[str, Sequence[Planted]]"


@dataclass(frozen=True)
class Decisions:
    """What the gate decided on each part of a plan; `momentum` by strength."""

    nothing: Sequence[Judged]
    drifting: Sequence[Judged]
    momentum: "Mapping[float, Sequence[Judged]]"
    made_up: "Mapping[str, Sequence[Judged]]"


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count promotions without skill, and refusals of skill."""
    plan = _plan(seed, full=size == "full")
    panels = [*plan.nothing, *plan.drifting, *plan.momentum]
    trained = iter(workers.map(judge_trained, panels, "trained on made-up prices"))
    nothing = [next(trained) for _ in plan.nothing]
    drifting = [next(trained) for _ in plan.drifting]
    momentum: dict[float, list[Judged]] = {}
    for panel in plan.momentum:
        momentum.setdefault(panel.signal, []).append(next(trained))
    flat = [case for cases in plan.made_up.values() for case in cases]
    made_up = iter(workers.map(judge_planted, flat, "made-up forecasts"))
    judged = Decisions(
        nothing,
        drifting,
        momentum,
        {name: [next(made_up) for _ in cases] for name, cases in plan.made_up.items()},
    )
    return Outcome(
        _findings(judged),
        _story(plan, judged),
        {
            "trained on random walks": counts(judged.nothing),
            "trained on walks with drift": counts(judged.drifting),
            "made up": {name: counts(decisions) for name, decisions in judged.made_up.items()},
            "trained on momentum": {
                f"{s:g}": counts(decisions) for s, decisions in momentum.items()
            },
        },
    )


def _plan(seed: int, *, full: bool) -> Plan:
    walks, every, planted, each = (200, 8, 250, 30) if full else (6, 3, 12, 6)
    seeds = iter(np.random.SeedSequence((seed, 52)).spawn(2_000))
    numbers = iter(range(seed * 100_000, seed * 100_000 + 100_000))
    kinds = tuple(WALKS)
    trees = ("ridge", "random_forest", "xgboost")
    nothing = [
        Trained(
            kinds[place % 3], 0.0, trees if place % every == 0 else ("ridge",), 4, 1_300,
            10 if place % every == 1 else 0, next(seeds),
        )
        for place in range(walks)
    ]  # fmt: skip
    momentum = [
        Trained(
            kinds[place % 3], strength, ("ridge",), 6, 2_520, 0, next(seeds), width=DEFAULT_WIDTH
        )
        for strength in (LEARNED if full else (LEARNABLE,))
        for place in range(24 if full else 2)
    ]
    drifting = [
        Trained(
            kinds[place % 3], 0.0, trees if place % every == 0 else ("ridge",), 6, 2_520, 0,
            seed_of_panel, DRIFT,
        )
        for place, seed_of_panel in enumerate(
            np.random.SeedSequence((seed, 53)).spawn(90 if full else 3)
        )
    ]  # fmt: skip
    strengths = STRENGTHS if full else (0.0, REALISTIC)
    made_up = {
        "ties": [Planted(0.0, True, 1, next(numbers)) for _ in range(planted)],
        "none": [Planted(0.0, False, 1, next(numbers)) for _ in range(planted)],
    }
    for strength in strengths[1:]:
        for searched in (1, 20) if full else (1,):
            promised = full and (strength, searched) == (REALISTIC, 1)
            made_up[f"{strength:g}/{searched}"] = [
                Planted(strength, False, searched, next(numbers))
                for _ in range(100 if promised else each)
            ]
    return Plan(nothing, every, drifting, momentum, strengths, made_up)


def _findings(judged: Decisions) -> list[Finding]:
    realistic = judged.made_up[f"{REALISTIC:g}/1"]
    return [
        *(
            at_most(f"{what}: promoted", promoted(decisions), len(decisions), MOST_FALSE)
            for what, decisions in (
                ("random walks on which candidates were trained", judged.nothing),
                ("walks with a constant drift on which candidates were trained", judged.drifting),
                ("made-up forecasts without skill", judged.made_up["none"]),
                ("made-up forecasts in truth as good as the benchmark", judged.made_up["ties"]),
            )
        ),
        Finding(
            f"made-up forecasts that know a signal of {REALISTIC:g}: promoted by the first training",
            share(promoted(realistic), len(realistic)),
        ),
        _learnable(judged.momentum),
        *(
            Finding(
                f"ridge trained on prices with momentum of {strength:g}: promoted",
                share(promoted(decisions), len(decisions)),
            )
            for strength, decisions in judged.momentum.items()
        ),
    ]


def _story(plan: Plan, judged: Decisions) -> list[str | Table | Plot]:
    return [
        (
            f"**Nothing to find.** Real candidates were trained, walk-forward in four folds, on "
            f"{len(plan.nothing)} panels of 4 symbols x 1,300 bars whose prices are random walks "
            f"({'; '.join(WALKS.values())}; symbols have 45 % of variance in "
            f"common): ridge on all, random forest and XGBoost as well on every {plan.every}th, and "
            f"on another {plan.every}th ridge after a search of 10 settings, all with the random "
            "walk's width, for a learned one would have skill of its own. Fitting noise makes a "
            "candidate worse than the random walk, so these are promoted less often than the level "
            "allows. The hard case is a benchmark that errs as much as the candidates: "
            f"made-up forecasts, {len(plan.made_up['ties'])} times, {PERIODS:,} periods x {SYMBOLS} "
            "symbols, three candidates."
        ),
        _by_kind(plan.nothing, judged.nothing),
        (
            f"**A drift is no skill.** On {len(plan.drifting)} panels of 6 symbols x 2,520 bars all "
            f"prices rise by {DRIFT:g} standard deviations a bar on average, always, as survivors' "
            "prices look in hindsight; besides, they are the same random walks. A candidate that "
            "learns the rise beats the random walk in earnest, but it has no more to tell than the "
            "mean of past returns. The rule that a direction must beat that drift, too, alone "
            f"refused {refused_by_alone(judged.drifting, 'direction_proved')} of "
            f"{len(judged.drifting)} panels, and {promoted(judged.drifting)} were promoted."
        ),
        (
            f"**Something to find.** Made-up forecasts know a signal up to an error of their own "
            f"of 0.03 standard deviations. At a strength of {REALISTIC:g} the best one-bar "
            f"forecast correlates so much with the return. Where 20 settings were tried for each "
            "candidate the p-value is deflated by them, which costs power; without a search it "
            "costs none. Trained on prices, ridge must find the signal first (momentum over ten "
            "bars, 6 symbols x 2,520 bars, four folds, the width that a training learns by default), "
            "and learns less of it than is there. "
            f"{_strengths_in_words()} Locations are shrunk by what earlier folds bear out, and the "
            "tails of all models are calibrated alike, because a direction learned from few outcomes that "
            "overlap costs at long horizons what it brings at short ones."
        ),
        Plot(
            "power",
            "Promoted, by strength of the signal, with exact 95 % intervals; dotted: the "
            "nominal level.",
            partial(_paint, _curves(plan.strengths, judged)),
        ),
        "**Which gate refused.** A refusal usually has several reasons.",
        by_gate(
            {
                "random walks, trained": judged.nothing,
                "walks with drift, trained": judged.drifting,
                "as good as the benchmark": judged.made_up["ties"],
                f"signal {REALISTIC:g}": judged.made_up[f"{REALISTIC:g}/1"],
            }
        ),
    ]


def _learnable(learned: "Mapping[float, Sequence[Judged]]") -> Finding:
    """The least strength from which on training finds four signals in five."""
    enough_promoted = {
        s: promoted(decisions) >= LEAST_FOUND * len(decisions) for s, decisions in learned.items()
    }
    least = min(
        (s for s in enough_promoted if all(enough_promoted[t] for t in enough_promoted if t >= s)),
        default=np.inf,
    )
    return Finding(
        f"ridge trained on prices: least momentum of which {LEAST_FOUND:.0%} are promoted",
        f"{least:g}" if np.isfinite(least) else f"above {max(enough_promoted):g}",
        f"at most {LEARNABLE:g}",
        holds=bool(least <= LEARNABLE),
    )


def _strengths_in_words() -> str:
    """What the learned strengths amount to, in words."""
    sizes = [f"{s:g} explains {s**2:.1%} of the variance of a bar's return and correlates "
             f"{correlation_at(s, 5):.2f} with the five-bar return" for s in (REALISTIC, LEARNABLE)]  # fmt: skip
    return (
        f"A momentum of {'; one of '.join(sizes)}. The former is the good end of what is found in "
        "daily prices of liquid markets, the latter is beyond it."
    )


def _by_kind(panels: Sequence[Trained], judged: Sequence[Judged]) -> Table:
    """Promotions of random walks, by how they were made and who was trained."""
    groups: dict[str, list[Judged]] = {}
    for panel, decision in zip(panels, judged, strict=True):
        who = " + ".join(panel.kinds).replace("_", " ") + (", searched" if panel.search else "")
        for name in (panel.walk, who):
            groups.setdefault(name, []).append(decision)
    return Table(
        ["random walks", ">promoted", ">of", ">mean skill of the best"],
        [
            [
                name,
                str(promoted(decisions)),
                str(len(decisions)),
                f"{np.mean([decision.skill for decision in decisions]):+.2%}",
            ]
            for name, decisions in groups.items()
        ],
    )


_Curve = dict[str, dict[float, tuple[int, int]]]


def _curves(strengths: Sequence[float], judged: Decisions) -> _Curve:
    """Promotions and runs per strength, for each curve of the plot."""
    curves: _Curve = {}
    for searched, label in ((1, "made up, no search"), (20, "made up, 20 settings each")):
        points = {s: judged.made_up.get(f"{s:g}/{searched}", ()) for s in strengths[1:]}
        if searched == 1:
            points = {0.0: judged.made_up["none"], **points}
        if any(points.values()):
            curves[label] = {
                s: (promoted(decisions), len(decisions))
                for s, decisions in points.items()
                if decisions
            }
    curves["ridge, trained on prices"] = {
        s: (promoted(decisions), len(decisions)) for s, decisions in judged.momentum.items()
    }
    return curves


def _paint(curves: _Curve, figure: Any, theme: Theme) -> None:
    axes = styled_axes(
        figure, theme, "signal: correlation of the best one-bar forecast with the return",
        "promoted (%)",
    )  # fmt: skip
    axes.axhline(100 * ALPHA, color=theme.ink, linewidth=0.9, linestyle=(0, (1, 2)))
    for place, (label, points) in enumerate(curves.items()):
        plot_shares(
            axes, np.array([*points]) + 0.001 * (place - 1), points.values(),
            color=theme.hues[place], marker=MARKERS[place], label=label,
        )  # fmt: skip
    axes.set_ylim(0, 102)
    styled_legend(axes, theme, loc="upper left")


EXPERIMENT: Final = Experiment(
    name="promotion",
    title="Promotion gate",
    question=(
        "The gate promotes a candidate that beats the random walk at 5 % over all trainings of a data "
        "set (this is the first), survives having been picked and the settings that were tried, is at no horizon worse, no worse than the "
        "champion, whose direction, if it claims one, beats none and a constant drift, and whose "
        "intervals hold. How often does it promote on prices that nobody can "
        "forecast, how often does it find a signal that is there, and which rule refused?"
    ),
    run=run,
)
