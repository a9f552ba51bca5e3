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
from forecasting.models.candidates import (
    NULL_MODEL,
    NULLS,
    Fitted,
    Forecaster,
    Learner,
    make_forecaster,
)
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import Fold, walk_forward
from forecasting.models.members import choose_members
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.parts import (
    LocationAndWidth,
    Part,
    PartFeatures,
    columns_of_parts,
    named_columns,
    parts_of,
)
from forecasting.models.quantiles import KNOTS
from forecasting.models.shrinkage import shrink_walk
from forecasting.models.training_set import Examples, Window, at_knots
from forecasting.models.walk_forward import forecasts_of, walk_predictions
from forecasting.models.width import MEMBERS, WidthLearner, kept_columns
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
        features: names of those that each part takes, in the order of `parts_of`, chosen before;
            empty: all that a part can learn from, or what is selected of them.
        signal: rule whose horizon and cost the probabilities refer to.

    Raises:
        InvalidSettings: there are fewer than two folds, or the signal looks further than is trained.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    folds: int = 6
    tuning_trials: int = 0
    select_features: bool = False
    features: PartFeatures = ()
    signal: SignalRule = field(default_factory=SignalRule)

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidSettings(
                "the first fold only feeds the calibration, so at least 2 are needed",
                f"folds {self.folds}",
            )
        if self.signal.horizon > MAX_HORIZON:
            raise InvalidSettings(
                f"a signal's horizon is at most what is trained, {MAX_HORIZON} bars",
                f"got {self.signal.horizon}",
            )


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate fitted on all that is known, with the evidence of how it did out of sample.

    Attributes:
        forecaster: fitted on the columns `columns` of every example whose future is known.
        calibration: [H, G] what the walk's calibration had come to at the end of the data.
        baseline: [H, G] the random walk's, on the same rows.
        out_of_sample: walk-forward forecasts of the second fold on.
        learned: [n, K] locations and logs of widths as the models gave them, before anything was
            shrunk; zeros where none is learned.
        trials: settings tried before these were chosen; 1 without a search.
        columns: columns of the feature table the forecaster takes.
        feature_names: all columns of the feature table.
        sample: float32 [m, k] a few examples, for the parity check of the bundle.
        seed: of everything random.
        seconds: how long the training took.
    """

    forecaster: Fitted
    calibration: Floats
    baseline: Floats
    out_of_sample: OutOfSample
    learned: tuple[Floats, Floats]
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
        """Its forecasts with nothing shrunk: a slope of zero would hide a leak from a check."""
        loc, log_width = self.learned
        return replace(self.out_of_sample, loc=loc, log_width=log_width)

    @property
    def selected_features(self) -> tuple[str, ...]:
        """Names of the features the forecaster takes."""
        return tuple(self.feature_names[column] for column in self.columns)

    @property
    def part_features(self) -> PartFeatures:
        """Names of the features that each part takes, in the order of `parts_of`."""
        return self.out_of_sample.features

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

    Search, the choice of members and selection look only at the first fold's training window, once;
    what they choose is used in every fold, so all test spans lie ahead of every decision. Models are
    fitted once a fold, and their locations shrunk by what earlier folds said of them (see `shrinkage`); every
    week quantiles are recalibrated from outcomes known by then, as by a weekly training (see
    `conformal`), and the last calibration is what is served. Both tails are calibrated alike, as
    the random walk's are: a median or a pair of tails of its own would be a forecast of a
    direction that nothing has shrunk. A candidate shrunk to zero is the random walk, quantile by
    quantile. The drift of the random walk with drift is not shrunk.

    Args:
        kind: one of candidates.CANDIDATES or candidates.EXTRAS.
        examples: n rows to learn from.
        config: how; default: TrainingConfig().
        threads: for the libraries; default: this container's share.
        progress: called with a few words about what is being done.

    Raises:
        ShortHistory: there are too few bars for the folds or the calibration.
        InvalidSettings: the kind, a parameter or a feature is unknown, or its package is missing.
    """
    begun = time.perf_counter()
    config, report = config or TrainingConfig(), progress or _silent
    steps = walk_forward(examples.timestamps, examples.codes, folds=config.folds)
    z = examples.standardised()
    parts = parts_of(kind, config.params)
    taken = columns_of_parts(parts, examples.names, config.features)
    learned = [
        _learn(part, own, examples, z, steps, config, threads=threads, report=report)
        for part, own in zip(parts, taken, strict=True)
    ]
    report(f"{kind}: calibrating on all {len(examples)} bars")
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    unmoved = np.zeros((len(examples), len(KNOTS)))
    loc = next((part.shrunk for part in learned if not part.widths), unmoved)
    log_width = next((part.shrunk for part in learned if part.widths), None)
    null = recalibrate(z, unmoved, steps, schedule)
    own = recalibrate(z, loc, steps, schedule, log_width) if learned else null
    forecaster, columns = _joined(learned)
    forecasts = forecasts_of(
        examples,
        schedule,
        own,
        loc,
        log_width,
        kind=kind,
        params=forecaster.params,
        features=tuple(named_columns(examples.names, part.columns) for part in learned),
        signal=config.signal,
    )
    tested = np.sort(np.concatenate([step.test for step in steps[1:]]))
    as_learned = {part.widths: part.predicted[tested] for part in learned}
    nothing = unmoved[tested]
    spread = np.linspace(0, len(examples) - 1, min(_SAMPLE_ROWS, len(examples))).astype(np.intp)
    return TrainedCandidate(
        forecaster=forecaster,
        calibration=own.final,
        baseline=null.final,
        out_of_sample=forecasts,
        learned=(as_learned.get(False, nothing), as_learned.get(True, nothing)),
        trials=1 + sum(part.trials - 1 for part in learned),
        columns=tuple(columns.tolist()),
        feature_names=examples.names,
        sample=examples.x[spread],
        seed=config.seed,
        seconds=time.perf_counter() - begun,
    )


@dataclass(frozen=True)
class _LearnedPart:
    """One model of a candidate along the walk, and as it is at the end of the data.

    Attributes:
        fitted: on the columns `columns` of every example whose future is known.
        columns: columns of the feature table it takes.
        predicted: [n, K] what the model of each fold predicted of its test span.
        shrunk: [n, K] the same, shrunk by what earlier folds said of it.
        trials: settings tried before its parameters were chosen.
        widths: whether those are logs of widths; else locations.
    """

    fitted: Forecaster
    columns: NDArray[np.intp]
    predicted: Floats
    shrunk: Floats
    trials: int
    widths: bool


def _learn(
    part: Part,
    own: NDArray[np.intp],
    examples: Examples,
    z: NDArray[np.floating],
    steps: list[Fold],
    config: TrainingConfig,
    *,
    threads: int | None,
    report: Callable[[str], None],
) -> _LearnedPart:
    """Walk one model forward on the columns `own`, shrink what it predicts, and refit it on all."""
    targets = examples.targets(part.kind, z)
    window = examples.window(steps[0].train, targets, own)
    params, trials, chosen = _choose(part, window, config, threads=threads, report=report)
    columns = own[chosen]
    x = examples.x if len(columns) == len(examples.names) else examples.x[:, columns]
    names = named_columns(examples.names, columns)
    options: dict[str, Any] = {"params": params, "threads": threads, "names": names}
    predicted = walk_predictions(
        part.kind, x, targets, steps, seed=config.seed, progress=report, **options
    )
    report(f"{part.kind}: refitting on all {len(examples)} bars")
    fitted = make_forecaster(part.kind, **options)
    fitted.fit(x, targets, seed=config.seed)
    shrunk = predicted  # of a null, which is as strong as it fairly can be, nothing is taken away
    if isinstance(fitted, Learner | WidthLearner):
        shrunk, slopes = shrink_walk(
            predicted, at_knots(z), examples.timestamps, examples.codes, steps, widths=part.widths
        )
        fitted.slopes = tuple(slopes.tolist())
    return _LearnedPart(fitted, columns, predicted, shrunk, trials, part.widths)


def _joined(parts: list[_LearnedPart]) -> tuple[Fitted, NDArray[np.intp]]:
    """One forecaster of all parts, and the columns of the feature table it takes."""
    if not parts:
        return make_forecaster(NULL_MODEL), np.empty(0, dtype=np.intp)
    if len(parts) == 1:
        return parts[0].fitted, parts[0].columns
    location, width = parts
    columns = np.union1d(location.columns, width.columns)
    joined = LocationAndWidth(
        location.fitted,
        width.fitted,
        np.searchsorted(columns, location.columns),
        np.searchsorted(columns, width.columns),
    )
    return joined, columns


def _choose(
    part: Part,
    window: Window,
    config: TrainingConfig,
    *,
    threads: int | None,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], int, NDArray[np.intp]]:
    """Parameters, how many settings were tried for them, and columns of the window."""
    kind, params, trials = part.kind, part.params, 1
    columns: NDArray[np.intp] = np.arange(window.x.shape[1])
    if kind in NULLS:
        return params, trials, columns
    if config.tuning_trials:
        report(f"{kind}: searching parameters, at most {config.tuning_trials} trials")
        tuned = search.tune(
            kind,
            window,
            params=part.given,
            trials=config.tuning_trials,
            seed=config.seed,
            threads=threads,
        )
        params, trials = tuned.params, tuned.trials
    if params.get(MEMBERS) == "":
        chosen = choose_members(
            kind, window, params=params, seed=config.seed, threads=threads, report=report
        )
        params, trials = {**params, MEMBERS: "+".join(chosen.members)}, trials + chosen.trials - 1
    if config.select_features:
        report(f"{kind}: selecting features")
        columns = search.select_features(
            kind, window, params=params, seed=config.seed, threads=threads
        )
        columns = kept_columns(columns, kind, params, window.names)
    return params, trials, columns


def forecast_as_incumbent(
    kind: str,
    params: Mapping[str, Any],
    examples: Examples,
    *,
    beside: OutOfSample,
    features: PartFeatures = (),
    seed: int = 0,
    threads: int | None = None,
) -> OutOfSample:
    """Walk the champion's kind, with its own parameters and features, over the challengers' folds.

    A bundle cannot be asked about the past: it has learned from most of it. What can be compared
    is its method, trained anew before each test span, exactly as the challengers were.

    Args:
        kind: the champion's kind, e.g. "ridge".
        params: the parameters in its bundle's manifest.
        examples: n rows the challengers learned from.
        beside: a challenger's forecasts, for the number of folds and the signal rule.
        features: names of the features that each of its parts takes, in the order of `parts_of`;
            empty: all that a part can learn from.
        seed: of everything random.
        threads: for the libraries; default: this container's share.

    Raises:
        InvalidSettings: the kind or a feature is unknown, or its package is missing.
        ShortHistory: there are too few bars for the folds.
    """
    config = TrainingConfig(
        params=params,
        seed=seed,
        folds=int(beside.fold.max()),
        features=features,
        signal=SignalRule(horizon=beside.signal_horizon, cost=beside.cost),
    )
    return train_on_examples(kind, examples, config, threads=threads).out_of_sample


def _silent(_: str) -> None:
    pass
