"""Significance experiment: level and power of the tests that the gate rests on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.shares import exact_interval, plot_shares, share
from forecasting.report.plots import MARKERS, Theme, styled_axes, styled_legend

Reals = NDArray[np.float64]

ALPHA: Final = 0.05
PERIODS: Final = 1_250
MODELS: Final = 3
RELATED: Final = 0.5
"""Correlation of the models' gains over the benchmark: their errors differ, its are the same."""

NULLS: Final = {
    "independent": ("independent from period to period", 1),
    "autocorrelated": ("AR(1) with coefficient 0.5, forecasts that do not overlap", 1),
    "overlap 5": ("sums of 5 independent moves: forecasts 5 periods ahead", 5),
    "overlap 30": ("sums of 30 independent moves: forecasts 30 periods ahead", 30),
    "overlap 30, GARCH": ("the same of GARCH(1,1) moves with Student t shocks", 30),
}
"""What the gains over the benchmark are like, and how far they reach ahead."""

TESTS: Final = {
    "dm": "Diebold-Mariano",
    "spa": "SPA over three models",
    "both": "both: the best of three, then SPA",
    "mcs": "confidence set drops one of four",
    "textbook": "Diebold-Mariano by the textbook",
    "bootstrap": "SPA by the bootstrap (arch)",
    "arch": "confidence set by the bootstrap (arch)",
}
"""Ours first, then what they are compared with."""

OWN_TESTS: Final = ("dm", "spa", "both")
STRENGTHS: Final = (0.0, 1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Batch:
    """Runs on one kind of gains.

    Attributes:
        null: a key of `NULLS`.
        strength: mean gain of the first model, in standard errors of a mean gain.
        runs: how many.
        compare: of these, how many also ask the bootstraps, which take far longer.
        seed: of everything.
    """

    null: str
    strength: float
    runs: int
    compare: int
    seed: np.random.SeedSequence


def batch_p_values(batch: Batch) -> dict[str, list[float]]:
    """P-values per test; of `both` the larger one, of `mcs` the least of equal models."""
    from forecasting.stats.significance import (
        diebold_mariano,
        model_confidence_set,
        superior_predictive_ability,
    )

    ahead = NULLS[batch.null][1]
    rng = np.random.default_rng(batch.seed)
    p_values: dict[str, list[float]] = defaultdict(list)
    for run in range(batch.runs):
        gains = gains_without_skill(rng, batch.null)
        gains[:, 0] += batch.strength * _deviation(batch.null) / np.sqrt(PERIODS)
        benchmark = np.zeros(PERIODS)
        spa = superior_predictive_ability(benchmark, -gains, overlap=ahead, seed=run)
        best = int(gains.mean(axis=0).argmax())
        p_values["dm"].append(diebold_mariano(gains[:, 0], horizon=ahead).p_value)
        p_values["spa"].append(spa)
        p_values["both"].append(max(spa, diebold_mariano(gains[:, best], horizon=ahead).p_value))
        p_values["textbook"].append(textbook_p_value(gains[:, 0], ahead))
        if run < batch.compare:
            losses = np.column_stack([benchmark, -gains])
            alone = _bootstrapped(losses, max(ahead, 2), run)
            p_values["mcs"].append(
                float(model_confidence_set(losses, overlap=ahead, seed=run).min())
            )
            p_values["bootstrap"].append(alone[0])
            p_values["arch"].append(alone[1])
    return dict(p_values)


def gains_without_skill(rng: np.random.Generator, null: str) -> Reals:
    """Gains of three models over a benchmark that none of them beats, shape [periods, models]."""
    ahead = NULLS[null][1]
    steps = PERIODS + ahead - 1 + 100

    def draw(columns: int) -> Reals:
        if null.endswith("GARCH"):
            heavy: Reals = rng.standard_t(5, (steps, columns)) * np.sqrt(3 / 5)
            return heavy
        return rng.standard_normal((steps, columns))

    moves = np.sqrt(RELATED) * draw(1) + np.sqrt(1 - RELATED) * draw(MODELS)
    if null.endswith("GARCH"):
        variance = np.ones(MODELS)
        for step in range(steps):
            moves[step] *= np.sqrt(variance)
            variance = 0.02 + 0.08 * np.minimum(moves[step] ** 2, 100) + 0.9 * variance
    if null == "autocorrelated":
        for step in range(1, steps):
            moves[step] += 0.5 * moves[step - 1]
    summed = np.cumsum(np.vstack([np.zeros(MODELS), moves]), axis=0)
    gains: Reals = (summed[ahead:] - summed[:-ahead])[-PERIODS:]
    return gains


def textbook_p_value(gain: Reals, ahead: int) -> float:
    """Newey & West's (1987) variance at h - 1 lags, Harvey, Leybourne & Newbold's (1997) factor."""
    from scipy.special import stdtr

    centred, periods = gain - gain.mean(), gain.size
    variance = float(centred @ centred)
    for lag in range(1, ahead):
        variance += 2 * (1 - lag / ahead) * float(centred[lag:] @ centred[:-lag])
    factor = (periods + 1 - 2 * ahead + ahead * (ahead - 1) / periods) / periods
    return float(stdtr(periods - 1, -gain.mean() * periods / np.sqrt(variance) * np.sqrt(factor)))


def _bootstrapped(losses: Reals, block: int, seed: int) -> tuple[float, float]:
    """P-value of SPA, and the least one of the confidence set, by arch's stationary bootstrap.

    arch takes SPA's option to studentise but does not apply it; the gains are scaled here.
    """
    from arch.bootstrap import MCS, SPA

    gains = (losses[:, :1] - losses[:, 1:]) / losses[:, 1:].std(axis=0)
    rng = np.random.default_rng((seed, 1))
    ability = SPA(np.zeros(len(gains)), -gains, block_size=block, reps=300, seed=rng)
    ability.compute()
    best = MCS(losses, ALPHA, block_size=block, reps=300, method="max", seed=rng)
    best.compute()
    return float(ability.pvalues["consistent"]), float(best.pvalues["Pvalue"].min())


def _deviation(null: str) -> float:
    """Root of the long-run variance of the gains."""
    return {"autocorrelated": 2.0}.get(null, float(NULLS[null][1]))


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count rejections where nothing is better, and where one model is."""
    runs, compare, batches = (400, 200, 8) if size == "full" else (60, 15, 1)
    kinds = tuple(NULLS) if size == "full" else ("autocorrelated", "overlap 30")
    seeds = iter(np.random.SeedSequence((seed, 51)).spawn(1_000))
    level = [
        Batch(null, 0.0, runs // batches, compare // batches, next(seeds))
        for null in kinds
        for _ in range(batches)
    ]
    power_kinds = ("overlap 5", "overlap 30") if size == "full" else ("overlap 30",)
    power = [
        Batch(null, strength, runs // 4, 0, next(seeds))
        for null in power_kinds
        for strength in STRENGTHS[1:]
        for _ in range(2 if size == "full" else 1)
    ]
    answers = workers.map(
        batch_p_values, [*level, *power], "p-values of series without and with skill"
    )
    p_values = _gathered([*level, *power], answers)
    findings = [_level(p_values, test, kinds) for test in (*OWN_TESTS, "mcs")]
    findings += [
        Finding(f"{TESTS[test]}, where nothing is better", share(*_rejected(p_values, test, kinds)))
        for test in ("textbook", "bootstrap", "arch")
    ]
    counts = {
        f"{null}, gain {strength:g}": {
            test: [int(np.sum(np.array(values) < ALPHA)), len(values)]
            for test, values in tests.items()
        }
        for (null, strength), tests in p_values.items()
    }
    return Outcome(
        findings, _story(p_values, kinds, power_kinds[-1]), {"rejected at 5 %, of": counts}
    )


PValues = dict[tuple[str, float], dict[str, list[float]]]


def _story(p_values: PValues, kinds: Sequence[str], power_null: str) -> list[str | Table | Plot]:
    return [
        (
            f"Gains of {MODELS} models over a benchmark, {PERIODS:,} periods (five years of days); in "
            f"truth all are equally good, and their gains correlate by {RELATED}. A test at a nominal "
            f"{ALPHA:.0%} should say otherwise in one case of twenty."
        ),
        _table(p_values, kinds),
        (
            "The textbook's variance counts autocorrelations at h - 1 lags with weights that fall to "
            "0: with overlapping forecasts that is a third too little, and where losses are "
            "autocorrelated beyond the overlap it is less still. The bootstrap in blocks as long as "
            "the overlap shrinks variances likewise, in SPA and in the confidence set. We average the "
            "series' slowest cosines, as many as 0.4 T^(2/3) and T / 2h allow, and judge by "
            "Student's t with that many degrees of freedom (Lazarus, Lewis, Stock & Watson, 2018; Coroneo & Iacone, 2020); SPA keeps "
            "Hansen's (2005) statistic and his choice of models, the confidence set Hansen, Lunde & "
            "Nason's (2011) sequence of tests, and both take their laws from the same asymptotics."
        ),
        Plot(
            "p-values",
            "Share of runs with a p-value below each level, forecasts 30 periods ahead without "
            "any skill: on the dotted line a test keeps every level, above it it cries wolf.",
            partial(_paint_level, p_values),
        ),
        Plot(
            "power",
            "Share of runs that find a model whose true gain is so many standard errors, among "
            "two that gain nothing, with exact 95 % intervals. Dotted: the best possible test of "
            "the one model, which knows the variance and which model it is.",
            partial(_paint_power, p_values, power_null),
        ),
    ]


def _gathered(batches: Sequence[Batch], answers: Sequence[dict[str, list[float]]]) -> PValues:
    p_values: PValues = defaultdict(lambda: defaultdict(list))
    for batch, answer in zip(batches, answers, strict=True):
        for test, values in answer.items():
            p_values[batch.null, batch.strength][test] += values
    return {key: dict(tests) for key, tests in p_values.items()}


def _rejected(p_values: PValues, test: str, kinds: Sequence[str]) -> tuple[int, int]:
    values = np.concatenate([p_values[null, 0.0][test] for null in kinds])
    return int(np.sum(values < ALPHA)), int(values.size)


def _level(p_values: PValues, test: str, kinds: Sequence[str]) -> Finding:
    """Kept unless the exact 95 % interval of the share lies above 6 %."""
    count, total = _rejected(p_values, test, kinds)
    low, _ = exact_interval(count, total)
    return Finding(
        f"{TESTS[test]}, where nothing is better",
        share(count, total),
        f"{ALPHA:.0%}, and not surely above 6 %",
        holds=bool(low <= 0.06),
    )


def _table(p_values: PValues, kinds: Sequence[str]) -> Table:
    rows = [
        [
            NULLS[null][0],
            *(f"{np.mean(np.array(p_values[null, 0.0][t]) < ALPHA):.1%}" for t in TESTS),
        ]
        for null in kinds
    ]
    return Table(["gains", *(f">{label}" for label in TESTS.values())], rows)


def _paint_level(p_values: PValues, figure: Any, theme: Theme) -> None:
    tests = p_values["overlap 30", 0.0]
    pairs = (("dm", "textbook", "Diebold-Mariano"), ("spa", "bootstrap", "SPA"))
    for place, (own, other, title) in enumerate(pairs, 121):
        axes = styled_axes(figure, theme, "p-value (%)", "runs below it (%)", place=place)
        axes.set_title(title, color=theme.ink, fontsize=9)
        axes.plot([0, 30], [0, 30], color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
        for test, hue, label in ((own, 0, "ours"), (other, 1, TESTS[other].split(" by ")[-1])):
            values = np.sort(tests[test])
            share_below = np.arange(1, values.size + 1) / values.size
            axes.step(100 * values, 100 * share_below, where="post", color=theme.hues[hue],
                      linewidth=1.6, label=label)  # fmt: skip
        axes.set_xlim(0, 30)
        axes.set_ylim(0, 40)
        styled_legend(axes, theme, loc="upper left")


def _paint_power(p_values: PValues, null: str, figure: Any, theme: Theme) -> None:
    from scipy.special import ndtr

    axes = styled_axes(figure, theme, "true gain (standard errors)", "runs that find it (%)")
    grid = np.linspace(0, 4, 81)
    axes.plot(grid, 100 * ndtr(grid - 1.6449), color=theme.ink, linewidth=0.9,
              linestyle=(0, (1, 2)), label="best possible for one model")  # fmt: skip
    for place, test in enumerate(OWN_TESTS):
        values = [np.array(p_values[null, strength][test]) for strength in STRENGTHS]
        plot_shares(
            axes, np.array(STRENGTHS) + 0.03 * (place - 1),
            [(int(np.sum(ps < ALPHA)), ps.size) for ps in values],
            color=theme.hues[place], marker=MARKERS[place], label=f"{TESTS[test]}, {null}",
        )  # fmt: skip
    axes.set_ylim(0, 102)
    styled_legend(axes, theme, loc="upper left")


EXPERIMENT: Final = Experiment(
    name="significance",
    title="Significance tests",
    question=(
        "A verdict rests on Diebold and Mariano's test, and on Hansen's SPA test because the best "
        "candidate was picked. How often do they find skill in series that have none, and how "
        "often in series that have some? Tried on gains that are autocorrelated, overlap for up "
        "to 30 periods and whose volatility moves."
    ),
    run=run,
)
