"""The fetch step: source -> one shard's bars, not judged."""

from pathlib import Path

from components.artifacts import Artifact
from components.parameters import listed, listed_in_file, read_options
from components.report import reported
from forecasting.settings import Settings


@reported("fetch", label="shard")
def run(
    *,
    shard: str,
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    bars: Artifact,
    kept: Artifact | None = None,
) -> None:
    """Fetch one shard; see the component for the arguments.

    A source that fails fails the step only where nothing is held that could stand in: there the
    step is worth trying again. Elsewhere the ingest step decides, for all shards at once.

    Raises:
        UnknownSymbol: the source does not know a symbol.
        SourceUnavailable: it failed, and the data set holds nothing.
        InvalidPrices: the bars as a whole cannot be read.
        InvalidSettings: there is no such source, second provider or shard, or it does not have
            such bars.
    """
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.open import open_secondary, open_source
    from forecasting.adapters.market.parts import Shard, fetch_part

    settings = Settings()
    which = Shard.parse(shard)
    opened = open_source(source, settings, which.count, **read_options(source_options))
    open_secondary(opened, settings)  # a wrong name is refused before anything is fetched
    part = fetch_part(
        opened,
        which,
        symbols=listed(symbols),
        interval=interval,
        may_fail=Lake(settings.lake).holds(dataset),
        kept=listed_in_file(kept),
    )
    part.save(Path(bars.path))
    bars.metadata.update(
        shard=shard,
        symbols=len(part.symbols),
        rows=0 if part.bars is None else len(part.bars),
        failure=": ".join(part.failure[:2]),
    )
