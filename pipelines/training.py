"""The training pipeline: from prices to a verdict."""

from typing import Final, List, NamedTuple  # noqa: UP035 - KFP reads List only

from kfp import dsl

from components.evaluate.component import evaluate
from components.features.component import features
from components.recalibrate.component import recalibrate
from components.register.component import register
from components.train.component import train
from forecasting.adapters.workflows.client import TRAINING
from pipelines.ingestion import ONE_SHARD, fetched_prices
from pipelines.runs import DEFAULT_CANDIDATES, DEFAULT_WIDTH
from pipelines.tasks import with_resources, with_retries, without_cache

CANDIDATES: Final = list(DEFAULT_CANDIDATES)


class TrainingOutputs(NamedTuple):
    """What a finished training hands back: the register step's outcome, report and verdict."""

    outcome: str
    report: dsl.HTML
    verdict: dsl.Markdown


@dsl.pipeline(name=TRAINING, description="From prices to a verdict.")  # type: ignore[untyped-decorator]
def training(
    symbols: str = "",
    source: str = "sample",
    source_options: str = "",
    interval: str = "1d",
    dataset: str = "default",
    train_until: str = "",
    candidates: List[str] = CANDIDATES,  # noqa: UP006
    width: str = DEFAULT_WIDTH,
    folds: int = 6,
    tuning_trials: int = 0,
    select_features: bool = False,  # noqa: FBT001, FBT002
    combinatorial: int = 0,
    horizon: int = 30,
    seed: int = 7,
    who: str = "pipeline",
    shards: List[str] = ONE_SHARD,  # noqa: UP006
) -> TrainingOutputs:
    """Fetch, describe, train, weigh, register, recalibrate what is served.

    Args:
        symbols: tickers separated by commas; empty for all the source carries.
        source: name of the price source.
        source_options: the source's own options as a JSON object.
        interval: bar interval: 1h, 2h, 4h or 1d.
        dataset: name of the data set in the lake.
        train_until: ISO date or instant; later bars are left out of the training.
        candidates: kinds of models to compare; random_walk must be one of them, and
            random_walk_drift is compared with in any case.
        width: width of the intervals of candidates that learn locations: ewma, or a candidate that
            learns widths.
        folds: test spans of the walk-forward.
        tuning_trials: Optuna trials per candidate; 0 for the defaults.
        select_features: whether features without permutation importance are dropped.
        combinatorial: spans of the combinatorial paths, at least 3; 0 for none.
        horizon: longest forecast that is weighed, in bars.
        seed: seed of everything random.
        who: name written into the promotion's audit trail.
        shards: shares of the symbols that are fetched at the same time, e.g. ["1/2", "2/2"].
    """
    prices = fetched_prices(
        shards=shards,
        symbols=symbols,
        source=source,
        source_options=source_options,
        interval=interval,
        dataset=dataset,
    )
    described = features(
        snapshot=prices.outputs["Output"],
        dataset=dataset,
        symbols=symbols,
        train_until=train_until,
        candidates=candidates,
        width=width,
    )
    with dsl.ParallelFor(candidates) as candidate:
        trained = train(
            candidate=candidate,
            table=described.outputs["table"],
            seed=seed,
            width=width,
            folds=folds,
            tuning_trials=tuning_trials,
            select_features=select_features,
            combinatorial=combinatorial,
        )
    weighed = evaluate(
        out_of_sample=dsl.Collected(trained.outputs["out_of_sample"]),
        table=described.outputs["table"],
        horizon=horizon,
        seed=seed,
    )
    registered = register(
        bundles=dsl.Collected(trained.outputs["bundle"]),
        table=described.outputs["table"],
        reference=described.outputs["reference"],
        evidence=weighed.outputs["evidence"],
        report=weighed.outputs["report"],
        verdict=weighed.outputs["verdict"],
        dataset=dataset,
        who=who,
        pipeline_run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
    )
    # Whatever the verdict: what is served is renewed by what this training has seen.
    renewed = recalibrate(
        snapshot=prices.outputs["Output"],
        dataset=dataset,
        outcome=registered.outputs["Output"],
    )
    with_resources(trained, cpu="2", memory="4G")
    with_resources(weighed, cpu="1", memory="4G")
    with_resources(described, cpu="1", memory="2G")
    with_resources(registered, cpu="1", memory="2G")
    with_resources(renewed, cpu="1", memory="2G")
    with_retries(described, trained, weighed, registered, renewed)
    without_cache(weighed, registered, renewed)  # they look at the world, not only at their inputs
    return TrainingOutputs(
        outcome=registered.outputs["Output"],
        report=weighed.outputs["report"],
        verdict=weighed.outputs["verdict"],
    )
