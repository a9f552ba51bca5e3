"""The real ccxt against a local server that gives Binance's documented answers and faults."""

import json
import math
import sys
import time
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pandas as pd
import pytest

from forecasting.adapters.market.http.budget import Budget
from forecasting.adapters.market.open import open_source
from forecasting.adapters.market.source import PriceSource
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import Clock
from tests.contract.replay_server import (
    AWAY,
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

MILLIS = {"1h": 3_600_000, "2h": 7_200_000, "4h": 14_400_000, "1d": 86_400_000}
Kline = list[object]


def spot(base: str, quote: str) -> dict[str, object]:
    """A market of /api/v3/exchangeInfo."""
    return {
        "symbol": f"{base}{quote}", "status": "TRADING", "baseAsset": base, "quoteAsset": quote,
        "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "permissions": [], "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.0",
             "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0",
             "stepSize": "0.00001"},
        ],
    }  # fmt: skip


def kline(start: int, close: float, interval: str) -> Kline:
    """Twelve fields, numbers as text, as /api/v3/klines documents them."""
    text = f"{close:.2f}"
    return [start, text, f"{close + 9:.2f}", f"{close - 9:.2f}", text, "148.976",
            start + MILLIS[interval] - 1, "2434.19", 308, "1756.87", "28.46", "0"]  # fmt: skip


def walk(step: int) -> float:
    """A price that neither repeats itself nor jumps."""
    return 10_000.0 + 3_000.0 * math.sin(step / 170) + 40.0 * math.sin(step * 1.7)


class Binance:
    """Two endpoints of Binance's spot interface; at most 1,000 klines an answer.

    Attributes:
        clock: what time it is there.
        first: when the history begins.
        edge: how many candles before startTime come too, as some exchanges give them.
        page: answers for a span of so many candles only, empty or not; 0 for the next ones there.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        midnight = clock.now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.first = midnight - timedelta(days=500)
        self.edge = 0
        self.page = 0

    def __call__(self, asked: Asked) -> Answer:
        given = self._answer(asked)
        moment = format_datetime(self.clock.now, usegmt=True)
        return Answer(given.status, given.body, {**given.headers, "Date": moment})

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/api/v3/exchangeInfo":
            return data(
                {
                    "timezone": "UTC",
                    "serverTime": 0,
                    "rateLimits": [],
                    "exchangeFilters": [],
                    "symbols": [spot("BTC", "USDT"), spot("BTC", "EUR"), spot("ETH", "USDT")],
                }
            )
        assert asked.path == "/api/v3/klines", asked.path
        step = MILLIS[asked.query["interval"]]
        origin = int(self.first.timestamp() * 1_000)
        now = int(self.clock.now.timestamp() * 1_000)
        asked_from, limit = int(asked.query["startTime"]), int(asked.query["limit"])
        number = max(0, -(-(asked_from - origin) // step) - self.edge)
        starts = [origin + i * step for i in range(number, number + min(limit, 1_000))]
        if self.page:
            starts = [one for one in starts if one < asked_from + self.page * step]
        return data(
            [
                kline(one, walk((one - origin) // step), asked.query["interval"])
                for one in starts
                if one <= now
            ]
        )


@pytest.fixture
def binance(server: Replay, clock: Clock) -> Binance:
    binance = Binance(clock)
    server.answer = binance
    return binance


def source(server: Replay, deadline: float = 0.0, **options: object) -> PriceSource:
    settings = Settings(
        source_base_url=server.address, source_deadline_seconds=deadline or seconds(30)
    )
    return open_source("ccxt", settings, **options)


@pytest.mark.parametrize("interval", MILLIS)
def test_closed_candles_of_every_page_come_once_each(
    server: Replay, binance: Binance, interval: str
) -> None:
    binance.edge = 1  # the last candle of a page comes again on the next
    start = binance.first.date() + timedelta(days=1)
    fetched = source(server).fetch(["btc-usdt"], start, None, interval)
    bars = fetched.bars
    step = pd.Timedelta(milliseconds=MILLIS[interval])
    last = pd.Timestamp(binance.clock.now).floor(step)
    assert bars["timestamp"].tolist() == pd.date_range(
        pd.Timestamp(start, tz="UTC") + step, last, freq=step
    ).tolist()  # fmt: skip
    assert (bars["session"] == (bars["timestamp"] - step).dt.tz_localize(None).dt.normalize()).all()
    assert any("still running" in note for note in fetched.notes)
    pages = [one for one in server.asked if one.path.endswith("klines")]
    assert len(pages) >= len(bars) // 1_000
    judged = judge(bars, now=fetched.fetched_at, interval=interval)
    assert judged.quarantine.empty


def test_four_hour_bitcoin_from_the_beginning_to_a_day(server: Replay, binance: Binance) -> None:
    binance.first = datetime(2023, 5, 1, tzinfo=UTC)
    bars = source(server).fetch(["BTC-USDT"], None, date(2024, 2, 29), "4h").bars
    assert len(bars) == 6 * (date(2024, 2, 29) - date(2023, 5, 1)).days + 6
    assert bars["timestamp"].iloc[0] == pd.Timestamp("2023-05-01 04:00Z")
    assert bars["timestamp"].iloc[-1] == pd.Timestamp("2024-03-01 00:00Z")
    assert bars["session"].iloc[-1] == pd.Timestamp("2024-02-29")
    assert bars["open"].iloc[0] == 10_000.0
    assert bars["volume"].iloc[0] == 148.976


def test_an_empty_page_before_a_coin_was_born_is_not_the_end(
    server: Replay, binance: Binance
) -> None:
    binance.page = 1_000
    binance.first = datetime(2024, 1, 1, tzinfo=UTC)
    bars = source(server).fetch(["BTC-USDT"], date(2018, 1, 1), date(2024, 3, 31), "1d").bars
    assert len(bars) == 91
    assert bars["session"].iloc[0] == pd.Timestamp("2024-01-01")


def test_a_start_the_exchange_does_not_reach_is_said(server: Replay, binance: Binance) -> None:
    binance.first = datetime(2024, 1, 1, tzinfo=UTC)
    fetched = source(server).fetch(["BTC-USDT"], date(2018, 1, 1), date(2024, 3, 31), "1d")
    assert any("only from 2024-01-01" in note for note in fetched.notes)


def test_our_clock_running_ahead_does_not_close_a_candle(server: Replay, binance: Binance) -> None:
    behind = binance.clock.now - timedelta(days=2)

    def answer(asked: Asked) -> Answer:
        given = binance(asked)
        return Answer(given.status, given.body, {"Date": format_datetime(behind, usegmt=True)})

    server.answer = answer
    bars = source(server).fetch(["BTC-USDT"], behind.date() - timedelta(days=9), None, "1h").bars
    assert bars["timestamp"].max() <= behind


def test_candles_of_one_time_that_differ_both_reach_the_judge(
    server: Replay, binance: Binance
) -> None:
    binance.first = datetime(2024, 1, 1, tzinfo=UTC)

    def stuttering(asked: Asked) -> Answer:
        given = binance(asked)
        if "klines" not in asked.path:
            return given
        rows = json.loads(given.body)
        same, other = rows[5], [*rows[9][:5], "1.0", *rows[9][6:]]
        return data([*rows[:10], other, *rows[10:], same])

    server.answer = stuttering
    fetched = source(server).fetch(["BTC-USDT"], date(2024, 1, 2), date(2024, 1, 31), "1h")
    judged = judge(fetched.bars, now=fetched.fetched_at, interval="1h")
    assert judged.faults == {"duplicate_bar": 2}
    assert len(judged.clean) == 30 * 24 - 1


def test_an_unknown_pair_is_named_with_those_there_are(server: Replay, binance: Binance) -> None:
    with pytest.raises(UnknownSymbol, match=r"BTC-USD is not traded.*BTC-EUR, BTC-USDT"):
        source(server).fetch(["ETH-USDT", "BTC-USD"], None, None, "1d")
    assert [one.path for one in server.asked] == ["/api/v3/exchangeInfo"]


def test_an_unknown_exchange_and_an_interval_it_lacks_are_refused(
    server: Replay, binance: Binance
) -> None:
    with pytest.raises(InvalidSettings, match=r"'binanse'.*Perhaps.*binance"):
        source(server, exchange="binanse").fetch(["BTC-USDT"], None, None, "1d")
    with pytest.raises(InvalidSettings, match="4h"):
        source(server, exchange="coinbaseexchange").fetch(["BTC-USD"], None, None, "4h")
    with pytest.raises(InvalidSettings, match="symbols"):
        source(server).fetch([], None, None, "1d")
    assert server.asked == []


def test_without_the_package_the_remedy_is_told(
    server: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(InvalidSettings, match=r"needs the package.*bellwether\[crypto\]"):
        source(server).fetch(["BTC-USDT"], None, None, "1d")


def test_dates_without_candles_are_a_failure_with_its_reason(
    server: Replay, binance: Binance
) -> None:
    with pytest.raises(SourceUnavailable, match=r"BTC-USDT from 2015-01-01 .*empty_answer"):
        source(server).fetch(["BTC-USDT"], date(2015, 1, 1), date(2015, 2, 1), "1d")


FAULTS = {
    "a page instead of data": (HTML, "html_answer"),
    "an empty body": (NOTHING, "empty_answer"),
    "a body that breaks off": (truncated(data([[0] * 12] * 9)), "truncated_answer"),
    "a body cut in between": (cut(data([[0] * 12] * 9)), "truncated_answer"),
    "a server that is away": (AWAY, "HTTP 503"),
    "a limit": (limited(Retry_After="0.1"), "rate_limited"),
    "a ban": (Answer(418, b"{}", {"Retry-After": "0.1"}), "rate_limited"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("hurried")
def test_a_fault_that_passes_is_retried_and_one_that_stays_is_told_by_its_name(
    server: Replay, binance: Binance, fault: str
) -> None:
    answer, name = FAULTS[fault]
    server.faults = [answer]
    start = binance.first.date()
    assert len(source(server).fetch(["BTC-USDT"], start, None, "1d").bars) == 500
    server.answer = lambda asked: answer
    with pytest.raises(SourceUnavailable, match=name) as caught:
        source(server).fetch(["BTC-USDT"], start, None, "1d")
    assert isinstance(caught.value, RateLimited) == (name == "rate_limited")


def test_a_long_limit_is_told_with_its_time(server: Replay, binance: Binance) -> None:
    server.answer = lambda asked: limited(Retry_After="90")
    with pytest.raises(RateLimited, match="90 s") as caught:
        source(server, expires(30)).fetch(["BTC-USDT"], None, None, "1d")
    assert caught.value.retry_after == 90.0


@pytest.mark.parametrize(
    "answer",
    [data({"timezone": "UTC", "markets": []}), data({"symbols": [{"name": "BTCUSDT"}]})],
    ids=["symbols renamed", "a market's fields renamed"],
)
@pytest.mark.usefixtures("hurried")
def test_markets_under_other_names_are_a_failure_and_no_market(
    server: Replay, answer: Answer
) -> None:
    server.answer = lambda asked: answer
    with pytest.raises((SourceUnavailable, UnknownSymbol), match=r"renamed_column|unknown_symbol"):
        source(server).fetch(["BTC-USDT"], None, None, "1d")


@pytest.mark.parametrize(
    "candles",
    [{"candles": []}, [{"t": 1, "c": "2"}], [["2024-01-01", "1", "2", "1", "1", "3"]]],
    ids=["a list under a name", "candles with names", "times as text"],
)
@pytest.mark.usefixtures("hurried")
def test_candles_of_another_shape_are_a_failure_with_its_name(
    server: Replay, binance: Binance, candles: object
) -> None:
    server.answer = lambda asked: data(candles) if "klines" in asked.path else binance(asked)
    with pytest.raises(SourceUnavailable, match="renamed_column"):
        source(server).fetch(["BTC-USDT"], date(2024, 1, 1), None, "1d")


def test_a_source_that_hangs_is_ended_at_the_deadline(server: Replay, binance: Binance) -> None:
    server.answer = lambda asked: late(binance(asked), seconds(8))
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="RequestTimeout"):
        source(server, expires(1.5)).fetch(["BTC-USDT"], None, None, "1d")
    assert time.monotonic() - begun < seconds(8)


def test_every_request_goes_through_the_exchanges_documented_pace(
    server: Replay, binance: Binance, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced: list[float] = []
    take = Budget.take

    def noted(budget: Budget, *, until: float, weight: float = 1.0) -> None:
        take(budget, until=until, weight=weight)
        paced.append(weight * budget.seconds / budget.amount)

    monkeypatch.setattr(Budget, "take", noted)
    source(server).fetch(["BTC-USDT"], binance.first.date(), None, "1h")
    # Binance lets 6,000 units through in a minute; exchangeInfo costs 20 of them, klines 2.
    assert paced == pytest.approx([20 * 0.01] + [2 * 0.01] * 13)
    assert len(server.asked) == len(paced)
