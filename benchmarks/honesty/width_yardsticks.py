"""Learned widths beside the textbook's on real prices: skill, calm and storm, sharpness."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.yardsticks import YARDSTICKS, forecasts
from forecasting.models.width import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.evaluation.evaluate import Evaluation
    from forecasting.models.out_of_sample import OutOfSample

HORIZONS: Final = (1, 5, 10, 20, 30)
SEED: Final = 7
NULL: Final = "random_walk"
CANDIDATES: Final = tuple(PARTS)
"""Every candidate that learns a width, with default settings."""


@dataclass(frozen=True)
class Width:
    """What one width came to on a data set.

    Attributes:
        kind: the candidate or yardstick.
        skill: against the random walk, over all horizons.
        statistic: the Diebold-Mariano t of it.
        p_value: one-sided p-value of it.
        coverage: of the 90 % interval.
        skill_at: skill per horizon.
        calm: coverage in the lowest third of the volatility within its year, per horizon.
        storm: the same in the highest third.
        sharpness: mean width of the 90 % interval over the random walk's, per horizon, both
            stretched to hold 90 % of the outcomes.
        qlike: loss of the forecast variance less the random walk's, per horizon.
        slope: of squared returns on the forecast variance, per horizon.
    """

    kind: str
    skill: float
    statistic: float
    p_value: float
    coverage: float
    skill_at: tuple[float, ...]
    calm: tuple[float, ...]
    storm: tuple[float, ...]
    sharpness: tuple[float, ...]
    qlike: tuple[float, ...]
    slope: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """All widths on one data set, best first, the random walk last; and the span of forecasts."""

    universe: str
    first: str
    last: str
    rows: int
    widths: tuple[Width, ...]


def compare(item: tuple[str, tuple[str, ...], int]) -> Compared:
    """Walk the random walk, the candidates and the yardsticks over the same folds of a data set.

    Args:
        item: the bundled data set, candidates besides the random walk, and the seed.
    """
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.features.variance import DECAYS, WINDOWS
    from forecasting.instants import date_text
    from forecasting.models.training import TrainingConfig, train_on_examples

    universe, kinds, seed = item
    examples = bundled.examples_of(universe, variance=WINDOWS, decays=DECAYS)
    walked = {
        kind: train_on_examples(kind, examples, TrainingConfig(seed=seed), threads=1).out_of_sample
        for kind in (NULL, *kinds)
    }
    walked |= {kind: forecasts(kind, examples) for kind in YARDSTICKS}
    evaluation = evaluate(walked, horizons=HORIZONS, seed=seed)
    return Compared(
        universe=universe,
        first=date_text(evaluation.instants[0]),
        last=date_text(evaluation.instants[-1]),
        rows=len(walked[NULL]),
        widths=tuple(_width(evaluation, walked, kind) for kind in (*evaluation.challengers, NULL)),
    )


def _width(evaluation: "Evaluation", walked: "Mapping[str, OutOfSample]", kind: str) -> Width:
    found, null = evaluation.candidates[kind], evaluation.candidates[NULL]
    cells = found.conditional_coverage.cells
    return Width(
        kind=kind,
        skill=found.overall.skill,
        statistic=found.overall.statistic,
        p_value=found.overall.p_value,
        coverage=found.overall.coverage_90,
        skill_at=tuple(found.by_horizon[horizon].skill for horizon in HORIZONS),
        calm=tuple(cell.coverage for cell in cells if cell.third == "calm"),
        storm=tuple(cell.coverage for cell in cells if cell.third == "storm"),
        sharpness=tuple(
            width_at_equal_coverage(walked[kind], horizon)
            / width_at_equal_coverage(walked[NULL], horizon)
            for horizon in HORIZONS
        ),
        qlike=tuple(
            own.qlike - walk.qlike for own, walk in zip(found.variance, null.variance, strict=True)
        ),
        slope=tuple(score.slope for score in found.variance),
    )


def width_at_equal_coverage(candidate: "OutOfSample", horizon: int, coverage: float = 0.9) -> float:
    """Mean width of the interval from p05 to p95, had it been stretched to hold this share.

    Every interval is stretched about its middle by one factor, found afterwards on the outcomes
    themselves: widths of intervals that hold different shares cannot be compared, and no forecast
    could know the factor. Widths are log returns over the symbol's mean volatility, so that no
    symbol outweighs the others, and storms are wide.

    Args:
        candidate: forecasts.
        horizon: bars ahead.
        coverage: share of outcomes to hold.
    """
    low, *_, high = np.moveaxis(candidate.quantiles[:, horizon - 1].astype(np.float64), 1, 0)
    middle, half = (high + low) / 2, (high - low) / 2
    came = candidate.realised[:, horizon - 1]
    known = np.isfinite(came)
    factor = np.quantile(np.abs(came - middle)[known] / half[known], coverage)
    rows = np.bincount(candidate.codes)
    mean = np.bincount(candidate.codes, candidate.scale) / np.maximum(rows, 1)
    return float(factor * np.mean((2 * half / mean[candidate.codes])[known]))


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Compare widths on every bundled data set; small: one of them, with one candidate."""
    items = [(universe, CANDIDATES, SEED + seed) for universe in bundled.universes()]
    if size == "small":
        items = [("fx-hourly", ("har",), SEED + seed)]
    compared = workers.map(compare, items, "walking widths")
    story: list[str | Table] = [_STORY]
    for one in compared:
        story += [
            f"### {one.universe}: widths",
            f"{one.rows:,} forecasts from each, made {one.first} to {one.last}.",
            _skills(one),
            _calm_and_storm(one),
            _variances(one),
        ]
    return Outcome(
        findings=[_finding(one) for one in compared],
        story=story,
        data={
            one.universe: {width.kind: _plain(width) for width in one.widths} for one in compared
        },
    )


def _finding(one: Compared) -> Finding:
    best = next(width for width in one.widths if width.kind not in {NULL, *YARDSTICKS})
    rivals = ", ".join(
        f"{width.kind} {width.skill:+.2%}" for width in one.widths if width.kind in YARDSTICKS
    )
    return Finding(
        f"{one.universe}: skill of the best learned width, beside the yardsticks",
        f"{best.kind} {best.skill:+.2%} (t {best.statistic:.1f}), {rivals}",
    )


def _skills(one: Compared) -> Table:
    return Table(
        ["width", ">skill", ">t", ">90 %", *(f">at {h}" for h in HORIZONS), *_of("sharpness at")],
        [
            [
                width.kind,
                "0" if width.kind == NULL else f"{width.skill:+.2%}",
                "" if width.kind == NULL else f"{width.statistic:.1f}",
                f"{width.coverage:.1%}",
                *("0" if width.kind == NULL else f"{skill:+.2%}" for skill in width.skill_at),
                *(f"{sharpness:.3f}" for sharpness in width.sharpness),
            ]
            for width in one.widths
        ],
    )


def _calm_and_storm(one: Compared) -> Table:
    return Table(
        ["90 % interval, calm / storm", *_of("h")],
        [
            [
                width.kind,
                *(
                    f"{calm:.1%} / {storm:.1%}"
                    for calm, storm in zip(width.calm, width.storm, strict=True)
                ),
            ]
            for width in one.widths
        ],
    )


def _variances(one: Compared) -> Table:
    return Table(
        ["variance", *_of("QLIKE less the random walk's at"), *_of("slope at")],
        [
            [
                width.kind,
                *("0" if width.kind == NULL else f"{qlike:+.4f}" for qlike in width.qlike),
                *(f"{slope:.2f}" for slope in width.slope),
            ]
            for width in one.widths
        ],
    )


def _of(what: str) -> list[str]:
    return [f">{what} {horizon}" for horizon in HORIZONS]


def _plain(width: Width) -> dict[str, Any]:
    from forecasting.evaluation.record import plain

    return {
        name: plain(np.round(np.asarray(value), 5))
        for name, value in vars(width).items()
        if name != "kind"
    }


_STORY: Final = (
    "Every width is walked over the same six folds and calibrated week by week by the same rule, so "
    "that losses of quantiles can be compared; folds 2 to 6 are scored. *gjr_garch_t* is a "
    "GJR-GARCH(1,1,1) with Student's t, fitted by `arch` per symbol on its own past before each fold; "
    "*har_ols* is Corsi's regression of the log of realised variance on those of the last bar, "
    "week and month, per symbol. Both are yardsticks, not candidates. *Skill* is the share of the "
    "random walk's pinball loss that is saved, over all horizons with weights 1/h, and *t* Diebold "
    "and Mariano's. *Sharpness* is the mean width of the 90 % interval over the random walk's, after "
    "both were stretched to hold 90 % of the outcomes: below 1 is narrower for the same coverage. "
    "Calm and storm are the lowest and highest third of the volatility within its year. A slope "
    "of 1 says that a variance twice as high was followed by squared returns twice as high."
)

EXPERIMENT: Final = Experiment(
    name="width_yardsticks",
    title="Learned widths beside GARCH and HAR",
    question="How much narrower, for the same coverage, are intervals whose width was learned, and "
    "would a textbook model of volatility have done as well?",
    run=run,
)
