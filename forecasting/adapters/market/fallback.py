"""When a source fails: the last good snapshot, if it is not too old, and clearly said."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from forecasting.adapters.lake import Lake
from forecasting.adapters.market.source import FetchResult, PriceSource, within
from forecasting.adapters.snapshot import Snapshot
from forecasting.errors import Corrupted, NotReady, SourceUnavailable

if TYPE_CHECKING:
    import pandas as pd


def fetch_or_last_good(
    source: PriceSource,
    lake: Lake,
    dataset: str,
    *,
    symbols: Sequence[str],
    start: date | None = None,
    end: date | None = None,
    interval: str = "1d",
    last_good_days: float,
    now: datetime | None = None,
) -> FetchResult:
    """Fetch from a source; if it fails or limits us, take the last snapshot instead.

    Args:
        source: whom to ask.
        lake: where the last snapshot is.
        dataset: name of the data set in the lake.
        symbols: as in `PriceSource.fetch`.
        start: as in `PriceSource.fetch`.
        end: as in `PriceSource.fetch`.
        interval: as in `PriceSource.fetch`.
        last_good_days: oldest fetch that may stand in, in days (`settings.last_good_days`).
        now: the present, aware; the wall clock by default.

    Returns:
        The source's answer; or the snapshot's bars with the time of their own fetch, `fallback`
        set, and the failure in the notes.

    Raises:
        SourceUnavailable: the source failed, and there is no snapshot that may stand in; the
            reason why not is part of the message.
    """
    try:
        return source.fetch(symbols, start, end, interval)
    except SourceUnavailable as failure:
        try:
            held = _stand_in(lake, dataset, source, symbols=symbols, interval=interval)
            _refuse_age(held, now or datetime.now(UTC), last_good_days)
            bars = _bars(lake, held, symbols, start, end)
        except (Corrupted, NotReady) as reason:
            failure.remedy = f"{failure.remedy}. No snapshot stands in: {reason}".lstrip(". ")
            raise failure from reason
        said = (
            f"{source.name} failed ({failure.rule}: {failure.found}), so these are the prices "
            f"fetched at {held.fetched_at:%Y-%m-%d %H:%M} UTC, up to the bar that closed at "
            f"{held.last:%Y-%m-%d %H:%M} UTC."
        )
        return FetchResult(
            bars=bars, fetched_at=held.fetched_at, notes=(said, *held.notes), fallback=True
        )


def _stand_in(
    lake: Lake, dataset: str, source: PriceSource, *, symbols: Sequence[str], interval: str
) -> Snapshot:
    """The snapshot that holds what was asked for."""
    held = lake.latest(dataset)
    if (held.source, held.interval) != (source.name, interval):
        raise NotReady(
            f"the last one must hold {interval} bars of {source.name}",
            f"{dataset!r} holds {held.interval} bars of {held.source}",
        )
    missing = sorted(set(symbols) - set(held.symbols))
    if missing:
        raise NotReady(
            "the last one must hold every symbol", f"{', '.join(missing)} not in {dataset!r}"
        )
    return held


def _refuse_age(held: Snapshot, now: datetime, days: float) -> None:
    age = (now - held.fetched_at) / timedelta(days=1)
    if age > days:
        raise NotReady(f"the last one must be at most {days:g} days old", f"it is {age:.1f}")


def _bars(
    lake: Lake, held: Snapshot, symbols: Sequence[str], start: date | None, end: date | None
) -> "pd.DataFrame":
    bars = within(lake.read(held, symbols), start, end)
    if bars.empty:
        raise NotReady("the last one must have bars between the dates asked for")
    return bars
