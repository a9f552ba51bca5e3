"""Walk-forward forecasts: each row by its fold's model and the calibration in force at its time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.features.targets import SignalRule
from forecasting.models.candidates import make_forecaster
from forecasting.models.conformal import Recalibrated, Schedule
from forecasting.models.cross_validation import Fold
from forecasting.models.knot_forecasts import (
    knot_residuals,
    percent_ranks,
    return_variance,
)
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import KNOT_COLUMNS, KNOTS, QuantileTable
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS

_CHUNK: Final = 65_536


def walk_predictions(
    kind: str,
    x: NDArray[np.float32],
    targets: Floats,
    steps: list[Fold],
    *,
    params: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Floats:
    """What is predicted [n, K] of every test row, by the model of its own fold; NaN elsewhere.

    Those are locations, or logs of widths, after the candidate's kind.

    Args:
        kind: the candidate.
        x: float32 [n, k] features.
        targets: float64 what it is taught, see `Examples.targets`; NaN where unknown.
        steps: the folds.
        params: its parameters.
        names: of the k features.
        seed: of everything random.
        threads: for the library.
        progress: called with a few words about what is being done.
    """
    predicted = np.full((len(x), len(KNOTS)), np.nan)
    for step in steps:
        if progress:
            progress(f"{kind}: fold {step.number} of {len(steps)}")
        model = make_forecaster(kind, params, threads=threads, names=names)
        model.fit(x[step.train], targets[step.train], seed=seed)
        predicted[step.test] = model.predict(x[step.test])
    return predicted


def forecasts_of(
    examples: Examples,
    schedule: Schedule,
    calibrated: Recalibrated,
    loc: Floats,
    log_width: Floats | None = None,
    *,
    kind: str,
    params: Mapping[str, Any],
    features: tuple[tuple[str, ...], ...] = (),
    signal: SignalRule,
) -> OutOfSample:
    """Forecasts of the second fold on, each row by the calibration in force when it was made.

    Args:
        examples: all rows.
        schedule: the recalibrations of the walk.
        calibrated: a calibration for each of them.
        loc: [n, K] locations at the knots; read in test spans only.
        log_width: [n, K] logs of widths at the knots, likewise; None where none is learned.
        kind: the candidate.
        params: its parameters.
        features: names of those that each of its parts takes.
        signal: rule whose horizon and cost the probabilities refer to.
    """
    fold = np.zeros(len(examples), dtype=np.int16)
    for number, test in zip(schedule.folds, schedule.recalibrations, strict=True):
        fold[test] = number
    rows = np.flatnonzero(fold >= 2)
    place = np.full(len(examples), -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    quantiles = np.empty((len(rows), MAX_HORIZON, len(QUANTILE_LEVELS)), dtype=np.float32)
    beyond = np.empty((len(rows), 2), dtype=np.float32)
    ranks = np.empty((len(rows), len(KNOTS)), dtype=np.uint8)
    residual = knot_residuals(examples, loc, log_width)
    for test, calibration in calibrated.spans:
        table = QuantileTable.of(calibration)
        for start in range(0, len(test), _CHUNK):  # bounds the float64 working memory
            part = test[start : start + _CHUNK]
            at, scale = place[part], examples.scale[part]
            wide = None if log_width is None else log_width[part]
            quantiles[at] = table.returns(loc[part], scale, log_width=wide)
            above, below = table.beyond(loc[part], scale, signal.cost, signal.horizon, wide)
            beyond[at, 0], beyond[at, 1] = above, 1.0 - below
            ranks[at] = percent_ranks(calibration[KNOT_COLUMNS], residual[part])
    return OutOfSample(
        kind=kind,
        params=dict(params),
        features=features,
        symbols=examples.symbols,
        codes=examples.codes[rows],
        timestamps=examples.timestamps[rows],
        fold=fold[rows],
        close=examples.close[rows],
        scale=examples.scale[rows],
        loc=loc[rows],
        log_width=np.zeros((len(rows), len(KNOTS))) if log_width is None else log_width[rows],
        quantiles=quantiles,
        variance=return_variance(examples, schedule, log_width)[rows].astype(np.float32),
        ranks=ranks,
        probability_above_cost=beyond,
        realised=examples.returns[rows],
        cost=signal.cost,
        signal_horizon=signal.horizon,
    )
