"""The train step: features -> out-of-sample forecasts and a bundle of one candidate."""

import json
import os
from pathlib import Path

from components.artifacts import Artifact, ScalarMetrics
from components.report import PROGRESS, THREADS, reported, tell


@reported("train", label="candidate")
def run(
    *,
    candidate: str,
    table: Artifact,
    seed: int,
    folds: int,
    tuning_trials: int,
    select_features: bool,
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
    from forecasting.bundle import write_bundle
    from forecasting.targets import SignalRule
    from forecasting.training import train_candidate

    learned_from = TrainingTable.load(Path(table.path))
    rule = SignalRule()
    trained = train_candidate(
        candidate,
        learned_from.features,
        learned_from.returns,
        seed=seed,
        folds=folds,
        tuning_trials=tuning_trials,
        select_features=select_features,
        signal=rule,
        threads=int(os.environ.get(THREADS, "0")) or None,
        progress=lambda message: tell("train", candidate, PROGRESS, message=message),
    )
    origin = {**learned_from.origin, "folds": folds, "git_revision": git_revision()}
    info = write_bundle(Path(bundle.path), trained, learned_from.spec, training=origin, signal=rule)
    trained.out_of_sample.save(Path(out_of_sample.path))
    bundle.metadata.update(kind=trained.kind, digest=info.digest)
    out_of_sample.metadata.update(
        kind=trained.kind, rows=len(trained.out_of_sample), trials=trained.trials
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
