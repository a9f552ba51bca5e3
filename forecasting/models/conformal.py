"""Conformal intervals, widened or narrowed online until their coverage is nominal.

Returns are not exchangeable, so quantiles of past residuals alone (`quantiles_of`) drift off
their levels when the market changes, and at long horizons, where a few stretches of calm or storm
are all the evidence there is, they may stay off for years. Feedback (adaptive conformal inference)
mends that whatever the market does: intervals that were missed too often are widened, missed too
rarely narrowed. Both tails are stretched alike, for every model: tails of its own would be a
direction that nobody learned.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Rows
from forecasting.errors import ShortHistory
from forecasting.instants import DAY
from forecasting.models.cross_validation import Fold, label_ends
from forecasting.models.periods import Periods
from forecasting.models.quantiles import GRID, grid_columns, interpolation_matrix, widths_of
from forecasting.schema import QUANTILE_LEVELS

FEWEST_RESIDUALS: Final = 100
"""Residuals a horizon needs. Both tails are read from absolute residuals, so the outermost levels,
0.5 and 99.5 %, are their 99 % quantile: from 99 of them on that lies among what was seen. With 100
it is all but the largest of them, and what lies beyond has a chance of 0.05 to 3 % (nine times of
ten, were the residuals independent) instead of 1 %; with 1,000 of 0.5 to 1.6 %."""

RECALIBRATION_INTERVAL: Final = 7 * DAY
"""Time between recalibrations, ns: a week, which is how often a training is due."""

STEP: Final = 0.05
"""Step of the feedback at one bar ahead; at h bars it is over sqrt(h), as overlapping misses come
in swarms that are h bars late. docs/honesty.md shows what its neighbours would do."""

MOST_STRETCH: Final = 4.0
"""Largest factor an interval is stretched or shrunk by, so that a standing price blows nothing up."""

UPPER: Final = int(grid_columns(QUANTILE_LEVELS[-1:])[0])
"""Column of a calibration that holds the upper end of the 90 % interval."""

_TAIL_SHARE: Final = QUANTILE_LEVELS[0]


def quantiles_of(residuals: NDArray[np.floating]) -> Floats:
    """Quantiles [H, G] of residuals [n, H] and their mirror image at every horizon; median 0.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005) of the absolute residual: of m, the
    p * (m + 1)-th smallest ("weibull" in NumPy) is the half-width that an exchangeable new one
    stays within with probability p. No direction comes from here: that is what a model's location
    is for, and the mean of past residuals is a forecast of its own, mostly of luck. Returns are
    not exchangeable; standardising by a causal volatility brings them close, and feedback
    (`recalibrate`) does the rest. No level is extrapolated: see `FEWEST_RESIDUALS`.

    Args:
        residuals: [n, H] of standardised returns, NaN where not known.

    Raises:
        ShortHistory: a horizon has fewer than 100 known residuals.
    """
    quantiles = np.empty((residuals.shape[1], len(GRID)))
    upper = np.array([2 * level - 1 for level in GRID[len(GRID) // 2 + 1 :]])
    for row, column in enumerate(np.ascontiguousarray(residuals.T, dtype=np.float64)):
        known = column[np.isfinite(column)]
        if len(known) < FEWEST_RESIDUALS:
            raise ShortHistory(
                f"calibration needs {FEWEST_RESIDUALS} out-of-sample residuals at every horizon",
                f"{len(known)} at horizon {row + 1}",
                "Give a longer history, more symbols or fewer folds",
            )
        half = np.quantile(np.abs(known), upper, method="weibull")
        quantiles[row] = np.concatenate([-half[::-1], [0.0], half])
    return quantiles


def feedback_step(horizons: int, breadth: float, step_size: float = STEP) -> Floats:
    """Steps [H] of the feedback at horizons 1..H; see `recalibrate`."""
    step: Floats = step_size / np.sqrt(np.arange(1.0, horizons + 1)) / breadth
    return step


def moved_stretch(log_stretch: Floats, misses: Floats, outcomes: Floats, step: Floats) -> Floats:
    """Logarithm [H] of the stretch after one recalibration; see `recalibrate`.

    Args:
        log_stretch: [H] before it.
        misses: [H] outcomes outside the 90 % interval, of those that came to be known.
        outcomes: [H] outcomes that came to be known since the recalibration before.
        step: [H] as `feedback_step` gives it.
    """
    limit = float(np.log(MOST_STRETCH))
    moved = step * (misses / 2 - _TAIL_SHARE * outcomes)
    return np.clip(log_stretch + moved, -limit, limit)


@dataclass(frozen=True)
class Schedule:
    """When a walk is recalibrated, and which outcomes each recalibration knows; for all models.

    Attributes:
        recalibrations: rows forecast under each recalibration, oldest first; those of a fold
            stand together.
        folds: [B] number of the fold of each recalibration.
        known: int32 [n, H] first recalibration that knows a row's outcome; B if only the end of
            the data does, -1 if not even that, or if the row is in no test span.
        breadth: mean number of rows of a period (see `forecasting.models.periods`): symbols that are
            missed together, on whatever exchanges.
    """

    recalibrations: tuple[Rows, ...]
    folds: tuple[int, ...]
    known: NDArray[np.int32]
    breadth: float

    @classmethod
    def of(
        cls,
        timestamps: Instants,
        codes: NDArray[np.int32],
        steps: list[Fold],
        horizons: int,
        every: int = RECALIBRATION_INTERVAL,
    ) -> "Schedule":
        """Cut the test spans of a walk into the rows of each recalibration.

        Args:
            timestamps: [n] bar closes, int64 ns.
            codes: [n] symbol of each row.
            steps: the walk.
            horizons: H, longest forecast in bars.
            every: ns between recalibrations; a fold begins with one.
        """
        starts: list[int] = []
        recalibrations: list[Rows] = []
        folds: list[int] = []
        for step in steps:
            week = (timestamps[step.test] - step.test_start) // every
            order = np.argsort(week, kind="stable")
            weeks, first = np.unique(week[order], return_index=True)
            recalibrations += np.split(step.test[order], first[1:])
            starts += [step.test_start + int(number) * every for number in weeks]
            folds += [step.number] * len(weeks)
        tested = np.concatenate(recalibrations)
        known = np.full((len(timestamps), horizons), -1, dtype=np.int32)
        last = int(timestamps.max())
        for horizon in range(1, horizons + 1):
            ends = label_ends(timestamps, codes, horizon)[tested]
            first_after = np.searchsorted(starts, ends, side="right")
            known[tested, horizon - 1] = np.where(ends <= last, first_after, -1)
        return cls(
            tuple(recalibrations),
            tuple(folds),
            known,
            len(tested) / len(Periods.of(timestamps[tested], codes[tested]).instants),
        )


@dataclass(frozen=True)
class Recalibrated:
    """Calibrations of one model along its walk.

    Attributes:
        spans: (rows, calibration [H, G]) of every recalibration from the second fold on.
        stretch: [B + 1, H] logarithm of the stretch in force after each recalibration, and at the
            end of the data.
        final: [H, G] calibration at the end of the data: what is served.
    """

    spans: tuple[tuple[Rows, Floats], ...]
    stretch: Floats
    final: Floats


def recalibrate(
    z: NDArray[np.floating],
    loc: Floats,
    steps: list[Fold],
    schedule: Schedule,
    log_width: Floats | None = None,
    *,
    step_size: float = STEP,
) -> Recalibrated:
    """Recalibrate a walk step by step, from outcomes that were known at each step.

    A residual is what is left of a return less its location, over its width. A fold's base
    calibration are quantiles of the earlier folds' residuals (see `quantiles_of`).
    At every recalibration the log stretch s moves by

        s <- s + step_size / sqrt(h) * (misses / 2 - 0.05 * outcomes) / breadth

    over the outcomes that came to be known since the one before, misses of the 90 % interval on
    either side. This is quantile tracking
    (Angelopoulos, Candes and Tibshirani 2023, "Conformal PID control for time series prediction",
    eq. 4; the feedback of adaptive conformal inference, Gibbs and Candes 2021, eq. 2) on the scale
    of the residual. As s is the sum of its moves, the share missed after T periods differs from
    0.10 by no more than 2 |s_T| * sqrt(h) / (step_size * T), whatever the returns did, as long as
    the cap `MOST_STRETCH` is not reached.
    Residuals count for later folds in units of the stretch that was in force.

    Args:
        z: [n, H] realised standardised returns, NaN where not known.
        loc: [n, K] locations at the knots from each fold's own model; read in test spans only.
        steps: the walk.
        schedule: its recalibrations.
        log_width: [n, K] logs of the widths at the knots, likewise; None where none is learned.
        step_size: of the feedback; 0 keeps the base calibrations as they are.

    Raises:
        ShortHistory: a fold has too few earlier residuals.
    """
    horizons = z.shape[1]
    weights = interpolation_matrix(horizons)
    step = feedback_step(horizons, schedule.breadth, step_size)
    end = len(schedule.recalibrations)
    misses, outcomes = np.zeros((end + 1, horizons)), np.zeros((end + 1, horizons))
    stretch = np.zeros((end + 1, horizons))
    recalibration_of = np.full(len(z), -1, dtype=np.intp)
    for number, rows in enumerate(schedule.recalibrations):
        recalibration_of[rows] = number
    fold_of = np.where(recalibration_of >= 0, np.array(schedule.folds)[recalibration_of], 0)

    def residuals_of(rows: Rows) -> NDArray[np.floating]:
        residuals: NDArray[np.floating] = z[rows] - loc[rows] @ weights
        return residuals if log_width is None else residuals / widths_of(log_width[rows], weights)

    def base_on(rows: Rows) -> Floats:
        return quantiles_of(residuals_of(rows) / np.exp(stretch)[recalibration_of[rows]])

    spans: list[tuple[Rows, Floats]] = []
    base, fold = np.empty(0), 1
    log_stretch = np.zeros(horizons)
    for number in range(end + 1):
        log_stretch = moved_stretch(log_stretch, misses[number], outcomes[number], step)
        stretch[number] = log_stretch
        if number == end or schedule.folds[number] == 1:
            continue
        if schedule.folds[number] != fold:
            fold = schedule.folds[number]
            earlier = steps[fold - 1].train
            base = base_on(earlier[(fold_of[earlier] > 0) & (fold_of[earlier] < fold)])
        calibration = base * np.exp(log_stretch)[:, None]
        rows = schedule.recalibrations[number]
        spans.append((rows, calibration))
        residuals = residuals_of(rows)
        at, column = np.nonzero((schedule.known[rows] >= 0) & np.isfinite(residuals))
        place = schedule.known[rows[at], column] * horizons + column
        np.add.at(outcomes.reshape(-1), place, 1.0)
        missed = np.abs(residuals[at, column]) > calibration[column, UPPER]
        np.add.at(misses.reshape(-1), place[missed], 1.0)
    tested = np.sort(np.concatenate(schedule.recalibrations))
    return Recalibrated(tuple(spans), stretch, base_on(tested) * np.exp(log_stretch)[:, None])
