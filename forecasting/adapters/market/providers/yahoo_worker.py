"""The process in which yfinance runs: a job on stdin, one JSON answer per symbol on stdout.

yfinance keeps global state (session, caches, configuration) and swallows errors. Here it has a
process to itself, with a session that bounds every request, sends it to `base_url` when that is
set, and remembers what Yahoo really said, by which failures are told apart.
"""

import json
import sys
import time
from datetime import date
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from forecasting.adapters.market.http.retry import with_retries
from forecasting.errors import (
    BellwetherError,
    InvalidSettings,
    RateLimited,
    SourceUnavailable,
    UnknownSymbol,
    to_record,
)
from forecasting.instants import nanoseconds

REQUEST_SECONDS: Final = 10.0
COLUMNS: Final = {
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "Volume",
    "dividend": "Dividends",
    "split": "Stock Splits",
}
_CHART: Final = "/v8/finance/chart/"


class LastResponse:
    """What Yahoo said to the requests of one attempt."""

    def __init__(self) -> None:
        self.status = 0
        self.error: dict[str, str] = {}
        self.retry_after: float | None = None

    def record(self, response: Any) -> None:
        """Remember an answer of the chart service."""
        self.status = int(response.status_code)
        if self.status == 429:
            waiting = response.headers.get("Retry-After") or ""
            self.retry_after = float(waiting) if waiting.isdecimal() else None
        try:
            self.error = (response.json().get("chart") or {}).get("error") or {}
        except (ValueError, AttributeError):
            self.error = {}


def main() -> None:
    """Answer one job, symbol by symbol; stop at the first failure, so as not to press on."""
    job = json.load(sys.stdin)
    until = float(job["until"])
    session = _session(job["base_url"], until)
    for symbol in job["symbols"]:
        call = partial(_history, session, symbol, job["start"], job["interval"], job["cache"])
        try:
            answer = with_retries(call, deadline=until)
        except BellwetherError as error:
            answer = {"error": to_record(error)}
        sys.stdout.write(json.dumps({"symbol": symbol, **answer}) + "\n")
        sys.stdout.flush()
        if "error" in answer:
            return


def _session(base_url: str, until: float) -> Any:
    """A session of yfinance's own kind that bounds, redirects and listens."""
    from yfinance._http import HAS_CURL_CFFI, new_session

    plain: Any = type(new_session())

    class Session(plain):  # type: ignore[misc]
        last_response = LastResponse()

        def request(self, method: str, url: str, **options: Any) -> Any:
            if base_url:
                base, requested = urlsplit(base_url), urlsplit(url)
                path = base.path + requested.path
                url = urlunsplit((base.scheme, base.netloc, path, requested.query, ""))
            timeout = options.get("timeout")
            bounds = [REQUEST_SECONDS, max(0.1, until - time.monotonic())]
            options["timeout"] = min(
                [timeout, *bounds] if isinstance(timeout, int | float) else bounds
            )
            response = super().request(method=method, url=url, **options)
            if _CHART in url:
                self.last_response.record(response)
            return response

    return Session(impersonate="chrome") if HAS_CURL_CFFI else Session()


def _history(
    session: Any, symbol: str, start: str | None, interval: str, cache: str
) -> dict[str, Any]:
    """One attempt at one symbol's bars up to now, so that every later split is known."""
    import yfinance
    from yfinance.data import YfData

    YfData.cache_get.cache_clear()  # it keeps failures too
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(cache)
    session.last_response = LastResponse()
    period = {"start": date.fromisoformat(start)} if start else {"period": "max"}
    try:
        frame = yfinance.Ticker(symbol, session=session).history(
            **period,
            interval=interval,
            auto_adjust=False,
            actions=True,
            keepna=True,
            timeout=REQUEST_SECONDS,
        )
    except Exception as error:
        raise _failure(symbol, session.last_response, f"{type(error).__name__}: {error}") from error
    if frame.empty:
        raise _failure(symbol, session.last_response, "the answer was empty")
    if "Capital Gains" in frame:
        frame["Dividends"] = frame["Dividends"] + frame["Capital Gains"]
    numbers = {column: frame[header].astype(float).tolist() for column, header in COLUMNS.items()}
    return {
        "zone": str(frame.index.tz),
        "starts": nanoseconds(frame.index).tolist(),
        "columns": list(numbers),
        **numbers,
    }


def _failure(symbol: str, response: LastResponse, found: str) -> BellwetherError:
    """What went wrong, by what Yahoo said rather than by what yfinance made of it."""
    description = response.error.get("description", "")
    if response.status == 429:
        wait = (
            f"asks us to wait {response.retry_after:g} s"
            if response.retry_after
            else "limits our rate"
        )
        return RateLimited(
            "a price source may be asked only so often",
            f"Yahoo {wait} ({symbol})",
            "Wait a few minutes, ask for fewer symbols, or take SOURCE=sample",
            retry_after=response.retry_after,
        )
    if response.error.get("code") == "Not Found" or response.status == 404:
        return UnknownSymbol(
            "Yahoo must know the symbol",
            f"{symbol}: {description or 'not found'}",
            "Check its spelling on finance.yahoo.com: 2330.TW, BTC-USD, EURUSD=X",
        )
    if "must be within" in description:
        return InvalidSettings(
            "Yahoo keeps hourly bars for the last 730 days",
            f"{symbol}: {description}",
            "Ask for a later start, or for daily bars",
        )
    return SourceUnavailable(
        "Yahoo must answer with bars",
        f"{symbol}: {description or found}"
        + (f" (HTTP {response.status})" if response.status else ""),
        "Try again later, or take SOURCE=sample",
    )


if __name__ == "__main__":
    main()
