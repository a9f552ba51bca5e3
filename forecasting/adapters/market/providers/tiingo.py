"""Tiingo's end-of-day prices: raw bars with their dividends and splits, by its documented REST API.

https://www.tiingo.com/documentation/end-of-day. Answers are checked field by field: a name that
changed is a failure with that name, not a column of nothing.
"""

import re
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from forecasting.adapters.market.http.answers import LATER
from forecasting.adapters.market.http.budget import Budget, shared_budget
from forecasting.adapters.market.http.web import Web
from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.catalogue import FAULTS

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

ADDRESS: Final = "https://api.tiingo.com"
EARLIEST: Final = date(1960, 1, 1)
STARTER_REQUESTS: Final = 50
"""Requests an hour on the free plan."""

CORRECTED_UNTIL: Final = 20
"""Hour in New York up to which exchanges send corrections, as Tiingo's documentation says: a bar
taken earlier may be another one tomorrow."""

QUIET_DAYS: Final = 10
"""A symbol whose newest bar is older than this has been delisted or renamed, or so it is asked."""

FIELDS: Final = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "dividend": "divCash",
    "split": "splitFactor",
}
_LIMIT: Final = "You have run over"  # its limits come as plain text too, with status 200
_TICKER: Final = re.compile(r"[A-Z][A-Z0-9.-]{0,14}")


class TiingoSource:
    """Daily bars of tickers that trade in New York, as they were paid: AAPL, BRK-B, SPY.

    Args:
        settings: `tiingo_token` is needed to fetch; `source_deadline_seconds` bounds a fetch,
            `source_base_url` redirects it.
        requests_per_hour: what the account's plan allows.
        processes: how many processes fetch at the same time; they share the limit.
    """

    name = "tiingo"
    replay = False
    synthetic = False

    def __init__(
        self,
        settings: "Settings",
        *,
        requests_per_hour: int | str = STARTER_REQUESTS,
        processes: int = 1,
    ) -> None:
        self.processes = processes
        try:
            self.requests_per_hour = int(requests_per_hour)
        except ValueError as error:
            raise InvalidSettings("requests_per_hour is a whole number", str(error)) from error
        if self.requests_per_hour < 1:
            raise InvalidSettings(
                "requests_per_hour must be at least 1", str(self.requests_per_hour)
            )
        self._token = settings.tiingo_token
        self.deadline_seconds = settings.source_deadline_seconds
        self.base_url = settings.source_base_url.rstrip("/") or ADDRESS

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Bars that are final; see `PriceSource.fetch`."""
        import pandas as pd

        check_interval(self.name, interval, ("1d",))
        tickers = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        if not tickers:
            raise InvalidSettings("tiingo needs symbols", "none were named", "Name some, e.g. AAPL")
        for symbol in tickers:
            _refuse_elsewhere(symbol)
        if not self._token:
            raise InvalidSettings(
                "tiingo needs a token",
                "none is set",
                "Set BELLWETHER_TIINGO_TOKEN: www.tiingo.com/account/api/token",
            )
        budget = shared_budget(
            "Tiingo", self.base_url, self.requests_per_hour, 3_600.0, processes=self.processes
        )
        with Web(
            "Tiingo",
            self.base_url,
            headers={"Authorization": f"Token {self._token}"},
            seconds=self.deadline_seconds,
            limit_phrase=_LIMIT,
        ) as web:
            history = partial(_history, web, budget, start=start, end=end)
            got = web.each(history, tickers)
        bars = pd.concat([frame for frame, _ in got], ignore_index=True)
        notes = (
            "Tiingo end-of-day prices: as traded, with Tiingo's dividends and splits.",
            f"A session is left out until {CORRECTED_UNTIL}:00 in New York, when it is final.",
            *(note for _, notes in got for note in notes),
        )
        return FetchResult(
            bars=bars,
            fetched_at=utc_now(),
            notes=notes,
            survivorship=Survivorship("named", "Tiingo keeps tickers that were delisted."),
        )


def _refuse_elsewhere(symbol: str) -> None:
    from forecasting.prices.calendar import NEW_YORK, exchange_of

    if exchange_of(symbol) != NEW_YORK or not _TICKER.fullmatch(symbol):
        raise UnknownSymbol(
            FAULTS["unknown_symbol"].rule,
            f"{symbol!r} is no ticker of New York, and Tiingo's daily prices are taken for those "
            "(unknown_symbol)",
            "Take another source for it",
        )


def _history(
    web: Web, budget: Budget, symbol: str, *, start: date | None, end: date | None
) -> tuple["pd.DataFrame", list[str]]:
    """Final bars of one symbol, and what there is to say about them."""
    import pandas as pd

    parameters = {"startDate": str(start or EARLIEST), "format": "json", "resampleFreq": "daily"}
    if end:
        parameters["endDate"] = str(end)
    status, rows = web.ask(
        f"/tiingo/daily/{quote(symbol, safe='')}/prices",
        about=symbol,
        budget=budget,
        params=parameters,
    )
    _refuse_status(symbol, status, rows)
    bars = within(_bars(symbol, rows), start, end)
    now = pd.Timestamp(utc_now())
    final = bars["session"].dt.tz_localize("America/New_York") + pd.Timedelta(hours=CORRECTED_UNTIL)
    bars = bars[(bars["timestamp"].isna() | (final <= now)).to_numpy()].reset_index(drop=True)
    quiet = end is None and (
        bars.empty or now - bars["timestamp"].max() > pd.Timedelta(days=QUIET_DAYS)
    )
    if not quiet and not bars.empty:
        return bars, []
    last = _last_date(web, budget, symbol)
    if bars.empty:
        raise SourceUnavailable(
            FAULTS["empty_answer"].rule,
            f"Tiingo has no final bar of {symbol} from {start or 'the start'} to {end or 'now'}; "
            f"its last one is of {last or 'no day'} (empty_answer)",
            "Ask for other dates",
        )
    return bars, [f"{symbol} ends on {last} at Tiingo: delisted, or trading under another name."]


def _last_date(web: Web, budget: Budget, symbol: str) -> str:
    """Date of a symbol's newest bar, from its metadata, or nothing.

    Raises:
        UnknownSymbol: Tiingo does not know it.
    """
    status, about = web.ask(
        f"/tiingo/daily/{quote(symbol, safe='')}", about=f"{symbol}'s metadata", budget=budget
    )
    _refuse_status(symbol, status, about)
    if not isinstance(about, dict) or "endDate" not in about:
        raise _renamed(symbol, "endDate", about)
    return str(about["endDate"] or "")


def _refuse_status(symbol: str, status: int, content: Any) -> None:
    if status == 200:
        return
    message = content.get("detail", content) if isinstance(content, dict) else content
    if status == 404:
        raise UnknownSymbol(
            FAULTS["unknown_symbol"].rule,
            f"{symbol}, and Tiingo says {message!r} (unknown_symbol)",
            "Check its spelling on tiingo.com; share classes have a dash: BRK-B",
        )
    if status in {401, 403}:
        raise InvalidSettings(
            "Tiingo must accept the token",
            f"it says {message!r}, HTTP {status}",
            "Check BELLWETHER_TIINGO_TOKEN and what the account's plan allows",
        )
    raise SourceUnavailable(
        "Tiingo must answer with prices", f"{symbol}: {message!r}, HTTP {status}", LATER
    )


def _bars(symbol: str, rows: Any) -> "pd.DataFrame":
    """Price columns of Tiingo's rows, not judged."""
    import pandas as pd

    from forecasting.prices.calendar import session_closes

    if not isinstance(rows, list):
        raise _renamed(symbol, "a list of bars", rows)
    for row in rows:
        lacking = [
            f for f in ("date", *FIELDS.values()) if not isinstance(row, dict) or f not in row
        ]
        if lacking:
            raise _renamed(symbol, ", ".join(lacking), row)
    try:
        dates = pd.to_datetime([str(row["date"])[:10] for row in rows], format="%Y-%m-%d")
    except ValueError as error:
        raise SourceUnavailable(
            "Tiingo's dates must be ISO 8601", f"{symbol}: {error}", LATER
        ) from error
    sessions = pd.DatetimeIndex(dates).as_unit("ns")
    numbers = {
        column: pd.to_numeric(
            pd.Series([row[field] for row in rows], dtype=object), errors="coerce"
        ).to_numpy(dtype=np.float64)
        for column, field in FIELDS.items()
    }
    return pd.DataFrame(
        {
            "symbol": np.full(len(rows), symbol, dtype=object),
            "timestamp": session_closes(symbol, sessions),
            "session": sessions,
            **numbers,
        }
    )


def _renamed(symbol: str, lacking: str, content: Any) -> SourceUnavailable:
    there = sorted(content) if isinstance(content, dict) else type(content).__name__
    return SourceUnavailable(
        FAULTS["renamed_column"].rule,
        f"Tiingo, {symbol}: no {lacking} in {there} (renamed_column)",
        "Report it: Tiingo's answers changed",
    )
