"""The yahoo source against a local server that gives Yahoo's documented answers, faults included."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.fallback import fetch_or_last_good
from forecasting.adapters.market.open import open_source
from forecasting.adapters.market.source import PriceSource
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable, UnknownSymbol
from forecasting.prices.calendar import session_bars
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import Clock, past_sessions
from tests.time_limits import expires, seconds

Answer = tuple[int, dict[str, str], bytes]
NEW_YORK = "America/New_York"


class Yahoo:
    """A server with programmable answers per symbol; the last one of a symbol repeats."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Callable[[dict[str, list[str]]], Answer]]] = {}
        self.asked: list[str] = []
        yahoo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                status, headers, body = yahoo.answer(parts.path, parse_qs(parts.query))
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client hung up, as it may

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, query: dict[str, list[str]]) -> Answer:
        if path.endswith("/getcrumb"):
            return 200, {}, b"crumb"
        symbol = path.removeprefix("/v8/finance/chart/")
        if symbol == path or symbol not in self.answers:
            return not_found(query)
        self.asked.append(symbol)
        queue = self.answers[symbol]
        return (queue.pop(0) if len(queue) > 1 else queue[0])(query)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def yahoo() -> Iterator[Yahoo]:
    server = Yahoo()
    yield server
    server.close()


def source(yahoo: Yahoo, deadline: float = 0.0) -> PriceSource:
    return open_source(
        "yahoo",
        Settings(source_base_url=yahoo.address, source_deadline_seconds=deadline or seconds(30)),
    )


def not_found(query: dict[str, list[str]]) -> Answer:
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    return 404, {}, json.dumps({"chart": {"result": None, "error": error}}).encode()


def limited(query: dict[str, list[str]], retry_after: str = "120") -> Answer:
    return 429, {"Retry-After": retry_after}, b"Too Many Requests\r\n"


def html(query: dict[str, list[str]]) -> Answer:
    return 200, {"Content-Type": "text/html"}, b"<html><body>Just a moment</body></html>"


def broken(query: dict[str, list[str]]) -> Answer:
    return 500, {}, b"Internal Server Error"


def hanging(query: dict[str, list[str]]) -> Answer:
    time.sleep(seconds(30))
    return broken(query)


def chart(
    bars: pd.DataFrame, zone: str = NEW_YORK, kind: str = "EQUITY", events: dict | None = None
) -> Callable[[dict[str, list[str]]], Answer]:
    """The documented answer: bars from period1 on, indexed by their start."""
    seconds = [int(stamp.timestamp()) for stamp in bars.index]
    frame = bars.assign(start=seconds)

    def answer(query: dict[str, list[str]]) -> Answer:
        asked = frame
        if "period1" in query:
            asked = asked[asked["start"] >= int(query["period1"][0])]
        if "period2" in query:
            asked = asked[asked["start"] < int(query["period2"][0])]
        columns = {name: nulls(asked[name]) for name in ("open", "high", "low", "close", "volume")}
        meta = {
            "currency": "USD",
            "symbol": "X",
            "instrumentType": kind,
            "exchangeTimezoneName": zone,
            "timezone": "X",
            "gmtoffset": 0,
            "priceHint": 2,
            "validRanges": ["1d", "5d", "1mo", "max"],
        }
        if query["interval"] == ["1h"]:
            meta["tradingPeriods"] = trading_periods(asked, zone)
        result = {
            "meta": meta,
            "timestamp": asked["start"].tolist(),
            "indicators": {"quote": [columns], "adjclose": [{"adjclose": columns["close"]}]},
        }
        if events:
            result["events"] = events
        return 200, {}, json.dumps({"chart": {"result": [result], "error": None}}).encode()

    return answer


def nulls(column: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else value for value in column.tolist()]


def trading_periods(bars: pd.DataFrame, zone: str) -> list[list[dict[str, object]]]:
    days = pd.DatetimeIndex(bars.index).tz_convert(zone).normalize().unique()
    return [
        [
            {
                "timezone": "EST",
                "gmtoffset": -18_000,
                "start": int((day + pd.Timedelta(hours=9, minutes=30)).timestamp()),
                "end": int((day + pd.Timedelta(hours=16)).timestamp()),
            }
        ]
        for day in days
    ]


def daily(first: str, closes: list[float], zone: str = NEW_YORK, open_at: str = "9h30min"):
    """Bars of the exchange's sessions, stamped as Yahoo does: at the opening."""
    begin = date.fromisoformat(first)
    symbol = "AAPL" if zone == NEW_YORK else "2330.TW"
    _, sessions = session_bars(symbol, begin, begin + timedelta(days=99), "1d")
    days = sessions[: len(closes)].tz_localize(zone)
    close = pd.Series(closes, index=days + pd.Timedelta(open_at))
    return pd.DataFrame(
        {
            "open": close * 1.001,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": 1_000.0,
        }
    )


RISING = [100.0 + i for i in range(30)]


def test_daily_bars_close_with_their_session_in_its_own_exchange(yahoo: Yahoo) -> None:
    yahoo.answers["AAPL"] = [chart(daily("2025-11-24", RISING))]  # 27: holiday, 28: half day
    yahoo.answers["2330.TW"] = [
        chart(daily("2025-11-24", RISING, "Asia/Taipei", "9h"), "Asia/Taipei")
    ]
    fetched = source(yahoo).fetch(["aapl", "2330.TW"], None, date(2025, 12, 19), "1d")
    bars = fetched.bars.set_index(["symbol", "session"])
    assert bars.loc[("AAPL", "2025-11-28"), "timestamp"] == pd.Timestamp("2025-11-28 18:00Z")
    assert bars.loc[("AAPL", "2025-12-01"), "timestamp"] == pd.Timestamp("2025-12-01 21:00Z")
    assert bars.loc[("2330.TW", "2025-12-01"), "timestamp"] == pd.Timestamp("2025-12-01 05:30Z")
    assert fetched.bars["session"].max() == pd.Timestamp("2025-12-19")
    assert not fetched.fallback
    assert judge(fetched.bars, now=fetched.fetched_at).quarantine.empty


def test_yahoos_split_adjustment_is_undone_so_that_stored_prices_are_those_paid(
    yahoo: Yahoo,
) -> None:
    # Paid: 400 before the 4:1 split of 8 January 2026, 100 from then on; a dividend of 0.80 before.
    bars = daily("2026-01-05", [100.0] * 10)
    before, ex = bars.index[1], bars.index[3]
    events = {
        "dividends": {"1": {"amount": 0.2, "date": int(before.timestamp())}},
        "splits": {
            "2": {
                "date": int(ex.timestamp()),
                "numerator": 4,
                "denominator": 1,
                "splitRatio": "4:1",
            }
        },
    }
    yahoo.answers["AAPL"] = [chart(bars, events=events)]
    got = source(yahoo).fetch(["AAPL"], None, date(2026, 1, 14), "1d").bars
    assert got["close"].tolist() == [400.0] * 3 + [100.0] * 5
    assert got["volume"].tolist() == [250.0] * 3 + [1_000.0] * 5
    assert got["split"].tolist() == [1.0] * 3 + [4.0] + [1.0] * 4
    assert got["dividend"].tolist() == pytest.approx([0.0, 0.8] + [0.0] * 6)
    # A split after the end asked for counts too: it is in Yahoo's prices all the same.
    early = source(yahoo).fetch(["AAPL"], None, date(2026, 1, 6), "1d").bars
    assert early["close"].tolist() == [400.0, 400.0]


def test_hourly_bars_end_with_the_session_and_crypto_never_rests(
    yahoo: Yahoo, clock: Clock
) -> None:
    day = past_sessions("AAPL", 6, clock.now)[0]
    starts = day.tz_localize(NEW_YORK) + pd.to_timedelta([9.5 + i for i in range(7)], unit="h")
    shape = daily("2026-01-05", RISING[:7])
    yahoo.answers["AAPL"] = [chart(shape.set_index(pd.DatetimeIndex(starts)))]
    coin = pd.date_range(day.tz_localize("UTC"), periods=7, freq="h")
    coin_bars = chart(shape.set_index(coin), "UTC", "CRYPTOCURRENCY")
    yahoo.answers["BTC-USD"] = [coin_bars]
    got = source(yahoo).fetch(["AAPL"], day.date(), None, "1h").bars
    closes = got["timestamp"].dt.tz_convert(NEW_YORK).dt.strftime("%H:%M").tolist()
    assert closes == ["10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00"]
    assert (got["session"] == day).all()


def test_a_bar_that_is_still_running_is_left_out_and_said(yahoo: Yahoo, clock: Clock) -> None:
    today = pd.Timestamp(clock.now).normalize()
    days = pd.date_range(today - pd.Timedelta(days=9), today, freq="D")
    bars = daily("2026-01-05", RISING[:10]).set_index(days)
    yahoo.answers["BTC-USD"] = [chart(bars, "UTC", "CRYPTOCURRENCY")]
    fetched = source(yahoo).fetch(["BTC-USD"], None, None, "1d")
    assert fetched.bars["timestamp"].max() == today
    assert any("still running" in note and "BTC-USD" in note for note in fetched.notes)


def test_cells_that_yahoo_leaves_empty_reach_the_quarantine_with_their_fault(yahoo: Yahoo) -> None:
    bars = daily("2026-01-05", RISING)
    bars.iloc[4, :4] = float("nan")
    yahoo.answers["AAPL"] = [chart(bars)]
    fetched = source(yahoo).fetch(["AAPL"], None, None, "1d")
    judged = judge(fetched.bars, now=fetched.fetched_at)
    assert judged.faults == {"missing_value": 1}


def test_an_unknown_symbol_is_named_and_not_asked_for_again(yahoo: Yahoo) -> None:
    with pytest.raises(UnknownSymbol, match=r"NOSUCH.*may be delisted"):
        source(yahoo).fetch(["NOSUCH"], None, None, "1d")


def test_a_failure_that_passes_is_retried(yahoo: Yahoo) -> None:
    # yfinance itself asks twice on HTTP errors.
    yahoo.answers["AAPL"] = [broken, broken, html, chart(daily("2026-01-05", RISING))]
    fetched = source(yahoo).fetch(["AAPL"], date(2026, 1, 12), date(2026, 1, 14), "1d")
    assert len(fetched.bars) == 3
    assert fetched.bars["session"].min() == pd.Timestamp("2026-01-12")


@pytest.mark.parametrize(
    "fault",
    [html, chart(daily("2026-01-05", RISING).iloc[:0])],
    ids=["a page instead of data", "an empty answer"],
)
def test_an_answer_without_bars_is_a_failure_with_its_reason(
    yahoo: Yahoo, fault: Callable[[dict[str, list[str]]], Answer]
) -> None:
    yahoo.answers["AAPL"] = [fault]
    with pytest.raises(SourceUnavailable, match=r"answer.*AAPL") as caught:
        source(yahoo, seconds(10)).fetch(["AAPL"], None, None, "1d")
    assert caught.value.remedy
    assert not isinstance(caught.value, RateLimited)


def test_a_rate_limit_says_how_long_to_wait_and_stops_the_other_symbols(yahoo: Yahoo) -> None:
    yahoo.answers["AAPL"] = [limited]
    yahoo.answers["MSFT"] = [chart(daily("2026-01-05", RISING))]
    with pytest.raises(RateLimited, match="120 s") as caught:
        source(yahoo, expires(60)).fetch(["AAPL", "MSFT"], None, None, "1d")
    assert caught.value.retry_after == 120.0
    assert "MSFT" not in yahoo.asked


def test_a_short_rate_limit_is_waited_for(yahoo: Yahoo) -> None:
    def limited_shortly(query: dict[str, list[str]]) -> Answer:
        return limited(query, "1")

    yahoo.answers["AAPL"] = [
        limited_shortly,
        limited_shortly,
        chart(daily("2026-01-05", RISING)),
    ]
    assert len(source(yahoo).fetch(["AAPL"], None, None, "1d").bars) == 30


def test_a_source_that_hangs_is_ended_at_the_deadline(yahoo: Yahoo) -> None:
    yahoo.answers["AAPL"] = [hanging]
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable):
        source(yahoo, expires(4.0)).fetch(["AAPL"], None, None, "1d")
    assert time.monotonic() - begun < seconds(30)


def test_an_address_nobody_listens_at_is_said_before_anything_is_started() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    unreachable = open_source("yahoo", Settings(source_base_url=address))
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="ConnectionRefusedError"):
        unreachable.fetch(["AAPL"], None, None, "1d")
    assert time.monotonic() - begun < seconds(3)


def test_an_interval_yahoo_does_not_have_is_refused(yahoo: Yahoo) -> None:
    with pytest.raises(InvalidSettings, match="1h, 1d"):
        source(yahoo).fetch(["AAPL"], None, None, "4h")
    with pytest.raises(InvalidSettings, match="symbols"):
        source(yahoo).fetch([], None, None, "1d")


def test_a_rate_limit_falls_back_to_the_last_good_snapshot_and_says_so(
    yahoo: Yahoo, tmp_path: object, clock: Clock
) -> None:
    lake = Lake(str(tmp_path))
    yahoo.answers["AAPL"] = [chart(daily("2026-01-05", RISING))]
    good = source(yahoo).fetch(["AAPL"], None, None, "1d")
    held = lake.append(
        "yahoo-1d",
        judge(good.bars, now=good.fetched_at),
        source="yahoo",
        replay=False,
        synthetic=False,
        interval="1d",
        fetched_at=good.fetched_at,
    )
    yahoo.answers["AAPL"] = [limited]
    hasty = source(yahoo, expires(60))  # the limit is longer, so it is not waited for
    again = fetch_or_last_good(hasty, lake, "yahoo-1d", symbols=["AAPL"], last_good_days=7.0)
    assert again.fallback
    assert again.fetched_at == held.fetched_at
    assert len(again.bars) == held.rows
    assert "yahoo failed" in again.notes[0]
    assert "120 s" in again.notes[0]
    with pytest.raises(RateLimited, match="at most 7 days old"):
        fetch_or_last_good(
            hasty,
            lake,
            "yahoo-1d",
            symbols=["AAPL"],
            last_good_days=7.0,
            now=clock.now + timedelta(days=8),
        )
