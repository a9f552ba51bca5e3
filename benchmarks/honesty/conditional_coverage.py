"""Intervals in calm and storm: coverage per third of the volatility, how often its test errs, and the gate."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.returning_volatility import Returning, returning_forecasts
from benchmarks.honesty.shares import at_least, at_most, exact_interval, share
from benchmarks.honesty.variance_markets import KINDS
from benchmarks.honesty.variance_trials import FOLDS, Panel, learnable, oracle_forecasts
from forecasting.evaluation.conditional_coverage import (
    NOMINAL,
    THIRDS,
    ConditionalCoverage,
    conditional_coverage,
    scale_thirds,
    sum_coverage,
)
from forecasting.evaluation.coverage_band import outside_band
from forecasting.evaluation.loss_sums import panel_of
from forecasting.schema import COVERAGE_BAND

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample

HORIZONS: Final = (1, 5, 10, 20, 30)
ALPHA: Final = 0.05
PERIODS: Final = 1_500
SYMBOLS: Final = 4
SWINGS: Final = (0.0, 0.05, 0.1, 0.2)
"""By how much the logarithm of the width errs (deviation); 0 is an honest width."""
MOST_REFUSED: Final = 0.08
LEAST_REFUSED: Final = 0.8
PERSISTENCES: Final = (0.98, 0.95, 0.9, 0.8)
"""Coefficients of the AR(1) of a volatility's logarithm; the lower, the more the EWMA is late."""


TRUE_SCALE: Final = "ewma"
"""The market on which the random walk's own width is the true one."""


@dataclass(frozen=True)
class Made:
    """A made-up market of constant volatility whose published width swings.

    Attributes:
        swing: by how much the logarithm of the width errs (deviation).
        seed: of everything.
        coverage: share of outcomes that the interval holds where it does not swing.
    """

    swing: float
    seed: int
    coverage: float = NOMINAL


@dataclass(frozen=True)
class Judged:
    """What was found on one set of forecasts: deviations from 90 %, and a refusal by the gate."""

    deviates: bool
    refused: bool


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


def judge_made(made: Made) -> Judged:
    """Judge the intervals of a made-up market."""
    from scipy.special import ndtri

    from forecasting.models.candidates import NULL_MODEL
    from forecasting.testing import planted_forecasts, with_wandering_volatility

    plain = planted_forecasts(
        signal=0, candidates=(), symbols=SYMBOLS, periods=PERIODS, seed=made.seed
    )[NULL_MODEL]
    forecasts = with_wandering_volatility(plain, swing=made.swing, seed=made.seed)
    stretch = np.float32(ndtri((1 + made.coverage) / 2) / ndtri((1 + NOMINAL) / 2))
    return _judged(replace(forecasts, quantiles=forecasts.quantiles * stretch))


def judge_market(panel: Panel) -> tuple[Judged, Judged]:
    """Judge the random walk, and an oracle of the width, on a market whose variance is known."""
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.training import TrainingConfig, train_on_examples

    rows = learnable(panel)
    config = TrainingConfig(seed=7, folds=FOLDS)
    null = train_on_examples(NULL_MODEL, rows.examples, config, threads=1).out_of_sample
    return _judged(null), _judged(oracle_forecasts(null, rows.examples, rows.ahead))


def judge_returning(market: Returning) -> tuple[Judged, Judged]:
    """Judge the EWMA's width, and the true one, where volatility returns to its mean."""
    ewma, true = returning_forecasts(market)
    return _judged(ewma), _judged(true)


def _judged(forecasts: "OutOfSample") -> Judged:
    thirds = scale_thirds(forecasts.scale, forecasts.codes, forecasts.timestamps)
    panel = panel_of({forecasts.kind: forecasts})
    found = conditional_coverage(sum_coverage(forecasts, panel, thirds, HORIZONS), panel)
    cells, gaps = outside_band(found, COVERAGE_BAND)
    return Judged(alarms(found) > 0, any(p_value < ALPHA for p_value in (*cells, *gaps)))


def alarms(found: ConditionalCoverage) -> int:
    """Cells and gaps that deviate after Holm's correction."""
    return sum(p_value < ALPHA for p_value in found.adjusted)


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count the random walk's outcomes in calm and storm, and alarms and refusals on markets."""
    universes, honest, swinging, returning = bundled.universes(), 250, 100, 50
    panels = _panels(seed, 40, symbols=6, bars=2_520)
    if size == "small":
        universes, honest, swinging, returning = ("indices",), 20, 4, 1
        panels = _panels(seed, 1, symbols=4, bars=1_300)
    made = [
        Made(swing, seed * 10_000 + number)
        for swing in SWINGS
        for number in range(swinging if swing else honest)
    ]
    ends = [
        Made(0.0, seed * 10_000 + number, end) for end in COVERAGE_BAND for number in range(honest)
    ]
    real = dict(zip(universes, workers.map(coverage_of, universes, "bundled prices"), strict=True))
    cases = [*made, *ends]
    found = dict(zip(cases, workers.map(judge_made, cases, "made-up markets"), strict=True))
    markets: dict[str, list[tuple[Judged, Judged]]] = {kind: [] for kind in KINDS}
    judged = workers.map(judge_market, panels, "markets of known variance")
    for panel, both in zip(panels, judged, strict=True):
        markets[panel.market].append(both)
    swings = {swing: [found[item] for item in made if item.swing == swing] for swing in SWINGS}
    volatile = [
        Returning(persistence, seed * 10_000 + number)
        for persistence in PERSISTENCES
        for number in range(returning)
    ]
    reverting: dict[float, list[tuple[Judged, Judged]]] = {each: [] for each in PERSISTENCES}
    judged = workers.map(judge_returning, volatile, "volatility that returns to its mean")
    for market, both in zip(volatile, judged, strict=True):
        reverting[market.persistence].append(both)
    at_ends = [found[item] for item in ends]
    return Outcome(
        findings=_findings(real, swings[0.0], at_ends, markets, reverting),
        story=[
            _STORY,
            _real_table(real),
            _MADE,
            _made_table(swings),
            _MARKETS,
            _pair_table({KINDS[kind]: both for kind, both in markets.items()}, "oracle"),
            _RETURNING,
            _pair_table({f"{each:g}": both for each, both in reverting.items()}, "true width"),
        ],
        data={
            "bundled": {universe: _data(found) for universe, found in real.items()},
            "made": {str(swing): _counts(each) for swing, each in swings.items()},
            "at the band's end": _counts(at_ends),
            "markets": {kind: _both(pairs, "oracle") for kind, pairs in markets.items()},
            "returning": {
                str(each): _both(pairs, "true width") for each, pairs in reverting.items()
            },
        },
    )


def _panels(seed: int, count: int, *, symbols: int, bars: int) -> list[Panel]:
    seeds = iter(np.random.SeedSequence((seed, 95)).spawn(count * len(KINDS)))
    return [Panel(kind, (), symbols, bars, next(seeds)) for kind in KINDS for _ in range(count)]


def _findings(
    real: dict[str, ConditionalCoverage],
    honest: list[Judged],
    at_ends: list[Judged],
    markets: dict[str, list[tuple[Judged, Judged]]],
    reverting: dict[float, list[tuple[Judged, Judged]]],
) -> list[Finding]:
    deviating = sum(one.deviates for one in honest)
    refused_at_ends = sum(one.refused for one in at_ends)
    oracles = [oracle for pairs in (*markets.values(), *reverting.values()) for _, oracle in pairs]
    late = [ewma for ewma, _ in reverting[min(reverting)]]
    true_scale = [null for null, _ in markets[TRUE_SCALE]]
    return [
        Finding(
            "made-up markets, honest width: something deviates from 90 %",
            share(deviating, len(honest)),
            f"5%, and not surely above {MOST_REFUSED:.0%}",
            exact_interval(deviating, len(honest))[0] <= MOST_REFUSED,
        ),
        Finding(
            "made-up markets, coverage at an end of the band everywhere: the gate refuses",
            share(refused_at_ends, len(at_ends)),
            f"5%, and not surely above {MOST_REFUSED:.0%}",
            exact_interval(refused_at_ends, len(at_ends))[0] <= MOST_REFUSED,
        ),
        at_most(
            "markets whose variance is the random walk's own scale: the gate refuses its intervals",
            sum(one.refused for one in true_scale),
            len(true_scale),
            MOST_REFUSED,
        ),
        at_most(
            "markets of known variance: the gate refuses the intervals of who knows it",
            sum(one.refused for one in oracles),
            len(oracles),
            MOST_REFUSED,
        ),
        at_least(
            f"volatility of persistence {min(reverting):g}: the gate refuses the EWMA's intervals",
            sum(one.refused for one in late),
            len(late),
            LEAST_REFUSED,
        ),
        *(
            Finding(
                f"{universe}: the random walk's coverage deviates from 90 %",
                f"in {alarms(found)} of {len(found.adjusted)} tests",
            )
            for universe, found in real.items()
        ),
    ]


def _counts(judged: list[Judged]) -> dict[str, int]:
    return {
        "deviates": sum(one.deviates for one in judged),
        "refused": sum(one.refused for one in judged),
        "of": len(judged),
    }


def _made_table(swings: dict[float, list[Judged]]) -> Table:
    return Table(
        ["the width's logarithm errs by", ">something deviates", ">the gate refuses"],
        [
            [
                f"{swing:g}",
                share(sum(one.deviates for one in each), len(each)),
                share(sum(one.refused for one in each), len(each)),
            ]
            for swing, each in swings.items()
        ],
    )


def _both(pairs: list[tuple[Judged, Judged]], other: str) -> dict[str, dict[str, int]]:
    return {
        "random walk": _counts([null for null, _ in pairs]),
        other: _counts([oracle for _, oracle in pairs]),
    }


def _pair_table(markets: dict[str, list[tuple[Judged, Judged]]], other: str) -> Table:
    return Table(
        ["market", ">of", ">random walk refused", f">{other} refused"],
        [
            [
                words,
                str(len(pairs)),
                str(sum(null.refused for null, _ in pairs)),
                str(sum(oracle.refused for _, oracle in pairs)),
            ]
            for words, pairs in markets.items()
        ],
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
    "data set, level 5 %). The random walk's width is the EWMA volatility times the square root of "
    "the horizon. Volatility returns to its mean, and this width does not know it: too narrow in "
    "calm, too wide in storm. The gate asks less than no deviation: coverage of no third may be "
    f"significantly outside of {COVERAGE_BAND[0]:.0%} to {COVERAGE_BAND[1]:.0%}, and storm may not "
    "differ from calm by significantly more than that band is wide."
)
_MADE: Final = (
    f"Made-up markets: {PERIODS:,} periods of {SYMBOLS} symbols, normal returns of constant "
    "volatility, 40 % of the variance in common. The published volatility wanders (AR(1), "
    "coefficient 0.98, deviation of the logarithm 0.3), and thirds are taken from it; the width "
    "of the interval wanders with it by as much as the table says."
)
_MARKETS: Final = (
    "Markets whose variance is known, as in [promotion for a learned width]"
    "(#promotion-for-a-learned-width), 6 symbols of 2,520 bars: how often the gate would refuse the "
    "intervals of the random walk, and of an oracle that knows the variance to expect. Where the "
    "variance is constant, the EWMA's own noise is what it takes for calm and storm."
)
_RETURNING: Final = (
    "Made-up markets, 2,500 periods of 6 symbols, whose volatility's logarithm is an AR(1) of "
    "deviation 0.6 and the coefficient in the table: the lower it is, the sooner storms pass, and "
    "the later the EWMA is. Widths hold 90 % on average. How often the gate refuses the EWMA's, and "
    "that of who knows the volatility."
)

EXPERIMENT: Final = Experiment(
    name="conditional_coverage",
    title="Intervals in calm and storm",
    question="Does the 90 % interval hold 90 % in calm and in storm alike? And how often does the "
    "test of it find a deviation where there is none, and the gate refuse?",
    run=run,
)
