"""The steps both pipelines begin with: prices in shards, and one snapshot of them."""

from typing import Final

from kfp import dsl

from components.fetch.component import fetch
from components.ingest.component import ingest
from pipelines.tasks import with_resources, with_retries, without_cache

ONE_SHARD: Final = ["1/1"]


def fetched_prices(
    *,
    shards: dsl.PipelineTask,
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    kept: dsl.Dataset | None = None,
) -> dsl.PipelineTask:
    """Fetch every shard by itself, judge all together, and freeze one snapshot.

    Args:
        shards: the pipeline's list of shards, each like 3/8.
        symbols: as in the pipelines.
        source: as in the pipelines.
        source_options: as in the pipelines.
        interval: as in the pipelines.
        dataset: as in the pipelines.
        kept: what the needs step left: symbols besides, if they can be had.

    Returns:
        The ingest step.
    """
    request = {
        "symbols": symbols,
        "source": source,
        "source_options": source_options,
        "interval": interval,
        "dataset": dataset,
    } | ({} if kept is None else {"kept": kept})
    with dsl.ParallelFor(shards) as shard:
        fetched = fetch(shard=shard, **request)
    prices = ingest(fetched=dsl.Collected(fetched.outputs["bars"]), **request)
    with_resources(fetched, cpu="1", memory="1G")
    with_resources(prices, cpu="1", memory="2G")
    with_retries(fetched, prices)
    without_cache(fetched, prices)
    return prices
