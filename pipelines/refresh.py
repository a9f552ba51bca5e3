"""The refresh pipeline: keeps the serving features current between trainings."""

from typing import List, NamedTuple  # noqa: UP035 - KFP reads List only

from kfp import dsl

from components.forecast.component import forecast
from components.needs.component import needs
from components.publish.component import publish
from components.recalibrate.component import recalibrate
from forecasting.adapters.workflows.client import REFRESH
from pipelines.ingestion import ONE_SHARD, fetched_prices
from pipelines.tasks import with_resources, with_retries, without_cache


class RefreshOutputs(NamedTuple):
    """What a finished refresh hands back: the snapshot's and the features' content hashes."""

    snapshot: str
    published: str


@dsl.pipeline(
    name=REFRESH,
    description="New prices, described and published; forecasts recalibrated and logged.",
)  # type: ignore[untyped-decorator]
def refresh(
    symbols: str = "",
    source: str = "sample",
    source_options: str = "",
    interval: str = "1d",
    dataset: str = "default",
    shards: List[str] = ONE_SHARD,  # noqa: UP006
) -> RefreshOutputs:
    """Look up what is needed, fetch, publish for every version in use, recalibrate what is due, forecast.

    Args:
        symbols: tickers separated by commas; empty for all the source carries. Those that versions
            in use know are fetched besides.
        source: name of the price source.
        source_options: the source's own options as a JSON object.
        interval: bar interval: 1h, 2h, 4h or 1d.
        dataset: name of the data set in the lake.
        shards: shares of the symbols that are fetched at the same time, e.g. ["1/2", "2/2"].
    """
    besides = needs(symbols=symbols, dataset=dataset)
    prices = fetched_prices(
        shards=shards,
        symbols=symbols,
        source=source,
        source_options=source_options,
        interval=interval,
        dataset=dataset,
        kept=besides.outputs["kept"],
    )
    published = publish(snapshot=prices.outputs["Output"], dataset=dataset, symbols=symbols)
    renewed = recalibrate(snapshot=prices.outputs["Output"], dataset=dataset, outcome="")
    renewed.after(published)
    logged = forecast(dataset=dataset)
    logged.after(renewed)
    with_resources(besides, cpu="1", memory="1G")
    with_resources(published, cpu="1", memory="2G")
    with_resources(renewed, cpu="1", memory="2G")
    with_resources(logged, cpu="1", memory="1G")
    with_retries(besides, published, renewed, logged)
    without_cache(besides, published, renewed, logged)
    return RefreshOutputs(snapshot=prices.outputs["Output"], published=published.outputs["Output"])
