"""Exchange calendars: the close of every session and bar, half days and holidays included.

The exchange follows from the ticker, in Yahoo's spelling: a suffix names it (2330.TW is Taipei),
no suffix means New York, BTC-USD trades around the clock, EURUSD and EURUSD=X from Sunday to
Friday. Sessions come from exchange-calendars. Outside the years it covers (1990 to next year at
best; to the last year whose holidays are published for Shanghai, Mumbai and Singapore) every
weekday counts as a full session, three years ahead of today.

Daily currency bars are taken to end at midnight UTC after their date, because providers cut the
day between New York's and London's evening: later than the truth is safe, earlier would leak.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from forecasting.arrays import Instants
from forecasting.clock import utc_now
from forecasting.errors import InvalidPrices, InvalidSettings
from forecasting.instants import SECOND, nanoseconds, to_nanoseconds, utc_index
from forecasting.schema import INTERVALS

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar


NEW_YORK: Final = "XNYS"
AROUND_THE_CLOCK: Final = "24/7"
WEEKDAYS: Final = "24/5"
CURRENCY_HOURS: Final = "FX"

SUFFIXES: Final = {
    "AS": "XAMS", "AT": "ASEX", "AX": "XASX", "BA": "XBUE", "BK": "XBKK", "BO": "XBOM",
    "BR": "XBRU", "CO": "XCSE", "DE": "XETR", "F": "XFRA", "HE": "XHEL", "HK": "XHKG",
    "IC": "XICE", "IR": "XDUB", "IS": "XIST", "JK": "XIDX", "JO": "XJSE", "KL": "XKLS",
    "KQ": "XKRX", "KS": "XKRX", "L": "XLON", "LS": "XLIS", "MC": "XMAD", "ME": "XMOS",
    "MI": "XMIL", "MX": "XMEX", "NS": "XBOM", "NZ": "XNZE", "OL": "XOSL", "PA": "XPAR",
    "PR": "XPRA", "SA": "BVMF", "SI": "XSES", "SN": "XSGO", "SR": "XSAU", "SS": "XSHG",
    "ST": "XSTO", "SW": "XSWX", "SZ": "XSHG", "T": "XTKS", "TA": "XTAE", "TO": "XTSE",
    "TW": "XTAI", "TWO": "XTAI", "V": "XTSE", "VI": "XWBO", "WA": "XWAR",
}  # fmt: skip
"""Yahoo's ticker suffix -> exchange calendar."""

INDICES: Final = {
    "^AXJO": "XASX", "^FCHI": "XPAR", "^FTSE": "XLON", "^GDAXI": "XETR", "^GSPTSE": "XTSE",
    "^HSI": "XHKG", "^KS11": "XKRX", "^N225": "XTKS", "^SSMI": "XSWX", "^TWII": "XTAI",
}  # fmt: skip
"""Indices of other places; any other index trades with New York."""

_QUOTES = "USD|USDT|USDC|EUR|GBP|JPY|KRW|AUD|CAD|CHF|BRL|TRY|BTC|ETH"
_CRYPTO = re.compile(rf"[A-Z0-9]{{2,10}}-(?:{_QUOTES})")
_CODES = (
    "USD|EUR|GBP|JPY|CHF|AUD|NZD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|MXN|BRL|CNY|CNH|HKD|SGD|"
    "KRW|TWD|INR|THB|IDR|ILS"
)
_CURRENCY = re.compile(rf"(?:{_CODES})(?:{_CODES})(?:=X)?|(?:{_CODES})=X")
_NO_TIME: Final = np.iinfo(np.int64).min
_FIRST_DAY: Final = "1990-01-01"
_YEARS_AHEAD: Final = 3


@dataclass(frozen=True)
class Sessions:
    """Sessions of one calendar in time order; dates and UTC instants, each [s] nanoseconds.

    Attributes:
        zone: IANA zone of the exchange.
        days: trading dates.
        opens: when each opens.
        closes: when each closes.
        full_closes: when it would close if it were no half day.
        break_starts: when its lunch break begins, if it has one.
        break_ends: when its lunch break ends.
        known: how many sessions come from the exchange; those after them are weekdays.
    """

    zone: str
    days: Instants
    opens: Instants
    closes: Instants
    full_closes: Instants
    break_starts: Instants
    break_ends: Instants
    known: int


def exchange_of(symbol: str) -> str:
    """Name of the calendar a ticker trades by, e.g. XNYS, XTAI, 24/7 or 24/5."""
    ticker = symbol.upper()
    if _CRYPTO.fullmatch(ticker):
        return AROUND_THE_CLOCK
    if _CURRENCY.fullmatch(ticker):
        return WEEKDAYS
    if ticker.endswith("=F"):
        return "us_futures"
    _, dot, suffix = ticker.rpartition(".")
    # Without a dot there is no suffix: F is Ford, not Frankfurt.
    return INDICES.get(ticker) or (SUFFIXES.get(suffix, NEW_YORK) if dot else NEW_YORK)


def exchange_timezone(symbol: str) -> str:
    """IANA zone of the exchange a ticker trades at."""
    return _sessions(exchange_of(symbol)).zone


def sessions_of(exchange: str, interval: str = "1d") -> Sessions:
    """Every session of a calendar named as by `exchange_of`, for bars of an interval."""
    return _sessions(exchange if interval == "1d" else _intraday(exchange))


def session_closes(symbol: str, sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Closes of many trading dates.

    Args:
        symbol: ticker that names the exchange.
        sessions: trading dates, without a zone, any order.

    Returns:
        UTC instants in the same order. A date the exchange does not know closes at its usual time.
    """
    table = _sessions(exchange_of(symbol))
    days = nanoseconds(sessions.normalize())
    at = np.minimum(np.searchsorted(table.days, days), len(table.days) - 1)
    closes = table.closes[at].copy()
    unknown = table.days[at] != days
    if unknown.any():
        usual = _usual_times(exchange_of(symbol), pd.DatetimeIndex(days[unknown]))
        closes[unknown] = usual.closes
    return utc_index(closes)


def bar_closes(
    symbol: str, starts: pd.DatetimeIndex, interval: str
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Closes and trading dates of intraday bars that are stamped with their start.

    The last bar of a session ends with the session, however short that leaves it. A bar outside
    every session keeps its full length and its local date.

    Args:
        symbol: ticker that names the exchange.
        starts: aware instants at which the bars begin.
        interval: one of `schema.INTERVALS`, shorter than a day.

    Returns:
        Closes (UTC) and sessions (dates without a zone), each of the length of `starts`.
    """
    table = _sessions(_intraday(exchange_of(symbol)))
    instants = nanoseconds(starts)
    closes = instants + _step(interval)
    at = np.searchsorted(table.opens, instants, side="right") - 1
    inside = (at >= 0) & (instants < table.closes[at])
    closes = np.where(inside, np.minimum(closes, table.closes[at]), closes)
    local = nanoseconds(starts.tz_convert(table.zone).tz_localize(None).normalize())
    sessions = np.where(inside, table.days[at], local)
    return utc_index(closes), pd.DatetimeIndex(sessions)


def session_bars(
    symbol: str, first: dt.date, last: dt.date, interval: str
) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Closes (UTC) and sessions of every bar between two trading dates, both included."""
    exchange = exchange_of(symbol)
    table = sessions_of(exchange, interval)
    days = nanoseconds(pd.DatetimeIndex([first, last]).normalize())
    begin, end = np.searchsorted(table.days, days[0]), np.searchsorted(table.days, days[1], "right")
    if interval == "1d":
        closes, at = table.closes[begin:end], np.arange(begin, end)
    else:
        bars = [list(_closes_within(table, i, interval)) for i in range(int(begin), int(end))]
        closes = np.array([close for session in bars for close in session], dtype=np.int64)
        at = np.repeat(np.arange(begin, end), [len(session) for session in bars])
    return utc_index(closes), pd.DatetimeIndex(table.days[at])


def horizon_times(
    symbol: str, last_timestamp: dt.datetime, interval: str, n: int = 30
) -> list[dt.datetime]:
    """Closes of the next n bars after one that closed at `last_timestamp`.

    Args:
        symbol: ticker that names the exchange.
        last_timestamp: close of the last bar known, aware.
        interval: one of `schema.INTERVALS`.
        n: how many bars ahead.

    Returns:
        n aware UTC instants, strictly after `last_timestamp`, rising.

    Raises:
        InvalidPrices: the timestamp has no zone, or lies years past the calendar's end.
    """
    if last_timestamp.tzinfo is None:
        raise InvalidPrices(
            "a bar's close needs a time zone", f"{last_timestamp} of {symbol} has none"
        )
    exchange = exchange_of(symbol)
    calendar = exchange if interval == "1d" else _intraday(exchange)
    last = to_nanoseconds(last_timestamp)
    times = _next_closes(calendar, last, interval, n)
    if len(times) < n:
        raise InvalidPrices(
            f"the calendar {calendar} has to reach {n} bars past the last one",
            f"{symbol}'s last bar closes at {last_timestamp}",
            "Check the dates of the data",
        )
    return list(times)


@lru_cache(maxsize=4096)
def _next_closes(calendar: str, last: int, interval: str, n: int) -> tuple[dt.datetime, ...]:
    table = _sessions(calendar)
    first = int(np.searchsorted(table.closes, last, side="right"))
    if interval == "1d":
        found = table.closes[first : first + n].tolist()
    else:
        found = []
        for session in range(first, len(table.closes)):
            found += [close for close in _closes_within(table, session, interval) if close > last]
            if len(found) >= n:
                break
    moments = utc_index(np.array(found[:n], dtype=np.int64))
    return tuple(moment.to_pydatetime().replace(tzinfo=dt.UTC) for moment in moments)


def _closes_within(table: Sessions, session: int, interval: str) -> Iterator[int]:
    """Closes of the bars of one session; bars that lie in the lunch break do not exist."""
    step, end = _step(interval), int(table.closes[session])
    for start in range(int(table.opens[session]), end, step):
        close = min(start + step, end)
        if not (start >= table.break_starts[session] and close <= table.break_ends[session]):
            yield close


def _step(interval: str) -> int:
    """Length of a bar in nanoseconds."""
    if interval not in INTERVALS:
        raise InvalidSettings(
            f"an interval is one of {', '.join(INTERVALS)}", f"{interval!r} was given"
        )
    return INTERVALS[interval] * SECOND


def _intraday(exchange: str) -> str:
    return CURRENCY_HOURS if exchange == WEEKDAYS else exchange


def _sessions(calendar: str) -> Sessions:
    """Every session of a calendar, read once per process and year."""
    return _read(calendar, utc_now().year)


@lru_cache(maxsize=64)
def _read(calendar: str, year: int) -> Sessions:
    """Every session of a calendar, as far ahead as is needed in a year."""
    until = pd.Timestamp(year + 1 + _YEARS_AHEAD, 1, 1)
    if calendar == CURRENCY_HOURS:
        return _usual_times(calendar, pd.bdate_range(_FIRST_DAY, until))
    exchange = _exchange(calendar)
    schedule = exchange.schedule
    closes = nanoseconds(schedule["close"])
    known = Sessions(
        zone=str(exchange.tz),
        days=nanoseconds(schedule.index),
        opens=nanoseconds(schedule["open"]),
        closes=closes,
        full_closes=_full_closes(exchange, schedule.index, closes),
        break_starts=nanoseconds(schedule["break_start"]),
        break_ends=nanoseconds(schedule["break_end"]),
        known=len(schedule),
    )
    after = pd.Timestamp(int(known.days[-1])) + pd.Timedelta(days=1)
    frequency = "D" if calendar == AROUND_THE_CLOCK else "B"
    return _joined(known, _usual_times(calendar, pd.date_range(after, until, freq=frequency)))


@lru_cache(maxsize=64)
def _exchange(calendar: str) -> "ExchangeCalendar":
    """The exchange's own calendar from 1990 on, or from when its holidays are recorded."""
    import exchange_calendars

    try:
        return exchange_calendars.get_calendar(calendar, start=_FIRST_DAY)
    except ValueError:
        # By itself it would begin 20 years ago: bars would be judged by the day they are read on.
        recorded = exchange_calendars.get_calendar(calendar).bound_min()
        return exchange_calendars.get_calendar(calendar, start=recorded)


def _usual_times(calendar: str, days: pd.DatetimeIndex) -> Sessions:
    """Sessions on the given dates at the calendar's present opening hours."""
    if calendar == CURRENCY_HOURS:
        zone, opens, closes = "America/New_York", dt.time(17), dt.time(17)
        open_days, close_days = days - pd.Timedelta(days=1), days
    else:
        exchange = _exchange(calendar)
        zone = str(exchange.tz)
        opens, closes = exchange.open_times[-1][1], exchange.close_times[-1][1]
        open_days = days + pd.Timedelta(days=exchange.open_offset)
        close_days = days + pd.Timedelta(days=exchange.close_offset)
    nothing = np.full(len(days), _NO_TIME, dtype=np.int64)
    ends = _at(close_days, closes, zone)
    return Sessions(
        zone=zone,
        days=nanoseconds(days),
        opens=_at(open_days, opens, zone),
        closes=ends,
        full_closes=ends,
        break_starts=nothing,
        break_ends=nothing,
        known=len(days),
    )


def _full_closes(
    exchange: "ExchangeCalendar", days: pd.DatetimeIndex, closes: Instants
) -> Instants:
    """Closes in which half days close at the time that was usual then."""
    full = closes.copy()
    early = days.isin(exchange.early_closes)
    for since, time in exchange.close_times:
        these = early if since is None else early & (days >= pd.Timestamp(since))
        usual = days[these] + pd.Timedelta(days=exchange.close_offset)
        full[these] = _at(usual, time, str(exchange.tz))
    return full


def _at(days: pd.DatetimeIndex, time: dt.time, zone: str) -> Instants:
    moment = pd.Timedelta(hours=time.hour, minutes=time.minute, seconds=time.second)
    local = (days + moment).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")  # type: ignore[arg-type]
    return nanoseconds(local)


def _joined(first: Sessions, then: Sessions) -> Sessions:
    return Sessions(
        zone=first.zone,
        days=np.concatenate([first.days, then.days]),
        opens=np.concatenate([first.opens, then.opens]),
        closes=np.concatenate([first.closes, then.closes]),
        full_closes=np.concatenate([first.full_closes, then.full_closes]),
        break_starts=np.concatenate([first.break_starts, then.break_starts]),
        break_ends=np.concatenate([first.break_ends, then.break_ends]),
        known=first.known,
    )
