"""Yahoo Finance through yfinance, in a process of its own that a deadline can end.

yfinance turns failures into empty frames, tries nothing twice and can hang for minutes, so every
fetch runs in a child process (`yahoo_worker`) with its own retries, and is killed at
`settings.source_deadline_seconds`. Yahoo publishes no contract for this service: it may limit,
change or refuse it at any time.

Yahoo's prices and dividends are adjusted for every later split. They are multiplied back by those
splits here, so that what is stored is what was paid, and a split to come rewrites nothing.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np

import forecasting
from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable, from_record
from forecasting.instants import utc_index

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

ADDRESS: Final = "https://query2.finance.yahoo.com"
CONNECT_SECONDS: Final = 5.0
OWN_SHARE: Final = 0.9
"""Share of the time left that the worker gives itself, so that it can still say what went wrong."""

INTERVALS: Final = ("1h", "1d")


class YahooSource:
    """Daily and hourly bars of Yahoo's tickers: AAPL, 2330.TW, BTC-USD, EURUSD=X, ^GSPC.

    Args:
        settings: `source_deadline_seconds` bounds a fetch, `source_base_url` redirects it.
    """

    name = "yahoo"
    replay = False
    synthetic = False

    def __init__(self, settings: "Settings") -> None:
        self.deadline_seconds = settings.source_deadline_seconds
        self.base_url = settings.source_base_url.rstrip("/")

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Bars that closed; see `PriceSource.fetch`."""
        import pandas as pd

        check_interval(self.name, interval, INTERVALS)
        tickers = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        if not tickers:
            raise InvalidSettings(
                "yahoo needs symbols", "none were named", "Name some, e.g. --symbols AAPL,BTC-USD"
            )
        until = time.monotonic() + self.deadline_seconds
        _check_reachable(self.base_url or ADDRESS, min(CONNECT_SECONDS, self.deadline_seconds))
        answers = self._ask(tickers, start, interval, until)
        fetched_at = utc_now()
        frames, running = [], []
        for symbol in tickers:
            bars = _bars(symbol, answers[symbol], interval)
            closed = bars["timestamp"].isna() | (bars["timestamp"] <= fetched_at)
            if not closed.all():
                running.append(symbol)
            requested = within(bars[closed], start, end)
            if requested.empty:
                raise SourceUnavailable(
                    "an answer must have bars",
                    f"Yahoo has none of {symbol} from {start or 'the start'} to {end or 'now'}",
                    "Ask for other dates",
                )
            frames.append(requested)
        notes = ["Yahoo Finance by yfinance: unofficial, and for personal use."]
        notes.append("Yahoo adjusts prices for later splits; that was undone, splits are kept.")
        if running:
            notes.append(f"The bar that is still running was left out: {', '.join(running)}.")
        bars = pd.concat(frames, ignore_index=True)
        return FetchResult(
            bars=bars,
            fetched_at=fetched_at,
            notes=tuple(notes),
            survivorship=Survivorship("named", "Yahoo does not keep tickers that were delisted."),
        )

    def _ask(
        self, symbols: list[str], start: date | None, interval: str, until: float
    ) -> dict[str, dict[str, Any]]:
        """The worker's answer for each symbol; raises the first error it reports."""
        left = max(0.1, until - time.monotonic())
        with TemporaryDirectory(prefix="bellwether-yahoo-") as scratch:
            job = {
                "symbols": symbols,
                # A session's bars are stamped in the exchange's zone: ask from the day before.
                "start": (start - timedelta(days=1)).isoformat() if start else None,
                "interval": interval,
                "base_url": self.base_url,
                # Every process reads the same monotonic clock, and nobody sets it.
                "until": time.monotonic() + left * OWN_SHARE,
                "cache": scratch,
            }
            try:
                ended = subprocess.run(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "forecasting.adapters.market.providers.yahoo_worker",
                    ],
                    input=json.dumps(job),
                    capture_output=True,
                    text=True,
                    timeout=left,
                    check=False,
                    env={**os.environ, "PYTHONPATH": _import_path()},
                )
                output: str | bytes | None = ended.stdout
                last_words = ended.stderr.strip().rpartition("\n")[2]
                end = f"it ended with {ended.returncode}: {last_words}"
            except subprocess.TimeoutExpired as error:
                output, end = error.stdout, f"it was ended after {self.deadline_seconds:g} s"
        answers = _answers(output)
        for answer in answers.values():
            if "error" in answer:
                raise from_record(answer["error"]) or SourceUnavailable(
                    "yfinance must answer", f"{answer['error']['kind']}: {answer['error']['rule']}"
                )
        lacking = [symbol for symbol in symbols if symbol not in answers]
        if lacking:
            raise SourceUnavailable(
                "yfinance must answer for every symbol in time",
                f"{', '.join(lacking)} not answered, {end}",
                "Try again later, raise BELLWETHER_SOURCE_DEADLINE_SECONDS, or install "
                "bellwether[pipeline] if yfinance is missing",
            )
        return answers


def _import_path() -> str:
    """Where the worker finds this package, installed or not."""
    here = str(Path(forecasting.__file__).parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))


def _answers(output: str | bytes | None) -> dict[str, dict[str, Any]]:
    """One JSON object a line, by symbol; a line cut off by the deadline does not count."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    answers = {}
    for line in text.splitlines():
        try:
            answer = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(answer, dict) and "symbol" in answer:
            answers[answer["symbol"]] = answer
    return answers


def _check_reachable(address: str, seconds: float) -> None:
    """See that the host, or the proxy in front of it, accepts a connection in time.

    In a thread because looking up a name has no time limit of its own.
    """
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname or "", port), timeout=seconds).close()
            outcome.append("")
        except OSError as error:
            outcome.append(f"{type(error).__name__}: {error}")

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(seconds)
    if outcome != [""]:
        raise SourceUnavailable(
            "Yahoo must be reachable",
            f"{parts.hostname}:{port} {outcome[0] if outcome else f'no answer in {seconds:g} s'}",
            "Check the network, or take SOURCE=sample",
        )


def _bars(symbol: str, answer: dict[str, Any], interval: str) -> "pd.DataFrame":
    """Price columns of one symbol, as they were paid."""
    import pandas as pd

    from forecasting.prices.calendar import bar_closes, session_closes

    starts = utc_index(np.array(answer["starts"], dtype=np.int64))
    if interval == "1d":
        local = starts.tz_convert(answer["zone"])
        sessions = local.tz_localize(None).normalize()
        closes = session_closes(symbol, sessions)
    else:
        closes, sessions = bar_closes(symbol, starts, interval)
    numbers = {name: np.array(answer[name], dtype=np.float64) for name in answer["columns"]}
    split = np.where(numbers["split"] > 0, numbers["split"], 1.0)
    later = np.append(np.cumprod(split[::-1])[::-1][1:], 1.0)
    paid = {name: numbers[name] * later for name in ("open", "high", "low", "close")}
    return pd.DataFrame(
        {
            "symbol": np.full(len(starts), symbol, dtype=object),
            "timestamp": closes,
            "session": sessions,
            **paid,
            "volume": numbers["volume"] / later,
            "dividend": numbers["dividend"] * later,
            "split": split,
        }
    )
