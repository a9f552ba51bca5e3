"""Training one candidate: walk forward, shrink and calibrate on what was known, refit on all."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.features.targets import SignalRule
from forecasting.models import search
from forecasting.models.candidates import NULL_MODEL, Forecaster, Learner, make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.shrinkage import shrink_walk
from forecasting.models.training_set import Examples, Window, at_knots
from forecasting.models.walk_forward import forecasts_of, walk_predictions
from forecasting.models.width import WidthLearner, columns_of, in_widths, learns_width
from forecasting.schema import MAX_HORIZON

_SAMPLE_ROWS: Final = 32


@dataclass(frozen=True)
class TrainingConfig:
    """How a candidate is trained.

    Attributes:
        params: parameters that override the candidate's defaults.
        seed: of everything random.
        folds: test spans of the walk-forward, at least 2; the first only feeds the calibration.
        tuning_trials: settings to try before the first fold; 0: none.
        select_features: whether to drop features by permutation importance.
        signal: rule whose horizon and cost the probabilities refer to.

    Raises:
        InvalidSettings: there are fewer than two folds.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    folds: int = 6
    tuning_trials: int = 0
    select_features: bool = False
    signal: SignalRule = field(default_factory=SignalRule)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidSettings(
                "the first fold only feeds the calibration, so at least 2 are needed",
                f"folds {self.folds}",
            )


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate fitted on all that is known, with the evidence of how it did out of sample.

    Attributes:
        forecaster: fitted on the columns `columns` of every example whose future is known.
        calibration: [H, G] what the walk's calibration had come to at the end of the data.
        baseline: [H, G] the random walk's, on the same rows.
        out_of_sample: walk-forward forecasts of the second fold on.
        learned: [n, K] locations, or logs of widths, as the models gave them, before anything was
            shrunk.
        trials: settings tried before these were chosen; 1 without a search.
        columns: columns of the feature table the forecaster takes.
        feature_names: all columns of the feature table.
        sample: float32 [m, k] a few examples, for the parity check of the bundle.
        seed: of everything random.
        seconds: how long the training took.
    """

    forecaster: Forecaster
    calibration: Floats
    baseline: Floats
    out_of_sample: OutOfSample
    learned: Floats
    trials: int
    columns: tuple[int, ...]
    feature_names: tuple[str, ...]
    sample: NDArray[np.float32]
    seed: int
    seconds: float

    @property
    def kind(self) -> str:
        """Name of the candidate."""
        return self.forecaster.kind

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters in force."""
        return self.forecaster.params

    @property
    def before_shrinkage(self) -> OutOfSample:
        """Its forecasts with unshrunk locations: a slope of zero would hide a leak from a check."""
        if learns_width(self.kind):
            return self.out_of_sample
        return replace(self.out_of_sample, loc=self.learned)

    @property
    def selected_features(self) -> tuple[str, ...]:
        """Names of the features the forecaster takes."""
        return tuple(self.feature_names[column] for column in self.columns)

    def narrowed(self, examples: Examples) -> Examples:
        """The examples with no other features than the forecaster takes."""
        return replace(examples, x=examples.x[:, list(self.columns)], names=self.selected_features)

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Locations [n, K] for rows with all features of the table."""
        return self.forecaster.locate(x[:, list(self.columns)])

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the width for rows with all features of the table."""
        return self.forecaster.log_width(x[:, list(self.columns)])


def train_on_examples(
    kind: str,
    examples: Examples,
    config: TrainingConfig | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainedCandidate:
    """Walk forward, calibrate and refit, on arrays.

    Search and selection look only at the first fold's training window, once; what they choose
    is used in every fold, so all test spans lie ahead of every decision. Models are fitted once a
    fold, and their locations shrunk by what earlier folds said of them (see `shrinkage`); every
    week quantiles are recalibrated from outcomes known by then, as by a weekly training (see
    `conformal`), and the last calibration is what is served. Both tails are calibrated alike, as
    the random walk's are: a median or a pair of tails of its own would be a forecast of a
    direction that nothing has shrunk. A candidate shrunk to zero is the random walk, quantile by
    quantile.

    Args:
        kind: one of candidates.CANDIDATES or candidates.EXTRAS.
        examples: n rows to learn from.
        config: how; default: TrainingConfig().
        threads: for the libraries; default: this container's share.
        progress: called with a few words about what is being done.

    Raises:
        ShortHistory: there are too few bars for the folds or the calibration.
        InvalidSettings: the kind or a parameter is unknown, or its package is missing.
    """
    begun = time.perf_counter()
    config, report = config or TrainingConfig(), progress or _silent
    steps = walk_forward(examples.timestamps, examples.codes, folds=config.folds)
    z = examples.standardised()
    targets = examples.targets(kind, z)
    own_columns = columns_of(kind, examples.names)
    window = examples.window(steps[0].train, targets, own_columns)
    params, trials, chosen = _choose(kind, window, config, threads=threads, report=report)
    columns = own_columns[chosen]
    x = examples.x if len(columns) == len(examples.names) else examples.x[:, columns]

    learned = walk_predictions(
        kind, x, targets, steps, params=params, seed=config.seed, threads=threads, progress=report
    )
    report(f"{kind}: calibrating and refitting on all {len(examples)} bars")
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    unmoved = np.zeros_like(learned)
    null = recalibrate(z, unmoved, steps, schedule)
    final = make_forecaster(kind, params, threads=threads).fit(x, targets, seed=config.seed)
    loc, log_width, own = unmoved, None, null
    if isinstance(final, WidthLearner | Learner):
        wide = learns_width(kind)
        shrunk, slopes = shrink_walk(learned, at_knots(z), examples.timestamps, steps, widths=wide)
        loc, log_width = (unmoved, shrunk) if wide else (shrunk, None)
        own = recalibrate(in_widths(z, log_width), loc, steps, schedule)
        final.slopes = tuple(slopes.tolist())
    forecasts = forecasts_of(
        examples, schedule, own, loc, log_width, kind=kind, params=params, signal=config.signal
    )
    spread = np.linspace(0, len(examples) - 1, min(_SAMPLE_ROWS, len(examples))).astype(np.intp)
    return TrainedCandidate(
        forecaster=final,
        calibration=own.final,
        baseline=null.final,
        out_of_sample=forecasts,
        learned=learned[np.sort(np.concatenate([step.test for step in steps[1:]]))],
        trials=trials,
        columns=tuple(int(column) for column in columns),
        feature_names=examples.names,
        sample=examples.x[spread],
        seed=config.seed,
        seconds=time.perf_counter() - begun,
    )


def _choose(
    kind: str,
    window: Window,
    config: TrainingConfig,
    *,
    threads: int | None,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], int, NDArray[np.intp]]:
    """Parameters, how many settings were tried for them, and columns of the window."""
    params, trials = make_forecaster(kind, config.params, threads=threads).params, 1
    columns: NDArray[np.intp] = np.arange(window.x.shape[1])
    if kind == NULL_MODEL:
        return params, trials, columns
    if config.tuning_trials:
        report(f"{kind}: searching parameters, at most {config.tuning_trials} trials")
        tuned = search.tune(
            kind,
            window,
            params=config.params,
            trials=config.tuning_trials,
            seed=config.seed,
            threads=threads,
        )
        params, trials = tuned.params, tuned.trials
    if config.select_features:
        report(f"{kind}: selecting features")
        columns = search.select_features(
            kind, window, params=params, seed=config.seed, threads=threads
        )
    return params, trials, columns


def forecast_as_incumbent(
    kind: str,
    params: Mapping[str, Any],
    examples: Examples,
    *,
    beside: OutOfSample,
    seed: int = 0,
    threads: int | None = None,
) -> OutOfSample:
    """Walk the champion's kind, with its own parameters, over the folds of the challengers.

    A bundle cannot be asked about the past: it has learned from most of it. What can be compared
    is its method, trained anew before each test span, exactly as the challengers were.

    Args:
        kind: the champion's kind, e.g. "ridge".
        params: the parameters in its bundle's manifest.
        examples: n rows the challengers learned from.
        beside: a challenger's forecasts, for the number of folds and the signal rule.
        seed: of everything random.
        threads: for the libraries; default: this container's share.

    Raises:
        InvalidSettings: the kind is unknown, or its package is missing.
        ShortHistory: there are too few bars for the folds.
    """
    config = TrainingConfig(
        params=params,
        seed=seed,
        folds=int(beside.fold.max()),
        signal=SignalRule(horizon=beside.signal_horizon, cost=beside.cost),
    )
    return train_on_examples(kind, examples, config, threads=threads).out_of_sample


def _silent(_: str) -> None:
    pass
