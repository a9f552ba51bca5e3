"""Lifetime experiment: weekly trainings over five years, and how many worlds ever see a promotion."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.lifetime_trials import (
    ALPHA,
    BARS_A_WEEK,
    FEWER_BARS,
    FIRST_BARS,
    SYMBOLS,
    Promoted,
    World,
    first_promotions,
)
from benchmarks.honesty.shares import at_least, at_most, share
from forecasting.models.cross_validation import INITIAL
from forecasting.report.plots import Theme, styled_axes, styled_legend

SIGNAL: Final = 0.10
"""Strength that the promotion experiment calls the good end of what is found in daily prices."""

YEAR: Final = 52
MOST_FALSE: Final = 0.08
LEAST_FOUND: Final = 0.80

NOTHING: Final = "nothing to find"
TIES: Final = "as good as the benchmark"
FOUND: Final = f"signal {SIGNAL:g}"
FEWER: Final = f"signal {SIGNAL:g}, 1,500 periods at first"


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count worlds with at least one promotion, with and without something to find."""
    worlds = _worlds(seed, full=size == "full")
    flat = [world for group in worlds.values() for world in group]
    done = iter(workers.map(first_promotions, flat, "weekly trainings"))
    judged = {name: [next(done) for _ in group] for name, group in worlds.items()}
    return Outcome(_findings(judged), _story(worlds, judged), _data(judged))


def _worlds(seed: int, *, full: bool) -> dict[str, list[World]]:
    numbers = iter(range(seed * 100_000 + 50_000, seed * 100_000 + 60_000))
    null, found = (200, 100) if full else (2, 2)
    years = 5 * YEAR if full else YEAR

    def some(
        count: int, signal: float, weeks: int, bars: int, *, ties: bool = False
    ) -> list[World]:
        return [World(signal, ties, weeks, bars, next(numbers)) for _ in range(count)]

    return {
        NOTHING: some(null, 0.0, years, FIRST_BARS),
        TIES: some(null, 0.0, years, FIRST_BARS, ties=True),
        FOUND: some(found, SIGNAL, YEAR, FIRST_BARS),
        FEWER: some(found, SIGNAL, YEAR, FEWER_BARS),
    }


def _ever(judged: Sequence[Promoted], weeks: int, name: str = "over_all") -> int:
    return sum(0 <= getattr(one, name) <= weeks for one in judged)


def _findings(judged: dict[str, list[Promoted]]) -> list[Finding]:
    null, ties = judged[NOTHING], judged[TIES]
    every = 5 * YEAR
    return [
        at_most("without skill: promoted at least once in five years", _ever(null, every), len(null), MOST_FALSE),
        at_most(
            "in truth as good as the benchmark: promoted at least once in five years",
            _ever(ties, every), len(ties), MOST_FALSE,
        ),
        at_least(
            f"signal of {SIGNAL:g}: promoted within a year",
            _ever(judged[FOUND], YEAR), len(judged[FOUND]), LEAST_FOUND,
        ),
        at_least(
            f"signal of {SIGNAL:g}, 1,500 periods at first: promoted within a year",
            _ever(judged[FEWER], YEAR), len(judged[FEWER]), LEAST_FOUND,
        ),
        Finding(
            "in truth as good as the benchmark, were each training judged alone: promoted at least once",
            share(_ever(ties, every, "each_alone"), len(ties)),
        ),
    ]  # fmt: skip


def _story(
    worlds: dict[str, list[World]], judged: dict[str, list[Promoted]]
) -> list[str | Table | Plot]:
    looks = (0, YEAR, 2 * YEAR, 5 * YEAR)
    heads = ("first", "1 year", "2 years", "5 years")
    rows = [
        [
            f"{group}, {label}",
            str(len(found)),
            *(str(_ever(found, look, name)) if look <= worlds[group][0].weeks else "" for look in looks),
        ]
        for group, found in judged.items()
        for name, label in (("over_all", "the gate"), ("each_alone", "each training alone"))
    ]  # fmt: skip
    periods = FIRST_BARS - int(INITIAL * FIRST_BARS)
    return [
        (
            f"Made-up forecasts of three candidates, {SYMBOLS} symbols, as in the promotion "
            f"experiment. The first training has {FIRST_BARS:,} daily bars, of which the last "
            f"{1 - INITIAL:.0%} are out of sample ({periods:,} periods); each week adds {BARS_A_WEEK} "
            "bars, and both ends of the out-of-sample periods move, as they do in a training. A full "
            "training each week would be too dear: the forecasts of a world are made once and each "
            "week is judged on the losses it knows, so that a model that is fitted anew does not "
            "change what it said of an old bar. Asked are the gates that rest on losses (the random "
            "walk, the picking, the direction, the horizons); those of the intervals can only refuse, "
            "and made-up intervals hold."
        ),
        Table(["worlds", ">of", *(f">{head}" for head in heads)], rows),
        Plot(
            "ever",
            f"Worlds without skill with at least one promotion so far; dotted: {ALPHA:.0%}.",
            partial(_paint, {name: judged[name] for name in (NOTHING, TIES)}, worlds[TIES][0].weeks),
        ),
    ]  # fmt: skip


def _data(judged: dict[str, list[Promoted]]) -> dict[str, Any]:
    return {
        group: {name: [getattr(one, name) for one in found] for name in ("over_all", "each_alone")}
        for group, found in judged.items()
    }


def _paint(judged: dict[str, list[Promoted]], weeks: int, figure: Any, theme: Theme) -> None:
    axes = styled_axes(figure, theme, "weeks after the first training", "promoted so far (%)")
    axes.axhline(100 * ALPHA, color=theme.ink, linewidth=0.9, linestyle=(0, (1, 2)))
    at = np.arange(weeks + 1)
    for place, (group, found) in enumerate(judged.items()):
        for name, dashes, label in (("over_all", "-", "gate"), ("each_alone", "--", "each alone")):
            shares = [100 * _ever(found, int(week), name) / len(found) for week in at]
            axes.plot(at, shares, dashes, color=theme.hues[place], label=f"{group}: {label}")
    axes.set_ylim(bottom=0)
    styled_legend(axes, theme, loc="upper left")


EXPERIMENT: Final = Experiment(
    name="lifetime",
    title="Trainings every week",
    question=(
        "A data set is trained on again and again, and each training may promote. The gate's "
        "p-values hold over all trainings of a data set. In how many worlds without skill does "
        "it ever promote in five years, and is what is there still found within one?"
    ),
    run=run,
)
