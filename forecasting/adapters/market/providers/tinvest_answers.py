"""What T-Invest's answers say: instruments, candles and dividends as price columns.

Prices come as units and billionths, volumes in lots, and dividends by the last day to buy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.adapters.market.http.answers import LATER
from forecasting.errors import SourceUnavailable
from forecasting.prices.quality.catalogue import FAULTS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Instrument:
    """What has to be known of an instrument before its candles can be read.

    Attributes:
        symbol: our ticker, e.g. SBER.ME.
        uid: T-Invest's identifier.
        lot: shares in a lot.
        currency: ISO code in lower case, of its prices.
        first: first moment it has candles of the interval for, aware UTC.
    """

    symbol: str
    uid: str
    lot: int
    currency: str
    first: datetime


def bars_of(
    instrument: Instrument, candles: Sequence[Mapping[str, Any]], interval: str
) -> "pd.DataFrame":
    """Price columns of complete candles, not judged, without actions.

    Raises:
        SourceUnavailable: a field is missing or cannot be read.
    """
    import pandas as pd

    from forecasting.prices.calendar import bar_closes, exchange_timezone, session_closes

    symbol = instrument.symbol
    complete = [candle for candle in candles if candle["isComplete"]]
    moments = [instant(candle["time"], symbol) for candle in complete]
    starts = pd.DatetimeIndex(moments, tz="UTC").as_unit("ns")
    if interval == "1d":
        local = starts.tz_convert(exchange_timezone(symbol))
        sessions = local.tz_localize(None).normalize()
        closes = session_closes(symbol, sessions)
    else:
        closes, sessions = bar_closes(symbol, starts, interval)
    prices = {
        name: np.array([amount_of(candle[name], symbol) for candle in complete], dtype=np.float64)
        for name in ("open", "high", "low", "close")
    }
    lots = np.array([whole(candle["volume"], symbol) for candle in complete], dtype=np.float64)
    return pd.DataFrame(
        {
            "symbol": np.full(len(complete), symbol, dtype=object),
            "timestamp": closes,
            "session": sessions,
            **prices,
            "volume": lots * instrument.lot,
            "dividend": 0.0,
            "split": 1.0,
        }
    )


def with_dividends(
    bars: "pd.DataFrame", instrument: Instrument, paid: Sequence[Mapping[str, Any]]
) -> tuple["pd.DataFrame", int]:
    """Bars with each dividend on its ex-date, and how many were in another currency.

    The ex-date is the first session after the last day on which a buyer still gets it.

    Raises:
        SourceUnavailable: a field is missing or cannot be read.
    """
    import pandas as pd

    sessions = bars["session"].to_numpy()
    dividend = bars["dividend"].to_numpy(copy=True)
    foreign = 0
    for one in paid:
        amount = amount_of(one["dividendNet"], instrument.symbol)
        if str(one["dividendNet"].get("currency", "")).lower() != instrument.currency:
            foreign += 1
            continue
        last_buy = pd.Timestamp(instant(one["lastBuyDate"], instrument.symbol)).tz_localize(None)
        at = int(np.searchsorted(sessions, np.datetime64(last_buy.normalize()), side="right"))
        # One whose last day to buy lies before these bars went ex before them, or on the first:
        # which of the two, they do not tell.
        if 0 < at < len(sessions):
            dividend[at] += amount
    return bars.assign(dividend=dividend), foreign


def amount_of(quotation: Any, symbol: str) -> float:
    """A Quotation or MoneyValue: units, as text, and billionths of one.

    Raises:
        SourceUnavailable: it is none.
    """
    parts = named(quotation, symbol, "units", "nano")
    return whole(parts["units"], symbol) + whole(parts["nano"], symbol) / 1e9


def whole(value: Any, symbol: str) -> int:
    """A whole number, which JSON of protocol buffers writes as text when it is long.

    Raises:
        SourceUnavailable: it is none.
    """
    try:
        return int(value)
    except (ValueError, TypeError) as error:
        raise SourceUnavailable(
            "T-Invest's numbers must be whole", f"{symbol}: {value!r}", LATER
        ) from error


def instant(value: Any, symbol: str) -> datetime:
    """An aware moment out of ISO 8601.

    Raises:
        SourceUnavailable: it is none.
    """
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise SourceUnavailable(
            "T-Invest's times must be ISO 8601", f"{symbol}: {value!r}", LATER
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def named(content: Any, symbol: str, *names: str) -> dict[str, Any]:
    """The object, if it has the names.

    Raises:
        SourceUnavailable: it lacks one, or is no object.
    """
    if isinstance(content, dict) and all(name in content for name in names):
        return content
    there = sorted(content) if isinstance(content, dict) else type(content).__name__
    raise SourceUnavailable(
        FAULTS["renamed_column"].rule,
        f"T-Invest, {symbol}: not all of {', '.join(names)} in {there} (renamed_column)",
        "Report it: T-Invest's answers changed",
    )
