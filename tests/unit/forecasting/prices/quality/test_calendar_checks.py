"""Bars are held against their exchange's calendar: closed days, lost sessions, wrong closes."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.errors import InvalidPrices
from forecasting.prices.calendar import session_bars, sessions_of
from forecasting.prices.quality.judge import judge
from tests.clock import Clock
from tests.unit.forecasting.prices.test_calendar import session_close

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def made(symbol: str = "AAPL", bars: int = 300, interval: str = "1d") -> pd.DataFrame:
    source = SyntheticSource(seed=5, bars=bars)
    return source.fetch([symbol], None, date(2026, 5, 29), interval).bars


def on_day(bars: pd.DataFrame, day: str) -> int:
    return int(np.flatnonzero(bars["session"] == pd.Timestamp(day))[0])


@pytest.mark.parametrize(
    "symbol", ["AAPL", "2330.TW", "VOD.L", "7203.T", "BTC-USD", "EURUSD", "ES=F", "SAP.DE"]
)
@pytest.mark.parametrize("interval", ["1d", "1h", "4h"])
def test_bars_that_keep_their_calendar_are_left_alone(symbol: str, interval: str) -> None:
    judged = judge(made(symbol, 400, interval), now=NOW, interval=interval)
    assert (judged.faults, judged.repairs, judged.findings) == ({}, {}, ())


@pytest.mark.parametrize(
    ("symbol", "day", "exchange"),
    [
        ("AAPL", "2025-11-27", "XNYS"),  # Thanksgiving
        ("AAPL", "2026-01-10", "XNYS"),  # a Saturday
        ("2330.TW", "2026-02-18", "XTAI"),  # the lunar new year
    ],
)
def test_a_bar_of_a_closed_day_is_taken_out(symbol: str, day: str, exchange: str) -> None:
    bars = made(symbol)
    row = int(bars["session"].searchsorted(pd.Timestamp(day)))
    extra = bars.iloc[[row - 1]].assign(session=pd.Timestamp(day), close=lambda b: b["low"])
    extra["timestamp"] += pd.Timestamp(day) - bars["session"].iloc[row - 1]
    judged = judge(pd.concat([bars, extra], ignore_index=True), now=NOW)
    assert judged.faults == {"holiday_bar": 1}
    assert judged.quarantine["detail"].tolist() == [f"{exchange} was closed on {day}"]
    assert judged.clean.equals(judge(bars, now=NOW).clean)


def test_a_bar_of_a_half_day_that_closes_as_on_a_full_one_is_moved() -> None:
    bars = made()
    row = on_day(bars, "2025-11-28")
    bars.loc[row, "timestamp"] = pd.Timestamp("2025-11-28 21:00Z")
    judged = judge(bars, now=NOW)
    assert judged.repairs == {"half_day": 1}
    assert judged.clean["timestamp"].iloc[row] == pd.Timestamp("2025-11-28 18:00Z")


def test_closes_on_one_clock_all_year_are_moved_with_the_clock_change() -> None:
    right = made()
    fixed = right.assign(timestamp=right["session"].dt.tz_localize("UTC") + pd.Timedelta(hours=21))
    judged = judge(fixed, now=NOW)
    summer = int((right["timestamp"].dt.hour == 20).sum())
    assert judged.repairs == {"dst_shift": summer, "half_day": 3}
    assert judged.clean.equals(judge(right, now=NOW).clean)


def test_a_bar_that_still_trades_is_in_the_future_however_early_its_stamp() -> None:
    bars = made()
    bars.loc[len(bars) - 1, "timestamp"] -= pd.Timedelta(hours=1)
    close = session_close("AAPL", date(2026, 5, 29))
    judged = judge(bars, now=close - pd.Timedelta(minutes=30))
    assert judged.faults == {"future_bar": 1}


def test_a_daily_bar_stamped_before_its_close_is_taken_out_and_many_refuse_the_set() -> None:
    bars = made()
    row = on_day(bars, "2026-03-10")
    midnight = bars.assign(timestamp=bars["session"].dt.tz_localize("UTC"))
    one = bars.copy()
    one.loc[row, "timestamp"] = midnight.loc[row, "timestamp"]
    judged = judge(one, now=NOW)
    assert judged.faults == {"wrong_close_time": 1}
    assert "XNYS closed at 2026-03-10 20:00:00+00:00" in judged.quarantine["detail"].iloc[0]
    with pytest.raises(InvalidPrices, match=r"AAPL lost 300 of 300 bars \(wrong_close_time 300\)"):
        judge(midnight, now=NOW)


def test_an_auction_after_the_close_is_no_fault() -> None:
    bars = made("VOD.L")
    bars["timestamp"] += pd.Timedelta(minutes=5)
    judged = judge(bars, now=NOW)
    assert (judged.faults, judged.repairs) == ({}, {})
    assert judged.clean["timestamp"].equals(bars["timestamp"])


def test_missing_sessions_are_told_by_date_and_many_refuse_the_set() -> None:
    bars = made()
    lost = [on_day(bars, day) for day in ("2026-01-13", "2026-03-10", "2026-03-11", "2026-03-12")]
    judged = judge(bars.drop(index=lost), now=NOW)
    assert judged.quarantine.empty
    assert [(one.fault, one.bars) for one in judged.findings] == [("missing_session", 4)]
    (note,) = judged.notes
    assert note == (
        "A symbol should have a bar of every session between its first and last: AAPL lacks 4 of "
        "300 (2026-01-13, 2026-03-10, 2026-03-11 and 1 more) (missing_session)."
    )
    with pytest.raises(InvalidPrices, match=r"AAPL lacks 31 of 300.*\(sparse_history\)"):
        judge(bars.drop(index=range(100, 131)), now=NOW)
    judge(bars.drop(index=range(100, 130)), now=NOW)


def test_a_faulty_bar_is_there_and_no_missing_session() -> None:
    bars = made()
    bars.loc[50, "close"] = np.nan
    judged = judge(bars, now=NOW)
    assert judged.faults == {"missing_value": 1}
    assert judged.findings == ()


def test_bars_after_the_last_known_holiday_are_told_and_their_days_not_judged(
    clock: Clock,
) -> None:
    table = sessions_of("XSHG")
    end = pd.Timestamp(int(table.days[table.known - 1]), tz="UTC")
    clock.now = (end + pd.Timedelta(days=90)).to_pydatetime()
    bars = SyntheticSource(seed=5, bars=120).fetch(["600000.SS"], None, None, "1d").bars
    new_year = (bars["session"].dt.tz_localize("UTC") - end).dt.days.between(45, 51)
    after = int((bars["session"] > end.tz_localize(None)).sum() - new_year.sum())
    judged = judge(bars[~new_year], now=clock.now)
    assert (judged.faults, len(judged.clean)) == ({}, 115)
    assert [(one.fault, one.bars) for one in judged.findings] == [("calendar_ended", after)]
    assert judged.notes[0].endswith(
        f"600000.SS has {after} after {end:%Y-%m-%d}, with which XSHG's holidays end in this "
        "release of the package exchange-calendars (calendar_ended)."
    )


def test_another_calendar_than_the_tickers_is_told_and_its_days_stay() -> None:
    crypto = made("BTC-USD").assign(symbol="BITCOIN")
    crypto["timestamp"] = [session_close("BITCOIN", day.date()) for day in crypto["session"]]
    crypto["timestamp"] = crypto["timestamp"].astype("datetime64[ns, UTC]")
    judged = judge(crypto, now=NOW)
    assert len(judged.clean) == 300
    assert [one.fault for one in judged.findings] == ["other_calendar"]
    assert "on days XNYS was closed" in judged.notes[0]


def test_intraday_bars_outside_the_trading_hours_are_told() -> None:
    bars = made(interval="1h", bars=200)
    late = bars.iloc[[-1]].assign(
        timestamp=bars["timestamp"].iloc[-1] + pd.Timedelta(hours=1), volume=7.0
    )
    judged = judge(pd.concat([bars, late], ignore_index=True), now=NOW, interval="1h")
    assert [(one.fault, one.bars) for one in judged.findings] == [("outside_session", 1)]
    assert len(judged.clean) == 201


@settings(max_examples=40, deadline=None)
@given(
    lost=st.sets(st.integers(1, 298), max_size=20),
    shifted=st.sets(st.integers(0, 299), max_size=20),
    wrong=st.sets(st.integers(0, 299), max_size=3),
)
def test_the_calendars_verdict_is_that_of_a_slow_reader(
    lost: set[int], shifted: set[int], wrong: set[int]
) -> None:
    bars = made()
    bars.loc[sorted(shifted), "timestamp"] -= pd.Timedelta(hours=1)
    bars.loc[sorted(wrong), "timestamp"] -= pd.Timedelta(hours=6)
    bars = bars.drop(index=sorted(lost))
    missing, moved, out = 0, 0, []
    _, sessions = session_bars("AAPL", bars["session"].iloc[0], bars["session"].iloc[-1], "1d")
    there = set(bars["session"])
    for day in sessions:
        missing += day not in there
    for row, bar in enumerate(bars.itertuples()):
        off = abs((bar.timestamp - session_close("AAPL", bar.session.date())).total_seconds())
        moved += off == 3600
        if off > 900 and off != 3600:
            out.append(row)
    judged = judge(bars, now=NOW)
    assert sum(one.bars for one in judged.findings) == missing
    assert judged.repairs.get("dst_shift", 0) == moved
    assert judged.quarantine["row"].tolist() == out


def test_half_days_are_those_that_close_before_their_usual_time() -> None:
    table = sessions_of("XNYS")
    early = pd.DatetimeIndex(table.days[table.closes != table.full_closes])
    assert {pd.Timestamp("2025-11-28"), pd.Timestamp("2025-12-24")} <= set(early)
    assert pd.Timestamp("2025-11-26") not in early
    full = pd.DatetimeIndex(table.full_closes[table.days >= pd.Timestamp("2000-01-01").value])
    hours = set(full.tz_localize("UTC").tz_convert("America/New_York").hour)
    assert hours == {16}
