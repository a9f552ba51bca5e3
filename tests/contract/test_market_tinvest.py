"""The tinvest source against a local server with T-Invest's documented answers and faults."""

import re
import time
from datetime import date, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest

from forecasting.adapters.market.open import open_source
from forecasting.adapters.market.source import PriceSource
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import Clock
from tests.contract.replay_server import (
    AWAY,
    BROKEN,
    HTML,
    NOTHING,
    Answer,
    Asked,
    Replay,
    cut,
    data,
    late,
    limited,
    truncated,
)
from tests.time_limits import expires, seconds

Candle = dict[str, object]
SERVICE = "/tinkoff.public.invest.api.contract.v1."


def quotation(price: float) -> dict[str, object]:
    """Units as text and billionths, as JSON of protocol buffers writes them."""
    nano = round(price * 1e9)
    return {"units": str(nano // 10**9), "nano": nano % 10**9}


def candle(start: str, close: float = 250.5, *, complete: bool = True) -> Candle:
    return {
        "open": quotation(close), "high": quotation(close + 1), "low": quotation(close - 1),
        "close": quotation(close), "volume": "2094", "time": start, "isComplete": complete,
        "candleSource": "CANDLE_SOURCE_EXCHANGE",
    }  # fmt: skip


class Market:
    """Three methods of T-Invest over tables; windows are kept, and both their edges are inside."""

    def __init__(self) -> None:
        self.candles: list[Candle] = []
        self.dividends: list[dict[str, object]] = []
        self.first = "2018-03-07T18:33:00Z"

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("Authorization") != "Bearer secret":
            said = "authentication token is missing or invalid"
            return data({"code": 16, "message": said, "description": "40003"}, 401)
        return getattr(self, asked.path.removeprefix(SERVICE).partition("/")[2])(asked.body)

    def GetInstrumentBy(self, body: dict[str, object]) -> Answer:
        if (body["id"], body["classCode"]) != ("SBER", "TQBR"):
            said = {"code": 5, "message": "instrument not found", "description": "50002"}
            return data(said, 404)
        about = {
            "figi": "BBG004730N88", "ticker": "SBER", "classCode": "TQBR", "lot": 10,
            "currency": "rub", "uid": "e6123145-9665-43e0-8413-cd61b8aa9b13",
            "first1minCandleDate": self.first, "first1dayCandleDate": self.first,
        }  # fmt: skip
        return data({"instrument": about})

    def GetCandles(self, body: dict[str, object]) -> Answer:
        first, last = (datetime.fromisoformat(str(body[name])) for name in ("from", "to"))
        if last - first > timedelta(
            days=6 * 366 if body["interval"] == "CANDLE_INTERVAL_DAY" else 92
        ):
            said = "the maximum request period for the given candle interval has been exceeded"
            return data({"code": 3, "message": said, "description": "30014"}, 400)
        if str(body["interval"]).endswith("DAY"):  # the times of day do not count
            first = first.replace(hour=0, minute=0, second=0)
            last = last.replace(hour=23, minute=59, second=59)
        inside = [
            one for one in self.candles if first <= datetime.fromisoformat(str(one["time"])) <= last
        ]
        return data({"candles": inside})

    def GetDividends(self, body: dict[str, object]) -> Answer:
        return data({"dividends": self.dividends})


@pytest.fixture
def market(server: Replay) -> Market:
    market = Market()
    days = pd.bdate_range("2024-06-03", "2024-07-31")
    market.candles = [candle(f"{day:%Y-%m-%d}T07:00:00Z", 300.0 + i) for i, day in enumerate(days)]
    server.answer = market
    return market


def source(server: Replay, deadline: float = 0.0, **options: object) -> PriceSource:
    settings = Settings(
        source_base_url=server.address,
        source_deadline_seconds=deadline or seconds(20),
        tinvest_token="secret",
    )
    return open_source("tinvest", settings, **options)


def test_units_billionths_and_lots_become_prices_and_shares(server: Replay, market: Market) -> None:
    market.candles = [candle("2024-07-01T07:00:00Z", 327.07), candle("2024-07-02T07:00:00Z", 325.5)]
    fetched = source(server).fetch(["sber.me"], date(2024, 6, 1), date(2024, 7, 31), "1d")
    bars = fetched.bars
    assert bars["close"].tolist() == [327.07, 325.5]
    assert bars["volume"].tolist() == [20_940.0] * 2
    assert bars["session"].tolist() == [pd.Timestamp("2024-07-01"), pd.Timestamp("2024-07-02")]
    assert bars["symbol"].tolist() == ["SBER.ME"] * 2
    assert (
        bars["timestamp"].dt.tz_convert("Europe/Moscow").dt.date == bars["session"].dt.date
    ).all()
    assert judge(bars, now=fetched.fetched_at).quarantine.empty


def test_a_long_history_is_asked_for_in_windows_and_no_bar_comes_twice(
    server: Replay, market: Market
) -> None:
    days = pd.bdate_range("2005-01-03", "2024-07-31")
    market.first = "2005-01-03T07:00:00Z"
    market.candles = [
        candle(f"{day:%Y-%m-%d}T07:00:00Z", 100.0 + i / 9) for i, day in enumerate(days)
    ]
    bars = source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d").bars
    windows = [one.body for one in server.asked if one.path.endswith("GetCandles")]
    assert len(windows) == 4
    assert all(a["to"] == b["from"] for a, b in pairwise(windows))
    assert bars["session"].tolist() == days.tolist()


@pytest.mark.parametrize(("interval", "hours"), [("1h", 1), ("2h", 2), ("4h", 4)])
def test_intraday_bars_carry_their_close_and_their_trading_date(
    server: Replay, market: Market, interval: str, hours: int
) -> None:
    starts = pd.date_range("2024-03-04 08:00Z", "2024-07-31 12:00Z", freq=f"{hours}h")
    starts = starts[(starts.hour >= 8) & (starts.hour < 16) & (starts.weekday < 5)]
    market.first = "2024-03-04T08:00:00Z"
    market.candles = [
        candle(f"{start:%Y-%m-%dT%H:%M:%SZ}", 200 + i / 9) for i, start in enumerate(starts)
    ]
    bars = source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), interval).bars
    assert len(bars) == len(starts)
    assert bars["timestamp"].iloc[0] == starts[0] + pd.Timedelta(hours=hours)
    assert bars["session"].iloc[-1] == starts[-1].tz_localize(None).normalize()
    assert len([one for one in server.asked if one.path.endswith("GetCandles")]) == 2


def test_a_candle_that_is_not_complete_is_left_out_and_said(
    server: Replay, market: Market, clock: Clock
) -> None:
    market.candles = [
        candle(f"{clock.now - timedelta(days=1):%Y-%m-%d}T07:00:00Z"),
        candle(f"{clock.now:%Y-%m-%d}T00:00:00Z", complete=False),
    ]
    fetched = source(server).fetch(["SBER.ME"], None, None, "1d")
    assert len(fetched.bars) == 1
    assert any("still running" in note for note in fetched.notes)


def test_a_dividend_stands_on_the_first_session_after_the_last_day_to_buy(
    server: Replay, market: Market
) -> None:
    def dividend(amount: float, last_buy: str, kind: str, currency: str) -> dict[str, object]:
        return {
            "dividendNet": quotation(amount) | {"currency": currency},
            "lastBuyDate": f"{last_buy}T00:00:00Z", "recordDate": f"{last_buy}T00:00:00Z",
            "dividendType": kind, "regularity": "Annual",
        }  # fmt: skip

    market.dividends = [
        dividend(33.3, "2024-07-10", "Regular Cash", "rub"),
        dividend(99.0, "2024-07-11", "Cancelled", "rub"),
        dividend(1.5, "2024-07-19", "Regular Cash", "rub"),  # a Friday
        dividend(2.0, "2024-07-15", "Regular Cash", "usd"),
        dividend(5.0, "2024-05-10", "Regular Cash", "rub"),  # before the bars
    ]
    fetched = source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d")
    paid = fetched.bars[fetched.bars["dividend"] != 0].set_index("session")["dividend"]
    assert paid.to_dict() == {pd.Timestamp("2024-07-11"): 33.3, pd.Timestamp("2024-07-22"): 1.5}
    assert any("1 dividends of SBER.ME were left out" in note for note in fetched.notes)
    assert any("does not list splits" in note for note in fetched.notes)


def test_an_unknown_symbol_is_named_with_what_t_invest_says(server: Replay, market: Market) -> None:
    with pytest.raises(UnknownSymbol, match=r"NOSUCH\.ME.*TQBR.*instrument not found"):
        source(server).fetch(["NOSUCH.ME"], None, None, "1d")
    with pytest.raises(UnknownSymbol, match="TQTF"):
        source(server, class_code="TQTF").fetch(["SBER.ME"], None, None, "1d")
    with pytest.raises(UnknownSymbol, match=r"does not end in \.ME"):
        source(server).fetch(["AAPL"], None, None, "1d")
    assert len(server.asked) == 2


def test_the_token_goes_into_the_header_and_into_no_message(server: Replay, market: Market) -> None:
    settings = Settings(source_base_url=server.address, tinvest_token="expired")
    with pytest.raises(InvalidSettings, match=r"missing or invalid.*TINVEST_TOKEN") as caught:
        open_source("tinvest", settings).fetch(["SBER.ME"], None, None, "1d")
    assert "expired" not in str(caught.value)
    with pytest.raises(InvalidSettings, match="needs a token"):
        open_source("tinvest", Settings()).fetch(["SBER.ME"], None, None, "1d")


def test_an_empty_answer_is_a_failure_that_says_where_candles_begin(
    server: Replay, market: Market
) -> None:
    market.candles = []
    with pytest.raises(SourceUnavailable, match=r"first is of 2018-03-07 \(empty_answer\)"):
        source(server).fetch(["SBER.ME"], None, None, "1d")


@pytest.mark.parametrize("field", ["isComplete", "time", "close", "volume"])
def test_a_field_that_is_gone_is_named(server: Replay, market: Market, field: str) -> None:
    market.candles[4] = {
        f"{name}Renamed" if name == field else name: value
        for name, value in market.candles[4].items()
    }
    plain = market.GetCandles
    market.GetCandles = lambda body: (  # type: ignore[method-assign]
        data({"candles": market.candles}) if field == "time" else plain(body)
    )
    with pytest.raises(SourceUnavailable, match=rf"{field}.*{field}Renamed.*renamed_column"):
        source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d")


def test_a_number_that_is_none_is_refused(server: Replay, market: Market) -> None:
    market.candles[4]["close"] = {"units": "three hundred", "nano": 0}
    with pytest.raises(SourceUnavailable, match=r"must be whole.*three hundred"):
        source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d")


FAULTS = {
    "a page instead of data": (HTML, "html_answer"),
    "an empty body": (NOTHING, "empty_answer"),
    "a body that breaks off": (truncated(data({"instrument": {}})), "truncated_answer"),
    "a body cut in between": (cut(data({"instrument": {}})), "truncated_answer"),
    "a server's error": (BROKEN, "HTTP 500"),
    "a server that is away": (AWAY, "HTTP 503"),
    "a limit": (limited(x_ratelimit_reset="0.1"), "rate_limited"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("hurried")
def test_a_fault_that_passes_is_retried_and_one_that_stays_is_told_by_its_name(
    server: Replay, market: Market, fault: str
) -> None:
    answer, name = FAULTS[fault]
    server.faults = [answer]
    assert len(source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d").bars) == 43
    server.answer = lambda asked: answer
    with pytest.raises(SourceUnavailable, match=name) as caught:
        source(server).fetch(["SBER.ME"], None, None, "1d")
    assert isinstance(caught.value, RateLimited) == (name == "rate_limited")


def test_the_seconds_until_the_limit_is_over_are_read_from_its_own_header(
    server: Replay, market: Market
) -> None:
    server.faults = [limited(x_ratelimit_reset="1", x_ratelimit_remaining="0")]
    source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d")
    assert 1.0 <= server.asked[1].at - server.asked[0].at < seconds(2)
    server.answer = lambda asked: limited(x_ratelimit_reset="41")
    with pytest.raises(RateLimited, match="41 s"):
        source(server, expires(20)).fetch(["SBER.ME"], None, None, "1d")


def test_a_server_that_is_slow_once_is_waited_for_and_one_that_hangs_is_not(
    server: Replay, market: Market
) -> None:
    server.answer = lambda asked: late(market(asked), 0.4)
    assert len(source(server).fetch(["SBER.ME"], None, date(2024, 7, 31), "1d").bars) == 43
    server.answer = lambda asked: late(market(asked), seconds(8))
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="in time"):
        source(server, expires(1.5)).fetch(["SBER.ME"], None, None, "1d")
    assert time.monotonic() - begun < seconds(8)


def test_what_t_invest_does_not_have_is_refused(server: Replay) -> None:
    with pytest.raises(InvalidSettings, match=re.escape("bars of 1h, 2h, 4h, 1d")):
        source(server).fetch(["SBER.ME"], None, None, "1m")
    with pytest.raises(InvalidSettings, match="symbols"):
        source(server).fetch([], None, None, "1d")
