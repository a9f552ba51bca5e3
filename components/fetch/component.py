"""Fetch: one shard's prices from a source, as they come."""

from typing import Optional

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def fetch(
    *,
    shard: str,
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    bars: dsl.Output[dsl.Dataset],
    kept: Optional[dsl.Input[dsl.Dataset]] = None,  # noqa: UP045
) -> None:
    """Ask a source for every n-th symbol, beginning with the shard's own.

    Args:
        shard: which share of the symbols this is, like 3/8.
        symbols: tickers separated by commas; empty for all the source carries, in one shard.
        source: name of the price source: sample, files, yahoo, synthetic or an installed one.
        source_options: the source's own options as a JSON object, e.g. {"path": "prices.csv"}.
        interval: bar interval: 1h, 2h, 4h or 1d.
        dataset: name of the data set in the lake that may stand in for a source that fails.
        bars: what the source gave, not judged, or why it gave nothing.
        kept: symbols to ask for besides, if they can be had; none where no step looked for them.
    """
    from components.fetch.step import run

    run(
        shard=shard,
        symbols=symbols,
        source=source,
        source_options=source_options,
        interval=interval,
        dataset=dataset,
        kept=kept,
        bars=bars,
    )
