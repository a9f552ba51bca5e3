"""Train: one candidate, walked forward, calibrated, refitted and bundled."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def train(
    *,
    candidate: str,
    table: dsl.Input[dsl.Dataset],
    seed: int,
    width: str,
    folds: int,
    tuning_trials: int,
    select_features: bool,
    combinatorial: int,
    bundle: dsl.Output[dsl.Model],
    out_of_sample: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Forecast every test span with a model that never saw it, then learn from everything.

    Args:
        candidate: kind of model: random_walk, random_walk_drift, ridge, random_forest, xgboost,
            har, har_boosted, garch, har_combination, lightgbm, catboost.
        table: features and horizon returns.
        seed: seed of everything random.
        width: width of the intervals of a candidate that learns locations: ewma, or a candidate that
            learns widths.
        folds: test spans of the walk.
        tuning_trials: Optuna trials inside the first training window; 0 for the defaults.
        select_features: whether features without permutation importance are dropped.
        combinatorial: spans of the combinatorial paths, at least 3; 0 for none.
        bundle: the refitted model: native bytes, manifest and digests.
        out_of_sample: the walk's forecasts beside what really happened.
        metrics: what the training cost, and how wide its data were.
    """
    from components.train.step import run

    run(
        candidate=candidate,
        table=table,
        seed=seed,
        width=width,
        folds=folds,
        tuning_trials=tuning_trials,
        select_features=select_features,
        combinatorial=combinatorial,
        bundle=bundle,
        out_of_sample=out_of_sample,
        metrics=metrics,
    )
