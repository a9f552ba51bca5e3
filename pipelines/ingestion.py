"""The steps both pipelines begin with: prices in shards, one snapshot of them, its features."""

from typing import Final

from kfp import dsl

from components.features.component import features
from components.fetch.component import fetch
from components.ingest.component import ingest
from pipelines.tasks import with_resources, with_retries, without_cache

ONE_SHARD: Final = ["1/1"]


def featured_prices(
    *,
    shards: dsl.PipelineTask,
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    train_until: str = "",
) -> tuple[dsl.PipelineTask, dsl.PipelineTask]:
    """Fetch every shard by itself, judge all together, freeze one snapshot, and build features.

    Args:
        shards: the pipeline's list of shards, each like 3/8.
        symbols: as in the pipelines.
        source: as in the pipelines.
        source_options: as in the pipelines.
        interval: as in the pipelines.
        dataset: as in the pipelines.
        train_until: as in the pipelines.

    Returns:
        The ingest step and the features step.
    """
    request = {
        "symbols": symbols,
        "source": source,
        "source_options": source_options,
        "interval": interval,
        "dataset": dataset,
    }
    with dsl.ParallelFor(shards) as shard:
        fetched = fetch(shard=shard, **request)
    prices = ingest(fetched=dsl.Collected(fetched.outputs["bars"]), **request)
    with_resources(fetched, cpu="1", memory="1G")
    with_resources(prices, cpu="1", memory="2G")
    with_retries(fetched, prices)
    without_cache(fetched, prices)
    described = features(
        snapshot=prices.outputs["Output"],
        dataset=dataset,
        symbols=symbols,
        train_until=train_until,
    )
    with_resources(described, cpu="1", memory="2G")
    with_retries(described)
    return prices, described
