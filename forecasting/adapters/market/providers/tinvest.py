"""Moscow's prices from T-Bank's T-Invest API, by its documented REST interface.

https://developer.tbank.ru/invest/api: each method is a POST of JSON, and history comes in windows of
limited length.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.market.http.answers import LATER
from forecasting.adapters.market.http.budget import Budget, shared_budget
from forecasting.adapters.market.http.web import Web
from forecasting.adapters.market.providers.tinvest_answers import (
    Instrument,
    bars_of,
    instant,
    named,
    whole,
    with_dividends,
)
from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.catalogue import FAULTS

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

ADDRESS: Final = "https://invest-public-api.tbank.ru/rest"
SUFFIX: Final = ".ME"
INSTRUMENT_REQUESTS: Final = 200
QUOTE_REQUESTS: Final = 600
"""Requests a minute that the service of instruments and that of quotes allow."""

INTERVALS: Final = {
    "1h": ("CANDLE_INTERVAL_HOUR", timedelta(days=89)),
    "2h": ("CANDLE_INTERVAL_2_HOUR", timedelta(days=89)),
    "4h": ("CANDLE_INTERVAL_4_HOUR", timedelta(days=89)),
    "1d": ("CANDLE_INTERVAL_DAY", timedelta(days=6 * 365)),
}
"""Our interval -> theirs, and the longest period one request may ask for."""

_SERVICE: Final = "/tinkoff.public.invest.api.contract.v1."
_UNPAID: Final = "Cancelled"


class TInvestSource:
    """Daily and intraday bars of the Moscow Exchange: SBER.ME, GAZP.ME.

    T-Invest tells nothing of splits, nor whether it rewrites prices after one: a split shows as a
    jump that quality checks have to find.

    Args:
        settings: `tinvest_token` is needed to fetch; `source_deadline_seconds` bounds a fetch,
            `source_base_url` redirects it.
        class_code: section of the exchange, T+ shares by default.
        processes: how many processes fetch at the same time; they share the limits.
    """

    name = "tinvest"
    replay = False
    synthetic = False

    def __init__(
        self, settings: "Settings", *, class_code: str = "TQBR", processes: int = 1
    ) -> None:
        self.class_code, self.processes = class_code, processes
        self._token = settings.tinvest_token
        self.deadline_seconds = settings.source_deadline_seconds
        self.base_url = settings.source_base_url.rstrip("/") or ADDRESS

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Complete candles; see `PriceSource.fetch`."""
        import pandas as pd

        check_interval(self.name, interval, tuple(INTERVALS))
        tickers = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        if not tickers:
            raise InvalidSettings(
                "tinvest needs symbols", "none were named", "Name some, e.g. SBER.ME"
            )
        if not self._token:
            raise InvalidSettings(
                "tinvest needs a token",
                "none is set",
                "Set BELLWETHER_TINVEST_TOKEN: www.tbank.ru/invest/settings; read-only is enough",
            )
        fetched_at = utc_now()
        with Web(
            "T-Invest",
            self.base_url,
            headers={"Authorization": f"Bearer {self._token}"},
            seconds=self.deadline_seconds,
        ) as web:
            asking = _Asking(web, self.base_url, self.class_code, self.processes)
            history = partial(
                asking.history, start=start, end=end, interval=interval, now=fetched_at
            )
            got = web.each(history, tickers)
        notes = (
            "T-Invest (T-Bank) prices of the Moscow Exchange, in its own trading currency.",
            "T-Invest does not list splits: look for jumps of the price.",
            *(note for _, notes in got for note in notes),
        )
        return FetchResult(
            bars=pd.concat([frame for frame, _ in got], ignore_index=True),
            fetched_at=fetched_at,
            notes=notes,
            survivorship=Survivorship(
                "named", "Whether T-Invest keeps what was delisted, it does not say."
            ),
        )


class _Asking:
    """The three methods that make a symbol's history."""

    def __init__(self, web: Web, address: str, class_code: str, processes: int) -> None:
        self._web, self._class_code = web, class_code
        self._instruments = shared_budget(
            "T-Invest (instruments)", address, INSTRUMENT_REQUESTS, 60.0, processes=processes
        )
        self._quotes = shared_budget(
            "T-Invest (quotes)", address, QUOTE_REQUESTS, 60.0, processes=processes
        )

    def history(
        self, symbol: str, *, start: date | None, end: date | None, interval: str, now: datetime
    ) -> tuple["pd.DataFrame", list[str]]:
        """Complete bars of one symbol, and what there is to say about them."""
        instrument = self._instrument(symbol, interval)
        # A session may begin on the evening before, in UTC.
        since = instrument.first
        if start:
            since = max(since, datetime(start.year, start.month, start.day, tzinfo=UTC))
            since -= timedelta(days=1)
        until = now
        if end:
            until = min(now, datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=2))
        candles = self._candles(instrument, since, until, interval)
        bars = within(bars_of(instrument, candles, interval), start, end)
        if bars.empty:
            raise SourceUnavailable(
                FAULTS["empty_answer"].rule,
                f"T-Invest has no complete candle of {symbol} from {start or 'the start'} to "
                f"{end or 'now'}; its first is of {instrument.first:%Y-%m-%d} (empty_answer)",
                "Ask for other dates",
            )
        bars, foreign = with_dividends(bars, instrument, self._dividends(instrument, since, until))
        notes = []
        if not all(candle["isComplete"] for candle in candles):
            notes.append(f"The candle that is still running was left out: {symbol}.")
        if foreign:
            notes.append(
                f"{foreign} dividends of {symbol} were left out: they are not in "
                f"{instrument.currency.upper()}, in which it trades."
            )
        return bars, notes

    def _instrument(self, symbol: str, interval: str) -> Instrument:
        ticker = symbol.removesuffix(SUFFIX)
        if ticker == symbol:
            raise UnknownSymbol(
                FAULTS["unknown_symbol"].rule,
                f"{symbol!r} does not end in {SUFFIX}, and T-Invest's prices are taken for Moscow "
                "(unknown_symbol)",
                f"Write it like SBER{SUFFIX}, or take another source",
            )
        answer = self._post(
            "InstrumentsService/GetInstrumentBy",
            {"idType": "INSTRUMENT_ID_TYPE_TICKER", "classCode": self._class_code, "id": ticker},
            symbol,
            self._instruments,
        )
        about = named(answer, symbol, "instrument")["instrument"]
        first = "first1dayCandleDate" if interval == "1d" else "first1minCandleDate"
        named(about, symbol, "uid", "lot", "currency", first)
        return Instrument(
            symbol=symbol,
            uid=str(about["uid"]),
            lot=whole(about["lot"], symbol),
            currency=str(about["currency"]).lower(),
            first=instant(about[first], symbol),
        )

    def _candles(
        self, instrument: Instrument, since: datetime, until: datetime, interval: str
    ) -> list[dict[str, Any]]:
        """Candles of all windows, in order; those on the edge of two windows come once."""
        candle_interval, longest = INTERVALS[interval]
        candles: dict[str, dict[str, Any]] = {}
        while since < until:
            edge = min(since + longest, until)
            answer = self._post(
                "MarketDataService/GetCandles",
                {
                    "instrumentId": instrument.uid,
                    "from": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                    "to": f"{edge:%Y-%m-%dT%H:%M:%SZ}",
                    "interval": candle_interval,
                    "candleSourceType": "CANDLE_SOURCE_EXCHANGE",
                },
                instrument.symbol,
                self._quotes,
            )
            for candle in named(answer, instrument.symbol, "candles")["candles"]:
                named(
                    candle, instrument.symbol,
                    "time", "open", "high", "low", "close", "volume", "isComplete",
                )  # fmt: skip
                candles[str(candle["time"])] = candle
            since = edge
        return list(candles.values())

    def _dividends(
        self, instrument: Instrument, since: datetime, until: datetime
    ) -> list[dict[str, Any]]:
        answer = self._post(
            "InstrumentsService/GetDividends",
            {
                "instrumentId": instrument.uid,
                # They are picked by the record date, which lies up to two sessions after.
                "from": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                "to": f"{until + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
            },
            f"{instrument.symbol}'s dividends",
            self._instruments,
        )
        paid = named(answer, instrument.symbol, "dividends")["dividends"]
        for one in paid:
            named(one, instrument.symbol, "dividendNet", "lastBuyDate", "dividendType")
        return [one for one in paid if one["dividendType"] != _UNPAID]

    def _post(self, method: str, body: Mapping[str, object], about: str, budget: Budget) -> Any:
        status, answer = self._web.ask(_SERVICE + method, about=about, budget=budget, body=body)
        if status == 200:
            return answer
        message = answer.get("message", answer) if isinstance(answer, dict) else answer
        if status == 404:
            raise UnknownSymbol(
                FAULTS["unknown_symbol"].rule,
                f"{about} in section {self._class_code}, and T-Invest says {message!r} "
                "(unknown_symbol)",
                "Check the ticker and its class_code",
            )
        if status in {401, 403}:
            raise InvalidSettings(
                "T-Invest must accept the token",
                f"it says {message!r}, HTTP {status}",
                "Check BELLWETHER_TINVEST_TOKEN",
            )
        raise SourceUnavailable(
            "T-Invest must answer with prices", f"{about}: {message!r}, HTTP {status}", LATER
        )
