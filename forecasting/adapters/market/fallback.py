"""When a source fails: its second provider, else the last good snapshot; and clearly said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from forecasting.adapters.lake.fetch_record import Compared, FetchRecord
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.market.chain import Chained
from forecasting.adapters.market.reconcile import Agreement, differing_share, in_words
from forecasting.adapters.market.source import FetchResult, PriceSource, within
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError, Corrupted, NotReady, SourceUnavailable

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
    """Fetch from a source; if it fails or limits us, take what may stand in for it.

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
        The source's answer; or newer bars of its second provider with that `provider` named, if the
        two agree; or the snapshot's bars with the time of their own fetch, `fallback` set. Why is
        in the notes, and in the lake's record of the fetch.

    Raises:
        SourceUnavailable: the source failed, and nothing may stand in; the reasons why not are
            part of the message.
    """
    moment = now or utc_now()
    try:
        fetched = source.fetch(symbols, start, end, interval)
    except SourceUnavailable as failure:
        said = f"{failure.rule}: {failure.found}"
        reasons: list[str] = []
        compared = None
        try:
            held = _stand_in(lake, dataset, source, symbols=symbols, interval=interval)
            offered, compared = _of_second(source, lake, held, symbols, end, reasons)
            if offered is None:
                _refuse_age(held, moment, last_good_days)
                bars = _bars(lake, held, symbols, start, end)
                fetched = _last_good(held, bars, f"{source.name} failed ({said})", reasons)
            else:
                why = f"{source.name} failed ({said}), so {offered.provider} was asked."
                fetched = replace(offered, notes=(why, *offered.notes))
        except (Corrupted, NotReady) as reason:
            why_not = " ".join([*reasons, f"No snapshot stands in: {reason}"])
            failure.remedy = f"{failure.remedy}. {why_not}".lstrip(". ")
            raise failure from reason
        record = FetchRecord(
            at=moment,
            source=source.name,
            fallback="last_good" if fetched.fallback else "second_provider",
            prices_of=fetched.fetched_at,
            provider=fetched.provider,
            reason=said,
            compared=compared,
        )
    else:
        fetched, compared = _held_against(source, fetched, interval)
        record = FetchRecord(moment, source.name, "", fetched.fetched_at, compared=compared)
    lake.record_fetch(dataset, record)
    return fetched


def _of_second(
    source: PriceSource,
    lake: Lake,
    held: Snapshot,
    symbols: Sequence[str],
    end: date | None,
    reasons: list[str],
) -> tuple[FetchResult | None, Compared | None]:
    """What the second provider gives and how it agrees; if it gives nothing, one more reason."""
    if not isinstance(source, Chained):
        return None, None
    name = source.second.name
    try:
        offered = source.stand_in(lake, held, symbols, end)
    except BellwetherError as reason:
        reasons.append(f"{name} does not stand in: {reason}.")
        return None, None
    if offered.refusal:
        reasons.append(f"{name} does not stand in: {offered.refusal}.")
    return offered.fetched, _compared(name, offered.agreements)


def _last_good(
    held: Snapshot, bars: "pd.DataFrame", failed: str, reasons: list[str]
) -> FetchResult:
    said = (
        f"{failed}, so these are the prices fetched at {held.fetched_at:%Y-%m-%d %H:%M} UTC, up to "
        f"the bar that closed at {held.last:%Y-%m-%d %H:%M} UTC."
    )
    notes = (said, *reasons, *held.notes)
    return FetchResult(bars=bars, fetched_at=held.fetched_at, notes=notes, fallback=True)


def _held_against(
    source: PriceSource, fetched: FetchResult, interval: str
) -> tuple[FetchResult, Compared | None]:
    """The source's answer with a note on how its second provider agrees.

    The second may fail here without harm: that is said, and the answer stands.
    """
    if not isinstance(source, Chained) or not source.compares:
        return fetched, None
    try:
        agreements, _ = source.agreements(fetched.bars, interval)
    except BellwetherError as reason:
        said = f"{source.name} could not be compared with {source.second.name}: {reason}"
        return replace(fetched, notes=(*fetched.notes, said)), None
    said = in_words(agreements, source.name, source.second.name)
    told = replace(fetched, notes=(*fetched.notes, said))
    return told, _compared(source.second.name, agreements)


def _compared(provider: str, agreements: list[Agreement]) -> Compared:
    return Compared(
        provider=provider,
        bars=sum(one.bars for one in agreements),
        differing_share=differing_share(agreements),
        actions=sum(len(one.actions) for one in agreements),
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
