"""Intervals in calm and storm: coverage per third of the volatility, and how often its test errs."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.shares import exact_interval, share
from forecasting.evaluation.conditional_coverage import (
    THIRDS,
    ConditionalCoverage,
    conditional_coverage,
    scale_thirds,
    sum_coverage,
)
from forecasting.evaluation.loss_sums import panel_of

HORIZONS: Final = (1, 5, 10, 20, 30)
ALPHA: Final = 0.05
PERIODS: Final = 1_500
SYMBOLS: Final = 4
SWINGS: Final = (0.0, 0.05, 0.1, 0.2)
"""By how much the logarithm of the width errs (deviation); 0 is an honest width."""
MOST_REFUSED: Final = 0.08


@dataclass(frozen=True)
class Made:
    """A made-up market of constant volatility whose published width swings."""

    swing: float
    seed: int


def coverage_of(universe: str) -> ConditionalCoverage:
    """The random walk's coverage on a bundled data set, thirds taken from all of its history."""
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.training import train_on_examples

    examples = bundled.examples_of(universe)
    forecasts = train_on_examples(NULL_MODEL, examples, threads=1).out_of_sample
    steps = walk_forward(examples.timestamps, examples.codes)
    scored = np.sort(np.concatenate([step.test for step in steps[1:]]))
    thirds = scale_thirds(examples.scale, examples.codes, examples.timestamps)[scored]
    panel = panel_of({NULL_MODEL: forecasts})
    return conditional_coverage(sum_coverage(forecasts, panel, thirds, HORIZONS), panel)


def deviates(made: Made) -> bool:
    """Whether anything deviates on a made-up market."""
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.testing import planted_forecasts, with_wandering_volatility

    plain = planted_forecasts(
        signal=0, candidates=(), symbols=SYMBOLS, periods=PERIODS, seed=made.seed
    )[NULL_MODEL]
    forecasts = with_wandering_volatility(plain, swing=made.swing, seed=made.seed)
    thirds = scale_thirds(forecasts.scale, forecasts.codes, forecasts.timestamps)
    panel = panel_of({NULL_MODEL: forecasts})
    found = conditional_coverage(sum_coverage(forecasts, panel, thirds, HORIZONS), panel)
    return alarms(found) > 0


def alarms(found: ConditionalCoverage) -> int:
    """Cells and gaps that deviate after Holm's correction."""
    return sum(p_value < ALPHA for p_value in found.adjusted)


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count the random walk's outcomes in calm and storm, and the alarms on made-up markets."""
    universes, honest, swinging = bundled.universes(), 250, 100
    if size == "small":
        universes, honest, swinging = ("indices",), 20, 4
    made = [
        Made(swing, seed * 10_000 + number)
        for swing in SWINGS
        for number in range(swinging if swing else honest)
    ]
    real = dict(zip(universes, workers.map(coverage_of, universes, "bundled prices"), strict=True))
    found = dict(zip(made, workers.map(deviates, made, "made-up markets"), strict=True))
    refused = {swing: [found[item] for item in made if item.swing == swing] for swing in SWINGS}
    false = sum(refused[0.0])
    findings = [
        Finding(
            "made-up markets, honest width: something deviates",
            share(false, honest),
            f"5%, and not surely above {MOST_REFUSED:.0%}",
            exact_interval(false, honest)[0] <= MOST_REFUSED,
        )
    ]
    findings += [
        Finding(
            f"{universe}: the random walk's coverage deviates",
            f"in {alarms(found)} of {len(found.adjusted)} tests",
        )
        for universe, found in real.items()
    ]
    return Outcome(
        findings=findings,
        story=[
            _STORY,
            _real_table(real),
            _MADE,
            Table(
                ["the width's logarithm errs by", ">something deviates"],
                [[f"{swing:g}", share(sum(each), len(each))] for swing, each in refused.items()],
            ),
        ],
        data={
            "bundled": {universe: _data(found) for universe, found in real.items()},
            "made": {str(swing): [sum(each), len(each)] for swing, each in refused.items()},
        },
    )


def _real_table(real: dict[str, ConditionalCoverage]) -> Table:
    rows = []
    for universe, found in real.items():
        for third in THIRDS:
            own = [cell for cell in found.cells if cell.third == third]
            shares = [f"{cell.coverage:.1%}{_star(cell.adjusted_p)}" for cell in own]
            rows.append([universe, third, f"{own[0].forecasts:,}", *shares])
        gaps = [f"{100 * gap.gap:+.1f}{_star(gap.adjusted_p)}" for gap in found.gaps]
        rows.append([universe, "storm less calm, points", "", *gaps])
    return Table(["data", "third", ">outcomes", *(f">{h}" for h in HORIZONS)], rows)


def _data(found: ConditionalCoverage) -> dict[str, object]:
    by_third = {third: [cell for cell in found.cells if cell.third == third] for third in THIRDS}
    return {
        "horizons": list(HORIZONS),
        "outcomes": {third: [cell.forecasts for cell in own] for third, own in by_third.items()},
        "coverage": {
            third: [round(cell.coverage, 4) for cell in own] for third, own in by_third.items()
        },
        "gap": [round(gap.gap, 4) for gap in found.gaps],
        "adjusted_p": [round(p_value, 4) for p_value in found.adjusted],
    }


def _star(adjusted_p: float) -> str:
    return " *" if adjusted_p < ALPHA else ""


_STORY: Final = (
    "Coverage of the random walk's 90 % interval on walk-forward points, by horizon in bars and by "
    "the rank of the volatility among those of the 365 days of the same symbol up to the forecast: "
    "lowest, middle and highest third. A star: it deviates from 90 %, or storm from calm (t test, "
    "overlap counted, a period's symbols as one observation, Holm's correction over all tests of a "
    "data set, level 5 %). All of today's candidates have the width of the EWMA volatility times the "
    "square root of the horizon. Volatility returns to its mean, and this width does not know it: "
    "too narrow in calm, too wide in storm. No gate looks at this yet."
)
_MADE: Final = (
    f"Made-up markets: {PERIODS:,} periods of {SYMBOLS} symbols, normal returns of constant "
    "volatility, 40 % of the variance in common. The published volatility wanders (AR(1), "
    "coefficient 0.98, deviation of the logarithm 0.3), and thirds are taken from it; the width "
    "of the interval wanders with it by as much as the table says."
)

EXPERIMENT: Final = Experiment(
    name="conditional_coverage",
    title="Intervals in calm and storm",
    question="Does the 90 % interval hold 90 % in calm and in storm alike? And how often does the "
    "test of it find a deviation where there is none?",
    run=run,
)
