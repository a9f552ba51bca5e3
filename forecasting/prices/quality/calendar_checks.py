"""Compares bars with their exchange's calendar: closed days, missing sessions and wrong closes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Codes, Instants, Mask
from forecasting.instants import DAY, HOUR, SECOND, date_text
from forecasting.prices.calendar import AROUND_THE_CLOCK, Sessions, exchange_of, sessions_of
from forecasting.prices.quality.catalogue import (
    CLOSE_SLACK,
    FEW_BARS,
    NO_CALENDAR,
    OTHER_CALENDAR,
    SPARSE,
    FaultCount,
    fault_count,
)
from forecasting.prices.quality.marks import RawBars
from forecasting.schema import INTERVALS


@dataclass
class SessionFaults:
    """What the calendar shows of bars; masks have one entry a row [n].

    Attributes:
        closed: bars of days on which the exchange was closed.
        wrong_close: daily bars that close when their session did not.
        half_day: daily bars of a half day that close as on a full one.
        dst_shift: daily bars that close an hour beside their session.
        closes: the closes, UTC nanoseconds; those of the last two are the session's [n].
        beyond: bars after the last day up to which the exchange's holidays are known.
        findings: what is reported, and what refuses the set.
    """

    closed: Mask
    wrong_close: Mask
    half_day: Mask
    dst_shift: Mask
    closes: Instants
    beyond: Mask
    findings: list[FaultCount]


def judge_sessions(bars: RawBars, interval: str) -> SessionFaults:
    """Compare the bars that have a symbol and times with the calendars their tickers name.

    A symbol that keeps another calendar than its ticker's is reported, and its days are not judged:
    bars on closed days and none on open ones, or too many bars on closed days for any slip. Its
    closes are judged if most of them are the exchange's.
    """
    count = len(bars.codes)
    closed, wrong, half, shift, beyond = np.zeros((5, count), dtype=bool)
    found = SessionFaults(closed, wrong, half, shift, bars.times.copy(), beyond, [])
    exchanges = np.array([exchange_of(name) for name in bars.names], dtype=object)
    for exchange in sorted(set(exchanges.tolist())):
        members = exchanges == exchange
        rows = np.flatnonzero(bars.placed & members[bars.codes])
        if len(rows):
            _judge_exchange(found, bars, rows, str(exchange), interval)
    return found


def _judge_exchange(
    found: SessionFaults, bars: RawBars, rows: Codes, exchange: str, interval: str
) -> None:
    table = sessions_of(exchange, interval)
    codes, days = bars.codes[rows], bars.days[rows]
    place = _places(table, days)
    closed = place < 0
    beyond = days > table.days[table.known - 1]
    closed &= (days >= table.days[0]) & ~beyond
    found.beyond[rows] = beyond
    expected = np.where(beyond, -1, place)  # whether those days are holidays is not known
    foreign = _judge_presence(found, bars.names, codes, expected, closed, exchange, table)
    own = ~foreign[codes]
    found.closed[rows] = closed & own
    known = place >= 0
    if interval == "1d":
        if foreign.any():
            off = np.abs(bars.times[rows] - table.closes[place]) > CLOSE_SLACK * SECOND
            strays = np.bincount(codes[known & off], minlength=len(foreign))
            bars_there = np.bincount(codes[known], minlength=len(foreign))
            known &= (~foreign | (2 * strays < bars_there))[codes]
        _judge_closes(found, rows[known], place[known], table)
    elif exchange != AROUND_THE_CLOCK:
        known &= own
        _judge_hours(found, bars, rows[known], table, interval)


def calendars_that_ended(bars: RawBars, beyond: Mask) -> list[FaultCount]:
    """Count the bars that no calendar judged, the holidays of their days unknown."""
    beyond_bars = np.bincount(bars.codes[beyond], minlength=len(bars.names))
    counts = []
    for symbol in np.flatnonzero(beyond_bars).tolist():
        exchange = exchange_of(bars.names[symbol])
        table = sessions_of(exchange)
        last = _dates(table.days[table.known - 1 : table.known])
        details = {"count": beyond_bars[symbol], "last": last, "exchange": exchange}
        counts.append(
            fault_count("calendar_ended", bars.names[symbol], int(beyond_bars[symbol]), **details)
        )
    return counts


def _places(table: Sessions, days: Instants) -> Codes:
    """Place of each date among the sessions, -1 where there is none."""
    first = int(table.days[0]) // DAY
    lookup = np.full(int(table.days[-1]) // DAY - first + 1, -1, dtype=np.int64)
    lookup[table.days // DAY - first] = np.arange(len(table.days))
    at = days // DAY - first
    inside = (at >= 0) & (at < len(lookup))
    return np.where(inside, lookup[np.where(inside, at, 0)], -1)


def _judge_presence(
    found: SessionFaults,
    names: Sequence[str],
    codes: Codes,
    place: Codes,
    closed: Mask,
    exchange: str,
    table: Sessions,
) -> Mask:
    """Count missing sessions; returns which symbols keep another calendar [s]."""
    symbols = len(names)
    keys = codes[place >= 0] * len(table.days) + place[place >= 0]
    if (keys[1:] <= keys[:-1]).any():
        keys = np.unique(keys)
    owner, at = keys // len(table.days), keys % len(table.days)
    there = np.bincount(owner, minlength=symbols)
    first = np.full(symbols, len(table.days))
    last = np.full(symbols, -1)
    edges = np.flatnonzero(np.diff(owner)) + 1
    if len(keys):
        begins, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(keys)]]) - 1
        first[owner[begins]], last[owner[ends]] = at[begins], at[ends]
    span = np.maximum(last - first + 1, 0)
    missing = span - there
    shut = np.bincount(codes[closed], minlength=symbols)
    bars = np.bincount(codes, minlength=symbols)

    def many(counts: Codes, of: Codes) -> Mask:
        return np.asarray(counts > np.maximum(FEW_BARS, OTHER_CALENDAR * of), dtype=bool)

    foreign = (many(shut, bars) & many(missing, span)) | (
        shut > np.maximum(FEW_BARS, NO_CALENDAR * bars)
    )
    for symbol in np.flatnonzero(foreign).tolist():
        found.findings.append(
            fault_count(
                "other_calendar",
                names[symbol],
                int(shut[symbol] + missing[symbol]),
                closed=shut[symbol],
                exchange=exchange,
                missing=missing[symbol],
                sessions=span[symbol],
            )
        )
    # Bars on other days make up for missing ones, if the calendar is another.
    lacks = np.where(foreign, missing - shut, missing)
    sparse = lacks > np.maximum(FEW_BARS, SPARSE * span)
    for symbol in np.flatnonzero((missing > 0) & (sparse | ~foreign)).tolist():
        expected = np.arange(first[symbol], last[symbol] + 1)
        low, high = np.searchsorted(owner, [symbol, symbol + 1])
        lacking = np.setdiff1d(expected, at[low:high], assume_unique=True)
        found.findings.append(
            fault_count(
                "sparse_history" if sparse[symbol] else "missing_session",
                names[symbol],
                int(missing[symbol]),
                count=missing[symbol],
                sessions=span[symbol],
                first=_dates(table.days[lacking]),
            )
        )
    return np.asarray(foreign, dtype=bool)


def _judge_closes(found: SessionFaults, rows: Codes, place: Codes, table: Sessions) -> None:
    """Closes of daily bars: right, mended or wrong."""
    times, closes, full = found.closes[rows], table.closes[place], table.full_closes[place]
    off = np.abs(times - closes)
    slack = CLOSE_SLACK * SECOND
    if (off <= slack).all():
        return
    wrong = off > slack
    late = np.abs(times - full)
    half = wrong & (full != closes) & ((late <= slack) | (np.abs(late - HOUR) <= SECOND))
    shift = wrong & ~half & (np.abs(off - HOUR) <= SECOND)
    found.half_day[rows[half]] = True
    found.dst_shift[rows[shift]] = True
    found.wrong_close[rows[wrong & ~half & ~shift]] = True
    mended = half | shift
    found.closes[rows[mended]] = closes[mended]


def _judge_hours(
    found: SessionFaults, bars: RawBars, rows: Codes, table: Sessions, interval: str
) -> None:
    """Intraday bars that end before their session opens or begin after it closes."""
    ends = bars.times[rows]
    at = np.searchsorted(table.opens, ends - 1, side="right") - 1
    begins = ends - INTERVALS[interval] * SECOND
    # A bar that was cut short by the session's end begins later than a whole one would.
    outside = (at < 0) | (np.maximum(begins, table.opens[at]) >= table.closes[at])
    for symbol in np.unique(bars.codes[rows[outside]]).tolist():
        these = rows[outside & (bars.codes[rows] == symbol)]
        found.findings.append(
            fault_count(
                "outside_session",
                bars.names[symbol],
                len(these),
                count=len(these),
                first=_dates(bars.days[these]),
            )
        )


def _dates(days: Instants) -> str:
    """The first three dates, and how many more."""
    shown = [date_text(day) for day in np.unique(days)[:3]]
    more = len(np.unique(days)) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
