"""Ingest: what the shards fetched, judged bar by bar, frozen in the lake as one snapshot."""

from typing import List, Optional  # noqa: UP035 - KFP reads List[Artifact] only

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def ingest(
    *,
    fetched: dsl.Input[List[dsl.Dataset]],  # noqa: UP006
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    prices: dsl.Output[dsl.Dataset],
    quality: dsl.Output[dsl.Markdown],
    kept: Optional[dsl.Input[dsl.Dataset]] = None,  # noqa: UP045
) -> str:
    """Put fetched prices together, quarantine what is wrong with them, and freeze a snapshot.

    Args:
        fetched: what each shard brought.
        symbols: tickers separated by commas; empty for all the source carries.
        source: name of the price source: sample, files, yahoo, synthetic or an installed one.
        source_options: the source's own options as a JSON object, e.g. {"path": "prices.csv"}.
        interval: bar interval: 1h, 2h, 4h or 1d.
        dataset: name of the data set in the lake that the bars are added to.
        prices: the snapshot's manifest; the bars themselves lie in the lake.
        quality: what was quarantined, by the name of its fault.
        kept: symbols to ask for besides, if they can be had; none where no step looked for them.

    Returns:
        The snapshot's content hash: the same bars have the same one.
    """
    from components.ingest.step import run

    return run(
        fetched=fetched,
        symbols=symbols,
        source=source,
        source_options=source_options,
        interval=interval,
        dataset=dataset,
        kept=kept,
        prices=prices,
        quality=quality,
    )
