"""The steps both pipelines begin with: prices fetched in shards, and one snapshot of them."""

from typing import Final

from kfp import dsl

from components.fetch.component import fetch
from components.ingest.component import ingest
from pipelines.tasks import given, never_cached, tried_again

ONE_SHARD: Final = ["1/1"]


def prices_of(
    *,
    shards: dsl.PipelineTask,
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
) -> dsl.PipelineTask:
    """Fetch every shard by itself, judge all together, and freeze one snapshot.

    Args:
        shards: the pipeline's list of shards, each like 3/8.
        symbols: as in the pipelines.
        source: as in the pipelines.
        source_options: as in the pipelines.
        interval: as in the pipelines.
        dataset: as in the pipelines.

    Returns:
        The ingest step.
    """
    asked = {
        "symbols": symbols,
        "source": source,
        "source_options": source_options,
        "interval": interval,
        "dataset": dataset,
    }
    with dsl.ParallelFor(shards) as shard:
        fetched = fetch(shard=shard, **asked)
    prices = ingest(fetched=dsl.Collected(fetched.outputs["bars"]), **asked)
    given(fetched, cpu="1", memory="1G")
    given(prices, cpu="1", memory="2G")
    tried_again(fetched, prices)
    never_cached(fetched, prices)
    return prices
