"""Candles of crypto exchanges by ccxt: 1 hour to 1 day, around the clock, only closed ones.

ccxt knows each exchange's paths, fields and limits. What it does not do is done here: its requests
go through a budget that all threads share, an answer that is no data is a failure with its name,
history is read page by page, and the exchange's own clock says which candle has closed.
"""

import difflib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from forecasting.adapters.market.http.answers import LATER, Reply, data_of
from forecasting.adapters.market.http.budget import shared_budget
from forecasting.adapters.market.http.retry import with_retries
from forecasting.adapters.market.http.web import REQUEST_SECONDS
from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.clock import utc_now
from forecasting.errors import (
    BellwetherError,
    InvalidSettings,
    RateLimited,
    SourceUnavailable,
    UnknownSymbol,
)
from forecasting.instants import MILLISECOND, utc_index
from forecasting.prices.quality.catalogue import FAULTS
from forecasting.schema import INTERVALS

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

EARLIEST: Final = date(2010, 1, 1)
PAGE: Final = 300
"""Candles to ask for at once where ccxt does not know how many the exchange gives."""


class CryptoSource:
    """Spot candles of one exchange: BTC-USDT, ETH-BTC.

    Args:
        settings: `source_deadline_seconds` bounds a fetch, `source_base_url` redirects it.
        exchange: ccxt's name of the exchange, e.g. binance, kraken, coinbase, bitstamp.
        processes: how many processes fetch at the same time; they share the limit.
    """

    name = "ccxt"
    replay = False
    synthetic = False

    def __init__(
        self, settings: "Settings", *, exchange: str = "binance", processes: int = 1
    ) -> None:
        self.exchange, self.processes = exchange, processes
        self.deadline_seconds = settings.source_deadline_seconds
        self.base_url = settings.source_base_url.rstrip("/")

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Closed candles; see `PriceSource.fetch`."""
        import pandas as pd

        check_interval(self.name, interval)
        tickers = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        if not tickers:
            raise InvalidSettings("ccxt needs symbols", "none were named", "Name some: BTC-USDT")
        until = time.monotonic() + self.deadline_seconds
        exchange = _open(self.exchange, self.base_url, until, self.processes)
        if interval not in (exchange.timeframes or {}):
            raise InvalidSettings(
                f"{self.exchange} has candles of {', '.join(exchange.timeframes or {})}",
                f"{interval!r} was asked for",
            )
        _call_with_retries(exchange, partial(exchange.load_markets), "its markets", until)
        markets = [_market(exchange, symbol) for symbol in tickers]
        frames, notes = [], [f"Candles of {self.exchange} by ccxt, volume in the first currency."]
        for symbol, market in zip(tickers, markets, strict=True):
            candles = _candles(exchange, market, start, end, interval, until)
            bars = _bars(exchange, symbol, candles, interval)
            step = INTERVALS[interval] * 1_000
            if len(bars) < len({candle[0] for candle in candles}):
                notes.append(f"The candle that is still running was left out: {symbol}.")
            bars = within(bars, start, end)
            if bars.empty:
                raise SourceUnavailable(
                    FAULTS["empty_answer"].rule,
                    f"{self.exchange} has no closed candle of {symbol} from "
                    f"{start or 'the start'} to {end or 'now'} (empty_answer)",
                    "Ask for other dates",
                )
            first = bars["session"].min()
            if start and first > pd.Timestamp(start) + pd.Timedelta(milliseconds=step):
                notes.append(f"{self.exchange} has {symbol} only from {first:%Y-%m-%d} on.")
            frames.append(bars)
        return FetchResult(
            bars=pd.concat(frames, ignore_index=True),
            fetched_at=utc_now(),
            notes=tuple(notes),
            survivorship=Survivorship("named", "Exchanges drop coins that failed."),
        )


def _open(name: str, base_url: str, until: float, processes: int) -> Any:
    """A client of an exchange by ccxt, with our ears and our budget."""
    try:
        import ccxt
    except ImportError as error:
        raise InvalidSettings(
            "the source ccxt needs the package ccxt",
            str(error),
            "Install it: pip install 'bellwether[crypto]'",
        ) from error
    if name not in ccxt.exchanges:
        near = ", ".join(difflib.get_close_matches(name, ccxt.exchanges, 3)) or "binance, kraken"
        raise InvalidSettings(
            "exchange is one that ccxt knows", f"{name!r} was given", f"Perhaps {near}"
        )
    exchange_class: Any = getattr(ccxt, name)

    class ObservedExchange(exchange_class):  # type: ignore[misc]
        """An exchange that hears every answer before ccxt makes something of it."""

        answered_at: datetime | None = None

        def throttle(self, cost: float | None = None) -> None:
            weight = 1.0 if cost is None else float(cost)
            self.budget.take(until=until, weight=weight)
            self.timeout = 1_000 * max(0.1, min(REQUEST_SECONDS, until - time.monotonic()))

        def on_rest_response(
            self, code: int, reason: str, url: str, method: str, headers: Any, body: str, *_: Any
        ) -> str:
            del reason, method
            lower = {str(key).lower(): str(value) for key, value in headers.items()}
            self.answered_at = _date_of(lower)
            about = urlsplit(url).path
            try:
                data_of(Reply(name, about, code, lower, body.encode()))
            except RateLimited as limited:
                self.budget.close_for(limited.retry_after or 0.0)
                raise
            return body

        def parse_ohlcv(self, ohlcv: Any, market: Any = None) -> list[Any]:
            candle: list[Any] = super().parse_ohlcv(ohlcv, market)
            if not isinstance(candle[0], int):  # ccxt would leave it out without a word
                raise SourceUnavailable(
                    FAULTS["renamed_column"].rule,
                    f"{name}: a candle without a time, {str(ohlcv)[:80]} (renamed_column)",
                    "Update ccxt, or take another exchange",
                )
            return candle

    exchange = ObservedExchange(
        {
            "enableRateLimit": True,
            "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
        }
    )
    span = exchange.rateLimit / 1_000
    exchange.budget = shared_budget(name, base_url, 1.0, span, processes=processes)
    if base_url:
        exchange.urls["api"] = _redirected(exchange.urls["api"], base_url)
    return exchange


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    """The clock of who answered, from its Date header; HTTP dates are always of GMT."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).replace(tzinfo=UTC)
    except (ValueError, TypeError):
        return None


def _redirected(address: Any, base_url: str) -> Any:
    """An address of ccxt, or a tree of them, with another host in front of each path."""
    if isinstance(address, dict):
        return {name: _redirected(part, base_url) for name, part in address.items()}
    base, original = urlsplit(base_url), urlsplit(str(address))
    return urlunsplit((base.scheme, base.netloc, base.path + original.path, original.query, ""))


def _call_with_retries(exchange: Any, call: Any, about: str, until: float) -> Any:
    """What a call of ccxt gives, tried again; its errors and its stumbles as ours."""
    import ccxt

    def once() -> Any:
        try:
            return call()
        except BellwetherError:
            raise
        except (ccxt.RateLimitExceeded, ccxt.DDoSProtection) as error:
            raise RateLimited(
                FAULTS["rate_limited"].rule,
                f"{exchange.id}, {about}: {_words(error)} (rate_limited)",
                "Wait, ask for fewer symbols, or take another exchange",
            ) from error
        except (ccxt.AuthenticationError, ccxt.PermissionDenied) as error:
            raise SourceUnavailable(
                f"{exchange.id} must let us read its candles",
                f"{about}: {_words(error)}",
                "It may not serve this country or network: take another exchange",
            ) from error
        except ccxt.BaseError as error:
            cut = "Connection broken" in f"{error.__cause__}" or "IncompleteRead" in repr(error)
            rule = FAULTS["truncated_answer"].rule if cut else f"{exchange.id} must answer"
            name = " (truncated_answer)" if cut else ""
            raise SourceUnavailable(rule, f"{about}: {_words(error)}{name}", LATER) from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            # ccxt reads fields without looking whether they are there.
            raise SourceUnavailable(
                FAULTS["renamed_column"].rule,
                f"{exchange.id}, {about}: ccxt cannot read it: {type(error).__name__}: {error} "
                "(renamed_column)",
                "Update ccxt, or take another exchange",
            ) from error

    return with_retries(once, deadline=until)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _market(exchange: Any, symbol: str) -> str:
    """The name ccxt has for a spot market that we write with a dash."""
    pair = symbol.replace("-", "/")
    if pair in exchange.markets and exchange.markets[pair].get("spot"):
        return pair
    base = pair.partition("/")[0]
    near = [name for name in sorted(exchange.markets) if name.startswith(f"{base}/")][:8]
    there = ", ".join(name.replace("/", "-") for name in near) or "none of that coin"
    raise UnknownSymbol(
        FAULTS["unknown_symbol"].rule,
        f"{symbol} is not traded on {exchange.id} (unknown_symbol)",
        f"There are: {there}",
    )


def _candles(
    exchange: Any,
    market: str,
    start: date | None,
    end: date | None,
    interval: str,
    until: float,
) -> list[list[float | None]]:
    """Every candle between two dates, oldest first, page by page.

    An empty page is no end: an exchange may answer for the asked span only, and a coin may be
    younger than the start. What comes again at the edge of a page counts once; candles of one time
    that differ both stay, for the judge of the bars.
    """
    step = INTERVALS[interval] * 1_000
    day = start or EARLIEST
    since = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
    last = int(utc_now().timestamp() * 1_000)
    if end:
        after = datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=1)
        last = min(last, int(after.timestamp() * 1_000) - 1)
    size = int(exchange.feature_value(market, "fetchOHLCV", "limit") or PAGE)
    candles: dict[tuple[float | None, ...], None] = {}
    while since <= last:
        page = _call_with_retries(
            exchange,
            partial(exchange.fetch_ohlcv, market, interval, since, size),
            f"{market} from {datetime.fromtimestamp(since / 1_000, UTC):%Y-%m-%d %H:%M}",
            until,
        )
        times = [candle[0] for candle in page]
        newest = max(times, default=0)
        candles |= dict.fromkeys(tuple(candle[:6]) for candle in page if candle[0] <= last)
        since = newest + step if newest >= since else since + size * step
    return sorted((list(candle) for candle in candles), key=lambda candle: candle[0] or 0)


def _bars(
    exchange: Any, symbol: str, candles: list[list[float | None]], interval: str
) -> "pd.DataFrame":
    """Price columns of the candles that have closed by the exchange's clock and by ours."""
    import pandas as pd

    from forecasting.prices.calendar import (
        AROUND_THE_CLOCK,
        bar_closes,
        exchange_of,
        session_closes,
    )

    if exchange_of(symbol) != AROUND_THE_CLOCK:
        raise UnknownSymbol(
            FAULTS["unknown_symbol"].rule,
            f"{symbol!r} is not written like a pair that trades around the clock (unknown_symbol)",
            "Write it like BTC-USDT",
        )
    table = np.array(candles, dtype=np.float64).reshape(-1, 6)
    starts = utc_index(table[:, 0].astype(np.int64) * MILLISECOND)
    if interval == "1d":
        if not (starts == starts.normalize()).all():
            raise SourceUnavailable(
                "a daily candle must begin at midnight UTC",
                f"{exchange.id} begins {symbol}'s at {starts[0]}",
                "Take 4h candles, or another exchange",
            )
        sessions = starts.tz_localize(None)
        closes = session_closes(symbol, sessions)
    else:
        closes, sessions = bar_closes(symbol, starts, interval)
    now = min(filter(None, (utc_now(), exchange.answered_at)))
    bars = pd.DataFrame(
        {
            "symbol": np.full(len(table), symbol, dtype=object),
            "timestamp": closes,
            "session": sessions,
            **dict(zip(("open", "high", "low", "close", "volume"), table[:, 1:].T, strict=True)),
            "dividend": 0.0,
            "split": 1.0,
        }
    )
    closed: pd.DataFrame = bars[bars["timestamp"] <= now]
    return closed.reset_index(drop=True)
