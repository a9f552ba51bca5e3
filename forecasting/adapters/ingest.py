"""From a price source into the lake: fetch, judge every bar, freeze what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.market.fallback import fetch_or_last_good
from forecasting.adapters.market.kept import judge_with_kept
from forecasting.adapters.market.secondary import Secondary
from forecasting.adapters.market.source import PriceSource
from forecasting.clock import utc_now
from forecasting.errors import NotReady
from forecasting.prices.quality.catalogue import FaultCount

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ingested:
    """What an ingest came to.

    Attributes:
        snapshot: the newest snapshot of the data set.
        notes: what there is to know about the prices, in sentences; the snapshot has them too.
        fallback: whether the source failed and the last good snapshot stands in.
        repairs: blemishes mended without loss, by name; see `forecasting.prices.quality.catalogue`.
        findings: what is reported of bars that stay.
    """

    snapshot: Snapshot
    notes: tuple[str, ...]
    fallback: bool
    repairs: Mapping[str, int]
    findings: tuple[FaultCount, ...] = ()


def ingest_prices(
    source: PriceSource,
    lake: Lake,
    dataset: str,
    *,
    symbols: Sequence[str],
    interval: str,
    last_good_days: float,
    secondary: Secondary | None = None,
    kept: Sequence[str] = (),
) -> Ingested:
    """Fetch bars, judge them, and append what is new to a data set of the lake.

    Args:
        source: whom to ask.
        lake: where snapshots are kept.
        dataset: name of the data set in the lake.
        symbols: what to ask for; none for all the source carries.
        interval: bar interval.
        last_good_days: oldest snapshot that may stand in when the source fails, in days.
        secondary: the provider that stands in where it agrees with the source, if there is one.
        kept: symbols that were asked for besides, if they could be had.

    Raises:
        UnknownSymbol: the source does not know a symbol.
        SourceUnavailable: it failed, and no recent snapshot may stand in.
        InvalidPrices: the bars as a whole, or too many of a symbol's, break a rule of
            `forecasting.prices.quality.catalogue`.
        InvalidSettings: the data set holds another source or interval.
    """
    from forecasting.prices.quality.judge import judge

    fetched = fetch_or_last_good(
        source,
        lake,
        dataset,
        symbols=(*symbols, *kept),
        interval=interval,
        last_good_days=last_good_days,
        secondary=secondary,
    )
    if fetched.fallback:
        return Ingested(lake.latest(dataset), fetched.notes, fallback=True, repairs={})
    judge_bars = partial(judge, now=utc_now(), interval=interval, stored=_stored(lake, dataset))
    judged, refused = judge_with_kept(fetched.bars, kept, judge_bars)
    notes = (*fetched.notes, fetched.survivorship.sentence, *judged.notes, *refused)
    snapshot = lake.append(
        dataset,
        judged,
        source=source.name,
        replay=source.replay,
        synthetic=source.synthetic,
        interval=interval,
        fetched_at=fetched.fetched_at,
        notes=notes,
        provider=fetched.provider,
        survivorship=fetched.survivorship,
    )
    return Ingested(
        snapshot,
        notes,
        fallback=False,
        repairs=dict(judged.repairs),
        findings=judged.findings,
    )


def _stored(lake: Lake, dataset: str) -> "pd.DataFrame | None":
    """Bars of the newest snapshot, if there is one."""
    try:
        return lake.read(lake.latest(dataset))
    except NotReady:
        return None
