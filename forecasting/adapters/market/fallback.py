"""Fetches prices; when the source fails, a second provider or the last good snapshot stands in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from forecasting.adapters.lake.fetch_record import Compared, FetchRecord
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.market.secondary import Agreement, Secondary, differing_share, in_words
from forecasting.adapters.market.source import FetchResult, PriceSource
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
    interval: str = "1d",
    last_good_days: float,
    secondary: Secondary | None = None,
    now: datetime | None = None,
) -> FetchResult:
    """Fetch from a source; if it fails or limits us, take what may stand in for it.

    Args:
        source: whom to ask.
        lake: where the last snapshot is.
        dataset: name of the data set in the lake.
        symbols: as in `PriceSource.fetch`.
        interval: as in `PriceSource.fetch`.
        last_good_days: oldest fetch that may stand in, in days (`settings.last_good_days`).
        secondary: the provider that stands in where it agrees with the source, if there is one.
        now: the present, aware; the wall clock by default.

    Returns:
        The source's answer; or newer bars of the second provider with that `provider` named, if the
        two agree; or the snapshot's bars with the time of their own fetch, `fallback` set. Why is
        in the notes, and in the lake's record of the fetch.

    Raises:
        SourceUnavailable: the source failed, and nothing may stand in; the reasons why not are
            part of the message.
    """
    moment = now or utc_now()
    try:
        fetched = source.fetch(symbols, None, None, interval)
    except SourceUnavailable as failure:
        reasons: list[str] = []
        compared = None
        failure_text = f"{failure.rule}: {failure.found}"
        try:
            snapshot = _fitting_snapshot(lake, dataset, source, symbols=symbols, interval=interval)
            offered, compared = _offer_of(secondary, lake, snapshot, symbols, reasons)
            if offered is None:
                _refuse_age(snapshot, moment, last_good_days)
                failed = f"{source.name} failed ({failure_text})"
                fetched = _last_good(snapshot, lake.read(snapshot, symbols), failed, reasons)
            else:
                why = f"{source.name} failed ({failure_text}), so {offered.provider} was asked."
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
            reason=failure_text,
            compared=compared,
        )
    else:
        fetched, compared = _with_comparison(source, secondary, fetched, interval)
        record = FetchRecord(moment, source.name, "", fetched.fetched_at, compared=compared)
    lake.record_fetch(dataset, record)
    return fetched


def _offer_of(
    secondary: Secondary | None,
    lake: Lake,
    snapshot: Snapshot,
    symbols: Sequence[str],
    reasons: list[str],
) -> tuple[FetchResult | None, Compared | None]:
    """What the second provider gives and how it agrees; if it gives nothing, one more reason."""
    if secondary is None:
        return None, None
    try:
        offer = secondary.offer(lake, snapshot, symbols)
    except BellwetherError as reason:
        reasons.append(f"{secondary.name} does not stand in: {reason}.")
        return None, None
    if offer.refusal:
        reasons.append(f"{secondary.name} does not stand in: {offer.refusal}.")
    return offer.fetched, _compared(secondary.name, offer.agreements)


def _last_good(
    snapshot: Snapshot, bars: "pd.DataFrame", failed: str, reasons: list[str]
) -> FetchResult:
    note = (
        f"{failed}, so these are the prices fetched at {snapshot.fetched_at:%Y-%m-%d %H:%M} UTC, "
        f"up to the bar that closed at {snapshot.last:%Y-%m-%d %H:%M} UTC."
    )
    return FetchResult(
        bars=bars,
        fetched_at=snapshot.fetched_at,
        notes=(note, *reasons, *snapshot.notes),
        fallback=True,
        survivorship=snapshot.survivorship,
    )


def _with_comparison(
    source: PriceSource, secondary: Secondary | None, fetched: FetchResult, interval: str
) -> tuple[FetchResult, Compared | None]:
    """The source's answer with a note on how the second provider agrees.

    The second may fail here without harm: the note says so, and the answer stands.
    """
    if secondary is None or not secondary.compares:
        return fetched, None
    try:
        agreements, _ = secondary.agreements(fetched.bars, interval)
    except BellwetherError as reason:
        note = f"{source.name} could not be compared with {secondary.name}: {reason}"
        return replace(fetched, notes=(*fetched.notes, note)), None
    note = in_words(agreements, source.name, secondary.name)
    compared = _compared(secondary.name, agreements)
    return replace(fetched, notes=(*fetched.notes, note)), compared


def _compared(provider: str, agreements: list[Agreement]) -> Compared:
    return Compared(
        provider=provider,
        bars=sum(agreement.bars for agreement in agreements),
        differing_share=differing_share(agreements),
        actions=sum(len(agreement.actions) for agreement in agreements),
    )


def _fitting_snapshot(
    lake: Lake, dataset: str, source: PriceSource, *, symbols: Sequence[str], interval: str
) -> Snapshot:
    """The newest snapshot, if it holds what was asked for."""
    snapshot = lake.latest(dataset)
    if (snapshot.source, snapshot.interval) != (source.name, interval):
        raise NotReady(
            f"the last one must hold {interval} bars of {source.name}",
            f"{dataset!r} holds {snapshot.interval} bars of {snapshot.source}",
        )
    missing = sorted(set(symbols) - set(snapshot.symbols))
    if missing:
        raise NotReady(
            "the last one must hold every symbol", f"{', '.join(missing)} not in {dataset!r}"
        )
    return snapshot


def _refuse_age(snapshot: Snapshot, now: datetime, days: float) -> None:
    age = (now - snapshot.fetched_at) / timedelta(days=1)
    if age > days:
        raise NotReady(f"the last one must be at most {days:g} days old", f"it is {age:.1f}")
