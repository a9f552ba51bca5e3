"""The train step: features -> out-of-sample forecasts and a bundle of one candidate, leak checked.

Tested on real prices and a real registry, in tests/integration/test_training_pipeline.py.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.artifacts import Artifact, ScalarMetrics
from components.report import PROGRESS, THREADS, reported, tell

if TYPE_CHECKING:
    from components.training_table import TrainingTable
    from forecasting.leakage.findings import LeakFinding
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training import TrainedCandidate, TrainingConfig
    from forecasting.models.training_set import Examples

_FEW_TREES: Final[dict[str, dict[str, Any]]] = {
    "random_forest": {"n_estimators": 10},
    "xgboost": {"n_estimators": 15},
    "lightgbm": {"n_estimators": 15},
    "catboost": {"iterations": 15},
    "har_boosted": {"n_estimators": 15},
    "har_combination": {"n_estimators": 15},
}
"""A leak shows in few trees as well as in many."""


@reported("train", label="candidate")
def run(
    *,
    candidate: str,
    table: Artifact,
    seed: int,
    width: str,
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
    from forecasting.evaluation.combinatorial_cv import need_skfolio
    from forecasting.models.candidates import WIDTH_PARAMETER
    from forecasting.models.parts import takes_width
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples

    def say(message: str) -> None:
        tell("train", candidate, PROGRESS, message=message)

    if combinatorial:
        need_skfolio()
    learned_from = TrainingTable.load(Path(table.path))
    examples = Examples.of(learned_from.features, learned_from.returns)
    config = TrainingConfig(
        params={WIDTH_PARAMETER: width} if takes_width(candidate) else {},
        seed=seed,
        folds=folds,
        tuning_trials=tuning_trials,
        select_features=select_features,
    )
    threads = int(os.environ.get(THREADS, "0")) or None
    trained = train_on_examples(candidate, examples, config, threads=threads, progress=say)
    say(f"{candidate}: looking for leaks")
    leaks = _check_leaks(candidate, examples, config, threads)
    paths = _skill_over_paths(trained, examples, combinatorial, threads, say)
    origin = {**learned_from.origin, "folds": folds, "git_revision": git_revision()}
    info = write_bundle(
        Path(bundle.path), trained, learned_from.spec, training=origin, signal=config.signal
    )
    trained.out_of_sample.save(Path(out_of_sample.path))
    bundle.metadata.update(kind=trained.kind, digest=info.digest)
    out_of_sample.metadata.update(
        kind=trained.kind,
        rows=len(trained.out_of_sample),
        trials=trained.trials,
        configuration=_configuration(candidate, config, learned_from),
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


def _configuration(candidate: str, config: "TrainingConfig", table: "TrainingTable") -> str:
    """What is weighed, as it was asked for: a search that finds others next week is the same one."""
    from forecasting.models.candidates import DEFAULTS

    asked = {
        "kind": candidate,
        "params": {**DEFAULTS[candidate], **config.params},
        "tuning_trials": config.tuning_trials,
        "select_features": config.select_features,
        "features": table.spec.digest,
        "source": table.origin["source"],
        "interval": table.origin["interval"],
        "seed": config.seed,
        "folds": config.folds,
    }
    return json.dumps(asked, sort_keys=True)


def _check_leaks(
    candidate: str, examples: "Examples", config: "TrainingConfig", threads: int | None
) -> "LeakFinding":
    """Train a small version of the candidate on altered examples and compare its forecasts."""
    from forecasting.leakage.checks import check_forecasts
    from forecasting.models.training import train_on_examples

    small = replace(
        config,
        params={**config.params, **_FEW_TREES.get(candidate, {})},
        folds=min(config.folds, 3),
        tuning_trials=min(config.tuning_trials, 1),
    )

    def forecast(part: "Examples") -> "OutOfSample":
        return train_on_examples(candidate, part, small, threads=threads).before_shrinkage

    return check_forecasts(forecast, examples, seed=config.seed)


def _skill_over_paths(
    trained: "TrainedCandidate",
    examples: "Examples",
    spans: int,
    threads: int | None,
    say: Callable[[str], None],
) -> list[float]:
    """Skill on every combinatorial path; none for the random walks or without spans."""
    from forecasting.evaluation.combinatorial_cv import skill_over_paths
    from forecasting.models.candidates import NULLS

    if not spans or trained.kind in NULLS:
        return []
    skills: list[float] = skill_over_paths(
        trained.kind,
        examples,
        params=trained.params,
        features=trained.part_features,
        spans=spans,
        seed=trained.seed,
        threads=threads,
        progress=say,
    ).skills.tolist()
    return skills
