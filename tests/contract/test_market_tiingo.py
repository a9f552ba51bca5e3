"""The tiingo source against a local server that gives Tiingo's documented answers and faults."""

import gzip
import threading
import time
from datetime import date, datetime

import pandas as pd
import pytest

from forecasting.adapters.market.http.web import WORKERS
from forecasting.adapters.market.open import open_source
from forecasting.adapters.market.source import PriceSource
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import NOW, Clock, past_sessions
from tests.contract.replay_server import (
    AWAY,
    BROKEN,
    HTML,
    LIMITED,
    NOTHING,
    Answer,
    Asked,
    Replay,
    cut,
    data,
    dripping,
    late,
    limited,
    truncated,
)
from tests.time_limits import expires, seconds

Row = dict[str, object]


class Tiingo:
    """Tiingo's two end-of-day endpoints over a table of rows by ticker."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}

    def __call__(self, asked: Asked) -> Answer:
        parts = asked.path.strip("/").split("/")
        if asked.headers.get("Authorization") != "Token secret":
            return data({"detail": "Invalid token."}, 401)
        rows = self.rows.get(parts[2])
        if parts[:2] != ["tiingo", "daily"] or rows is None:
            return data({"detail": "Not found."}, 404)
        if parts[3:] == ["prices"]:
            first, last = asked.query["startDate"], asked.query.get("endDate", "9999")
            return data([row for row in rows if first <= str(row["date"])[:10] <= last])
        dates = sorted(str(row["date"])[:10] for row in rows)
        return data(
            {
                "ticker": parts[2],
                "name": "A company",
                "exchangeCode": "NASDAQ",
                "description": "It makes things.",
                "startDate": dates[0] if dates else None,
                "endDate": dates[-1] if dates else None,
            }
        )


def row(day: str, close: float = 100.0, **changes: object) -> Row:
    """A row as Tiingo documents it; the adjusted columns are there to be left alone."""
    return {
        "date": f"{day}T00:00:00.000Z",
        "close": close, "high": close + 1, "low": close - 1, "open": close - 0.5, "volume": 1_000,
        "adjClose": 0.1, "adjHigh": 0.1, "adjLow": 0.1, "adjOpen": 0.1, "adjVolume": 1,
        "divCash": 0.0, "splitFactor": 1.0,
    } | changes  # fmt: skip


def recent() -> list[Row]:
    days = past_sessions("AAPL", 30, NOW)
    return [row(f"{day:%Y-%m-%d}", 100.0 + i) for i, day in enumerate(days)]


@pytest.fixture
def tiingo(server: Replay, clock: Clock) -> Tiingo:
    tiingo = Tiingo()
    tiingo.rows["AAPL"] = recent()
    server.answer = tiingo
    return tiingo


def source(server: Replay, deadline: float = 0.0, **options: object) -> PriceSource:
    settings = Settings(
        source_base_url=server.address,
        source_deadline_seconds=deadline or seconds(20),
        tiingo_token="secret",
    )
    return open_source("tiingo", settings, **options)


def test_prices_are_those_paid_and_actions_stand_on_their_ex_dates(
    server: Replay, tiingo: Tiingo
) -> None:
    tiingo.rows["AAPL"] = [
        row("2020-08-27", 500.04),
        row("2020-08-28", 499.23, divCash=0.82),
        row("2020-08-31", 129.04, splitFactor=4.0),
    ]
    fetched = source(server).fetch(["aapl"], date(2020, 8, 1), date(2020, 8, 31), "1d")
    bars = fetched.bars
    assert bars["close"].tolist() == [500.04, 499.23, 129.04]
    assert bars["dividend"].tolist() == [0.0, 0.82, 0.0]
    assert bars["split"].tolist() == [1.0, 1.0, 4.0]
    assert bars["timestamp"].tolist()[0] == pd.Timestamp("2020-08-27 20:00Z")
    assert bars["session"].tolist()[-1] == pd.Timestamp("2020-08-31")
    assert judge(bars, now=fetched.fetched_at).quarantine.empty
    assert not [note for note in fetched.notes if "ends on" in note]


def test_the_token_goes_into_the_header_and_into_no_message(server: Replay) -> None:
    server.answer = lambda asked: data({"detail": "Invalid token."}, 401)
    with pytest.raises(InvalidSettings, match=r"Invalid token.*BELLWETHER_TIINGO_TOKEN") as caught:
        source(server).fetch(["AAPL"], None, None, "1d")
    assert "secret" not in str(caught.value)
    assert "token" not in server.asked[0].query
    assert "secret" not in repr(Settings(tiingo_token="secret"))
    with pytest.raises(InvalidSettings, match="needs a token"):
        open_source("tiingo", Settings()).fetch(["AAPL"], None, None, "1d")


def test_without_a_start_the_whole_history_is_asked_for(server: Replay, tiingo: Tiingo) -> None:
    source(server).fetch(["AAPL"], None, None, "1d")
    assert server.asked[0].query["startDate"] == "1960-01-01"
    assert "endDate" not in server.asked[0].query


def test_a_session_is_left_out_until_its_corrections_are_over(
    server: Replay, tiingo: Tiingo, clock: Clock
) -> None:
    tiingo.rows["AAPL"] = [row("2026-03-05"), row("2026-03-06")]
    for now, last in (("2026-03-07 00:59Z", "2026-03-05"), ("2026-03-07 01:01Z", "2026-03-06")):
        clock.now = datetime.fromisoformat(now)
        bars = source(server).fetch(["AAPL"], date(2026, 3, 1), date(2026, 3, 6), "1d").bars
        assert bars["session"].max() == pd.Timestamp(last)


def test_an_unknown_symbol_is_named_with_what_tiingo_says(server: Replay, tiingo: Tiingo) -> None:
    with pytest.raises(UnknownSymbol, match=r"NOSUCH.*Not found.*unknown_symbol"):
        source(server).fetch(["AAPL", "NOSUCH"], None, None, "1d")
    asked = len(server.asked)
    for elsewhere in ("2330.TW", "BTC-USD", "000001"):
        with pytest.raises(UnknownSymbol, match="no ticker of New York"):
            source(server).fetch([elsewhere], None, None, "1d")
    assert len(server.asked) == asked


def test_an_empty_answer_is_a_failure_that_says_how_far_the_prices_reach(
    server: Replay, tiingo: Tiingo
) -> None:
    tiingo.rows["AAPL"] = [row("2015-01-02"), row("2015-01-05")]
    with pytest.raises(SourceUnavailable, match=r"of 2015-01-05 \(empty_answer\)"):
        source(server).fetch(["AAPL"], date(2020, 1, 1), None, "1d")


def test_a_ticker_that_ended_keeps_its_bars_and_is_said_to_have_ended(
    server: Replay, tiingo: Tiingo
) -> None:
    tiingo.rows["TWTR"] = [row("2022-10-26"), row("2022-10-27")]
    fetched = source(server).fetch(["AAPL", "TWTR"], None, None, "1d")
    assert (fetched.bars["symbol"] == "TWTR").sum() == 2
    assert [note for note in fetched.notes if "TWTR ends on 2022-10-27" in note]
    assert not [note for note in fetched.notes if "AAPL ends" in note]


@pytest.mark.parametrize(
    ("field", "named"), [("divCash", "divCash"), ("date", "date"), ("close", "close")]
)
def test_a_field_that_is_gone_is_named_and_not_read_as_nothing(
    server: Replay, tiingo: Tiingo, field: str, named: str
) -> None:
    rows = recent()
    rows[7][f"{field}Renamed"] = rows[7].pop(field)
    server.answer = lambda asked: data(rows)
    with pytest.raises(SourceUnavailable, match=rf"no {named} in .*{field}Renamed.*renamed_column"):
        source(server).fetch(["AAPL"], None, None, "1d")
    assert len(server.asked) == 1  # asking again would not bring it back


def test_a_null_price_reaches_the_quarantine(server: Replay, tiingo: Tiingo) -> None:
    rows = recent()
    rows[3]["close"] = None
    tiingo.rows["AAPL"] = rows
    fetched = source(server).fetch(["AAPL"], None, None, "1d")
    assert judge(fetched.bars, now=fetched.fetched_at).faults == {"missing_value": 1}


FAULTS = {
    "a page instead of data": (HTML, "html_answer"),
    "an empty body": (NOTHING, "empty_answer"),
    "a body that breaks off": (truncated(data(recent())), "truncated_answer"),
    "a body cut in between": (cut(data(recent())), "truncated_answer"),
    "a server's error": (BROKEN, "HTTP 500"),
    "a server that is away": (AWAY, "HTTP 503"),
    "a limit without a time": (LIMITED, "rate_limited"),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_retried(server: Replay, tiingo: Tiingo, fault: str) -> None:
    server.faults = [FAULTS[fault][0]]
    assert len(source(server).fetch(["AAPL"], None, None, "1d").bars) == 30
    assert len(server.asked) == 2


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("hurried")
def test_a_fault_that_stays_is_told_by_its_name(server: Replay, fault: str) -> None:
    answer, name = FAULTS[fault]
    server.answer = lambda asked: answer
    with pytest.raises(SourceUnavailable, match=name) as caught:
        source(server).fetch(["AAPL"], None, None, "1d")
    assert caught.value.remedy
    assert isinstance(caught.value, RateLimited) == (name == "rate_limited")


def test_a_rate_limit_is_waited_for_as_long_as_it_asks(server: Replay, tiingo: Tiingo) -> None:
    server.faults = [limited(Retry_After="1")]
    assert len(source(server).fetch(["AAPL"], None, None, "1d").bars) == 30
    assert 1.0 <= server.asked[1].at - server.asked[0].at < seconds(2)


def test_a_long_rate_limit_is_told_and_stops_every_symbol(server: Replay, tiingo: Tiingo) -> None:
    symbols = [f"X{chr(65 + i)}X" for i in range(20)]
    tiingo.rows |= dict.fromkeys(symbols, recent())
    server.answer = lambda asked: limited(Retry_After="120")
    begun = time.monotonic()
    with pytest.raises(RateLimited, match="120 s") as caught:
        source(server, expires(20)).fetch(symbols, None, None, "1d")
    assert caught.value.retry_after == pytest.approx(120.0, abs=1)
    # Those that were under way; a connection that a busy machine refused is tried once more.
    assert len(server.asked) <= 2 * WORKERS < len(symbols)
    assert time.monotonic() - begun < seconds(3)


@pytest.mark.usefixtures("hurried")
def test_tiingos_plain_text_limit_counts_as_one_although_its_status_is_200(server: Replay) -> None:
    # github.com/hydrosquall/tiingo-python/issues/45
    words = b"You have run over your 500 symbol look up for this month. Please upgrade at ..."
    server.answer = lambda asked: Answer(200, words)
    with pytest.raises(RateLimited, match="500 symbol look up"):
        source(server).fetch(["AAPL"], None, None, "1d")


def test_the_plans_requests_an_hour_are_never_exceeded(server: Replay, tiingo: Tiingo) -> None:
    symbols = [f"X{chr(65 + i)}X" for i in range(8)]
    tiingo.rows |= dict.fromkeys(symbols, recent())
    with pytest.raises(RateLimited, match="allows 6 requests in 3600 s"):
        source(server, requests_per_hour=6).fetch(symbols, None, None, "1d")
    assert len(server.asked) == 6
    with pytest.raises(RateLimited):  # another source of the same process shares the budget
        source(server, requests_per_hour=6).fetch(["AAPL"], None, None, "1d")
    assert len(server.asked) == 6
    with pytest.raises(InvalidSettings, match="at least 1"):
        source(server, requests_per_hour="0")


def test_a_source_that_hangs_is_ended_at_the_deadline(server: Replay, tiingo: Tiingo) -> None:
    server.answer = lambda asked: late(data(recent()), seconds(8))
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="in time"):
        source(server, expires(1.5)).fetch(["AAPL"], None, None, "1d")
    assert time.monotonic() - begun < seconds(8)


@pytest.mark.parametrize("part", ["headers", "body"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_source_that_answers_byte_by_byte_is_ended_at_the_deadline(
    server: Replay, part: str, packed: bool
) -> None:
    plain = data(recent())
    whole = Answer(200, gzip.compress(plain.body), {"Content-Encoding": "gzip"})
    server.answer = lambda asked: dripping(whole if packed else plain, part)
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="Tiingo must answer in time") as caught:
        source(server, expires(1.5)).fetch(["AAPL"], None, None, "1d")
    assert 1.0 < time.monotonic() - begun < seconds(8)  # the whole takes minutes
    assert caught.value.remedy


def test_an_address_nobody_listens_at_is_told_at_once() -> None:
    settings = Settings(
        source_base_url="http://127.0.0.1:9",
        tiingo_token="secret",
        source_deadline_seconds=expires(1.0),
    )
    with pytest.raises(SourceUnavailable, match=r"must be reachable.*127\.0\.0\.1"):
        open_source("tiingo", settings).fetch(["AAPL"], None, None, "1d")


def test_symbols_come_in_their_order_and_several_at_once(server: Replay, tiingo: Tiingo) -> None:
    symbols = [f"X{chr(75 - i)}X" for i in range(8)]
    tiingo.rows |= dict.fromkeys(symbols, recent())
    together = threading.Barrier(2, timeout=seconds(10))

    def in_pairs(asked: Asked) -> Answer:
        together.wait()  # whoever asks alone is never answered
        return tiingo(asked)

    server.answer = in_pairs
    fetched = source(server).fetch(symbols, None, None, "1d")
    assert list(dict.fromkeys(fetched.bars["symbol"])) == symbols


def test_what_tiingo_does_not_have_is_refused(server: Replay) -> None:
    with pytest.raises(InvalidSettings, match="bars of 1d"):
        source(server).fetch(["AAPL"], None, None, "4h")
    with pytest.raises(InvalidSettings, match="symbols"):
        source(server).fetch([], None, None, "1d")
