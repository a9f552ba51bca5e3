"""The ingest step: what the shards fetched -> judgement -> one snapshot in the lake."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.artifacts import Artifact
from components.parameters import listed, listed_in_file, read_options
from components.report import PROGRESS, reported, tell
from forecasting.prices.quality.catalogue import FAULTS
from forecasting.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.ingest import Ingested
    from forecasting.adapters.lake.snapshot import Snapshot

_SHOWN: Final = 100
"""Findings that a report lists one by one."""


@reported("ingest")
def run(
    *,
    fetched: Sequence[Artifact],
    symbols: str,
    source: str,
    source_options: str,
    interval: str,
    dataset: str,
    prices: Artifact,
    quality: Artifact,
    kept: Artifact | None = None,
) -> str:
    """Gather, judge and freeze prices; see the component for the arguments.

    Raises:
        SourceUnavailable: the source failed, and no recent snapshot may stand in.
        InvalidPrices: the bars as a whole, or too many of a symbol's, break a rule of
            `forecasting.prices.quality.catalogue`.
        InvalidSettings: the shards are not those of one fetch, or the data set holds another
            source or interval.
        Corrupted: what a shard left is damaged.
    """
    from forecasting.adapters.ingest import ingest_prices
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.open import open_secondary, open_source
    from forecasting.adapters.market.parts import FetchedPart, Gathered

    settings = Settings()
    lake = Lake(settings.lake)
    parts = [FetchedPart.load(Path(one.path)) for one in fetched]
    opened = open_source(source, settings, **read_options(source_options))
    ingested = ingest_prices(
        Gathered(opened, parts),
        lake,
        dataset,
        symbols=listed(symbols),
        interval=interval,
        last_good_days=settings.last_good_days,
        secondary=open_secondary(opened, settings),
        kept=listed_in_file(kept),
    )
    snapshot = ingested.snapshot
    for note in ingested.notes:
        tell("ingest", "", PROGRESS, message=note)
    Path(prices.path).write_bytes(snapshot.to_bytes())
    faulty = lake.quarantine(snapshot)
    prices.metadata.update(
        _metadata(snapshot),
        fallback=ingested.fallback,
        quarantined=dict(Counter(faulty["fault"])),
        repaired=dict(ingested.repairs),
        reported=dict(Counter(finding.fault for finding in ingested.findings)),
    )
    Path(quality.path).write_text(_quality(faulty, ingested))
    return snapshot.id


def _metadata(snapshot: "Snapshot") -> dict[str, object]:
    return {
        **snapshot.facts(),
        # Every pod that reads the artifact gets this metadata as arguments: a count, not a list.
        "symbols": len(snapshot.symbols),
        "first": snapshot.first.isoformat(),
        "last": snapshot.last.isoformat(),
        "rows": snapshot.rows,
        "fetched_at": snapshot.fetched_at.isoformat(),
    }


def _quality(faulty: "pd.DataFrame", ingested: "Ingested") -> str:
    """What a person wants to know of a snapshot's quality, as Markdown."""
    snapshot = ingested.snapshot
    lines = [
        f"## {snapshot.rows} bars of {len(snapshot.symbols)} symbols, {len(faulty)} in quarantine",
        "",
        (
            f"Snapshot `{snapshot.id}` of `{snapshot.dataset}`: {snapshot.source}, "
            f"{snapshot.interval} bars, {snapshot.first:%Y-%m-%d} to {snapshot.last:%Y-%m-%d}, "
            f"fetched {snapshot.fetched_at:%Y-%m-%d %H:%M} UTC."
        ),
        "",
        *(f"- {note}" for note in ingested.notes),
    ]
    if len(faulty):
        counts = Counter(zip(faulty["symbol"], faulty["fault"], strict=True))
        lines += ["", "| symbol | fault | bars | rule |", "|---|---|---:|---|"]
        lines += [
            f"| {symbol} | {fault} | {count} | {FAULTS[fault].rule} |"
            for (symbol, fault), count in sorted(counts.items())
        ]
    if ingested.findings:
        lines += ["", "| symbol | reported, not removed | what was found |", "|---|---|---|"]
        shown = ingested.findings[:_SHOWN]
        lines += [f"| {finding.symbol} | {finding.fault} | {finding.found} |" for finding in shown]
        if len(ingested.findings) > _SHOWN:
            lines += ["", f"And {len(ingested.findings) - _SHOWN} more."]
    if ingested.repairs:
        mended = ", ".join(f"{count} {name}" for name, count in sorted(ingested.repairs.items()))
        lines += ["", f"Mended without loss: {mended}."]
    return "\n".join(lines) + "\n"
