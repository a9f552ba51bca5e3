"""Training one candidate: walk forward, shrink and calibrate on what was known, refit on all."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.models.candidates import Forecaster, Learner, make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.search import tune
from forecasting.models.selection import select_features as choose_features
from forecasting.models.shrinkage import shrink_walk
from forecasting.models.training_set import Examples, at_knots
from forecasting.models.walk_forward import forecasts_of, walk_locations
from forecasting.schema import MAX_HORIZON

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable
    from forecasting.features.targets import SignalRule

__all__ = ["Examples", "OutOfSample", "TrainedCandidate", "train_candidate", "train_on_examples"]

_SAMPLE_ROWS: Final = 32


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate fitted on all that is known, with the evidence of how it did out of sample.

    Attributes:
        forecaster: fitted on the columns `columns` of every example whose future is known.
        calibration: [H, G] what the walk's calibration had come to at the end of the data.
        baseline: [H, G] the random walk's, on the same rows.
        out_of_sample: walk-forward forecasts of the second fold on.
        learned: [n, K] locations of its rows as the models gave them, before they were shrunk.
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


def train_candidate(
    kind: str,
    table: "FeatureTable",
    returns: NDArray[np.floating],
    *,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    folds: int = 6,
    rolling: int | None = None,
    tuning_trials: int = 0,
    tuning_seconds: float | None = None,
    select_features: bool = False,
    signal: "SignalRule | None" = None,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainedCandidate:
    """Train a candidate on a feature table; see `train_on_examples`.

    Args:
        kind: one of models.CANDIDATES or models.EXTRAS.
        table: features of every bar.
        returns: [n, H] horizon returns of the table's rows, NaN where unknown.
        params: parameters that override the candidate's defaults.
        seed: of everything random.
        folds: test spans of the walk-forward; the first only feeds the calibration.
        rolling: learn only from the newest so many bars; default: from all.
        tuning_trials: settings to try before the first fold; 0: none.
        tuning_seconds: when to stop starting trials.
        select_features: whether to drop features by permutation importance.
        signal: rule whose horizon and cost the probabilities refer to; default: SignalRule().
        threads: for the libraries; default: this container's share.
        progress: told in a few words what is being done.

    Raises:
        ShortHistory: there are too few bars for the folds or the calibration.
        InvalidSettings: an argument makes no sense.
    """
    if signal is None:
        from forecasting.features.targets import SignalRule

        signal = SignalRule()
    return train_on_examples(
        kind,
        Examples.of(table, returns),
        params=params,
        seed=seed,
        folds=folds,
        rolling=rolling,
        tuning_trials=tuning_trials,
        tuning_seconds=tuning_seconds,
        select_features=select_features,
        signal_horizon=signal.horizon,
        cost=signal.cost,
        threads=threads,
        progress=progress,
    )


def train_on_examples(
    kind: str,
    examples: Examples,
    *,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    folds: int = 6,
    rolling: int | None = None,
    tuning_trials: int = 0,
    tuning_seconds: float | None = None,
    select_features: bool = False,
    signal_horizon: int = 5,
    cost: float = 0.001,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainedCandidate:
    """Walk forward, calibrate and refit, on arrays.

    Search and selection look only at the first fold's training window, once; what they choose
    is used in every fold, so all test spans lie ahead of every decision. Models are fitted once a
    fold, and their locations shrunk by what earlier folds said of them (see `shrinkage`);
    quantiles are renewed every week from outcomes known by then, as by a weekly training
    (see `recalibration`), and the last renewal is what is served. Both tails are calibrated alike,
    as the random walk's are: a median or a pair of tails of its own would be a forecast of a
    direction that nothing has shrunk. A candidate shrunk to zero is the random walk, quantile by
    quantile. Arguments as in `train_candidate`.
    """
    begun = time.perf_counter()
    tell = progress or _silent
    if folds < 2:
        raise InvalidSettings(
            "the first fold only feeds the calibration, so at least 2 are needed", f"folds {folds}"
        )
    steps = walk_forward(examples.timestamps, examples.codes, folds=folds, rolling=rolling)
    z = examples.standardised()
    knots = at_knots(z)
    window = examples.window(steps[0].train, knots)
    chosen, trials = make_forecaster(kind, params, threads=threads).params, 1
    if tuning_trials and kind != "random_walk":
        tell(f"{kind}: searching parameters, at most {tuning_trials} trials")
        tuned = tune(
            kind,
            window,
            params=params,
            trials=tuning_trials,
            seconds=tuning_seconds,
            seed=seed,
            threads=threads,
        )
        chosen, trials = tuned.params, tuned.trials
    columns = np.arange(len(examples.names))
    if select_features and kind != "random_walk":
        tell(f"{kind}: selecting features")
        columns = choose_features(kind, window, params=chosen, seed=seed, threads=threads)
    x = examples.x if len(columns) == len(examples.names) else examples.x[:, columns]

    learned = walk_locations(
        kind, x, knots, steps, params=chosen, seed=seed, threads=threads, progress=tell
    )
    loc, slopes = shrink_walk(learned, knots, examples.timestamps, steps)
    tell(f"{kind}: calibrating and refitting on all {len(examples)} bars")
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    null = recalibrate(z, np.zeros_like(loc), steps, schedule)
    own = null if kind == "random_walk" else recalibrate(z, loc, steps, schedule)
    forecasts = forecasts_of(
        examples,
        schedule,
        own,
        loc,
        kind=kind,
        params=chosen,
        signal_horizon=signal_horizon,
        cost=cost,
    )
    final = make_forecaster(kind, chosen, threads=threads).fit(x, knots, seed=seed)
    if isinstance(final, Learner):
        final.slopes = tuple(slopes.tolist())
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
        seed=seed,
        seconds=time.perf_counter() - begun,
    )


def _silent(_: str) -> None:
    pass
