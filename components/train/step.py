"""The train step: features -> out-of-sample forecasts and a bundle of one candidate, leak checked."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.artifacts import Artifact, ScalarMetrics
from components.report import PROGRESS, THREADS, reported, tell

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training import Examples

_FEW_TREES: Final[dict[str, dict[str, Any]]] = {
    "random_forest": {"n_estimators": 10},
    "xgboost": {"n_estimators": 15},
    "lightgbm": {"n_estimators": 15},
    "catboost": {"iterations": 15},
}
"""A leak shows in few trees as well as in many."""


@reported("train", label="candidate")
def run(
    *,
    candidate: str,
    table: Artifact,
    seed: int,
    folds: int,
    tuning_trials: int,
    select_features: bool,
    combinatorial: int,
    bundle: Artifact,
    out_of_sample: Artifact,
    metrics: ScalarMetrics,
) -> None:
    """Train one candidate; see the component for the arguments.

    Raises:
        ShortHistory: there are too few bars for the folds or the calibration.
        InvalidSettings: an argument makes no sense, or the candidate's package is missing.
        BundleRejected: the export differs from the model.
    """
    from components.provenance import git_revision
    from components.training_table import TrainingTable
    from forecasting.bundle.bundle import write_bundle
    from forecasting.evaluation.combinatorial_cv import need_skfolio, skill_over_paths
    from forecasting.features.targets import SignalRule
    from forecasting.leakage.checks import check_forecasts
    from forecasting.models.training import Examples, train_on_examples

    def say(message: str) -> None:
        tell("train", candidate, PROGRESS, message=message)

    if combinatorial:
        need_skfolio()
    learned_from = TrainingTable.load(Path(table.path))
    examples = Examples.of(learned_from.features, learned_from.returns)
    rule = SignalRule()
    threads = int(os.environ.get(THREADS, "0")) or None
    trained = train_on_examples(
        candidate,
        examples,
        seed=seed,
        folds=folds,
        tuning_trials=tuning_trials,
        select_features=select_features,
        signal_horizon=rule.horizon,
        cost=rule.cost,
        threads=threads,
        progress=say,
    )

    def walked_again(part: "Examples") -> "OutOfSample":
        return train_on_examples(
            candidate,
            part,
            params=_FEW_TREES.get(candidate),
            seed=seed,
            folds=min(folds, 3),
            tuning_trials=min(tuning_trials, 1),
            select_features=select_features,
            threads=threads,
        ).before_shrinkage

    say(f"{candidate}: looking for leaks")
    leaks = check_forecasts(walked_again, examples, seed=seed)
    paths: list[float] = []
    if combinatorial and candidate != "random_walk":
        paths = skill_over_paths(
            candidate,
            trained.narrowed(examples),
            params=trained.params,
            spans=combinatorial,
            seed=seed,
            threads=threads,
            progress=say,
        ).skills.tolist()
    origin = {**learned_from.origin, "folds": folds, "git_revision": git_revision()}
    info = write_bundle(Path(bundle.path), trained, learned_from.spec, training=origin, signal=rule)
    trained.out_of_sample.save(Path(out_of_sample.path))
    bundle.metadata.update(kind=trained.kind, digest=info.digest)
    out_of_sample.metadata.update(
        kind=trained.kind,
        rows=len(trained.out_of_sample),
        trials=trained.trials,
        leaks=[leaks.to_dict()],
        paths=paths,
    )
    figures = {
        "seconds": round(trained.seconds, 2),
        "trials": trained.trials,
        "features": len(trained.columns),
        "out_of_sample_forecasts": len(trained.out_of_sample),
    }
    for name, figure in figures.items():
        metrics.log_metric(name, figure)
    # A run page reads the metadata; without a file KFP's local cache takes the result for lost.
    Path(metrics.path).write_text(json.dumps(figures))
