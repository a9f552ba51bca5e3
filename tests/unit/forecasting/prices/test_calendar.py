"""Sessions, half days, clock changes and horizons, against dates known from the exchanges."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from forecasting.errors import InvalidPrices, InvalidSettings
from forecasting.prices.calendar import (
    bar_closes,
    exchange_of,
    exchange_timezone,
    horizon_times,
    session_bars,
    session_closes,
    sessions_of,
)
from tests.clock import Clock


def session_close(symbol: str, session: date) -> datetime:
    """Close of one trading date, aware UTC."""
    return session_closes(symbol, pd.DatetimeIndex([session]))[0].to_pydatetime()


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [
        ("AAPL", "XNYS"),
        ("F", "XNYS"),
        ("T", "XNYS"),
        ("BRK-B", "XNYS"),
        ("BRK.B", "XNYS"),
        ("^GSPC", "XNYS"),
        ("^N225", "XTKS"),
        ("2330.TW", "XTAI"),
        ("2330.tw", "XTAI"),
        ("VOD.L", "XLON"),
        ("BTC-USD", "24/7"),
        ("EURUSD", "24/5"),
        ("EURUSD=X", "24/5"),
        ("JPY=X", "24/5"),
        ("ES=F", "us_futures"),
    ],
)
def test_a_ticker_names_its_exchange(symbol: str, exchange: str) -> None:
    assert exchange_of(symbol) == exchange


def test_a_half_day_closes_early_and_a_clock_change_moves_the_close() -> None:
    assert session_close("AAPL", date(2025, 11, 28)) == datetime(2025, 11, 28, 18, tzinfo=UTC)
    assert session_close("AAPL", date(2026, 3, 6)) == datetime(2026, 3, 6, 21, tzinfo=UTC)
    assert session_close("AAPL", date(2026, 3, 9)) == datetime(2026, 3, 9, 20, tzinfo=UTC)
    assert session_close("2330.TW", date(2026, 3, 9)) == datetime(2026, 3, 9, 5, 30, tzinfo=UTC)
    assert session_close("BTC-USD", date(2026, 3, 8)) == datetime(2026, 3, 9, tzinfo=UTC)


def test_a_date_the_calendar_does_not_know_closes_at_the_usual_time() -> None:
    assert session_close("AAPL", date(1985, 7, 1)) == datetime(1985, 7, 1, 20, tzinfo=UTC)
    assert session_close("AAPL", date(2025, 12, 25)) == datetime(2025, 12, 25, 21, tzinfo=UTC)


def test_many_closes_come_back_in_the_order_asked() -> None:
    days = pd.DatetimeIndex(["2025-11-28", "1985-07-01", "2025-11-26"])
    closes = session_closes("AAPL", days)
    assert closes.tolist() == [pd.Timestamp(session_close("AAPL", day.date())) for day in days]


def test_daily_horizons_step_over_weekends_and_holidays() -> None:
    wednesday = session_close("AAPL", date(2025, 11, 26))
    ahead = horizon_times("AAPL", wednesday, "1d", 3)
    assert ahead == [
        datetime(2025, 11, 28, 18, tzinfo=UTC),  # Thanksgiving is skipped, Friday is half
        datetime(2025, 12, 1, 21, tzinfo=UTC),
        datetime(2025, 12, 2, 21, tzinfo=UTC),
    ]
    assert all(moment.tzinfo is UTC for moment in ahead)


def test_crypto_has_a_bar_every_day_and_currencies_rest_on_weekends() -> None:
    friday = datetime(2026, 1, 10, tzinfo=UTC)  # close of Friday the 9th
    assert [moment.day for moment in horizon_times("BTC-USD", friday, "1d", 3)] == [11, 12, 13]
    assert [moment.day for moment in horizon_times("EURUSD=X", friday, "1d", 3)] == [13, 14, 15]


def test_hourly_horizons_follow_the_session_its_short_last_bar_and_the_next_open() -> None:
    ahead = horizon_times("AAPL", datetime(2025, 11, 26, 19, 30, tzinfo=UTC), "1h", 4)
    assert [moment.strftime("%d %H:%M") for moment in ahead] == [
        "26 20:30",
        "26 21:00",
        "28 15:30",
        "28 16:30",
    ]
    friday = datetime(2026, 1, 9, 21, tzinfo=UTC)
    currency = horizon_times("EURUSD", friday, "1h", 3)
    assert [moment.strftime("%a %H:%M") for moment in currency] == [
        "Fri 22:00",
        "Sun 23:00",
        "Mon 00:00",
    ]


def test_no_bar_lies_in_the_lunch_break() -> None:
    ahead = horizon_times("600000.SS", datetime(2026, 1, 9, 1, tzinfo=UTC), "1h", 5)
    local = [pd.Timestamp(moment).tz_convert("Asia/Shanghai") for moment in ahead]
    assert [moment.strftime("%H:%M") for moment in local] == [
        "10:30",
        "11:30",
        "13:30",
        "14:30",
        "15:00",
    ]


def test_thirty_horizons_are_strictly_rising_for_every_kind_of_symbol() -> None:
    for symbol in ("AAPL", "2330.TW", "600000.SS", "BTC-USD", "EURUSD", "ES=F"):
        for interval in ("1h", "4h", "1d"):
            last = datetime(2026, 12, 1, 3, tzinfo=UTC)
            ahead = horizon_times(symbol, last, interval)
            assert len(ahead) == 30
            assert ahead[0] > last
            assert ahead == sorted(set(ahead))


def test_a_calendar_that_ends_soon_is_continued_by_weekdays() -> None:
    # Shanghai's holidays are published a year at a time.
    ahead = horizon_times("600000.SS", datetime(2027, 6, 1, 7, tzinfo=UTC), "1d", 5)
    assert [moment.strftime("%d %H:%M") for moment in ahead] == [
        "02 07:00",
        "03 07:00",
        "04 07:00",
        "07 07:00",
        "08 07:00",
    ]


def test_a_calendar_that_ended_years_ago_goes_on_from_today(clock: Clock) -> None:
    clock.now = datetime(2034, 2, 3, 12, tzinfo=UTC)
    for symbol in ("600000.SS", "RELIANCE.NS", "D05.SI", "AAPL", "EURUSD", "BTC-USD"):
        for interval in ("1h", "1d"):
            assert len(horizon_times(symbol, clock.now, interval)) == 30


@pytest.mark.parametrize(
    ("exchange", "first"), [("XTKS", "1997-01-06"), ("XBOM", "1997-01-01"), ("XNYS", "1990-01-02")]
)
def test_a_calendar_begins_where_its_holidays_are_recorded_whatever_the_day(
    exchange: str, first: str
) -> None:
    assert pd.Timestamp(int(sessions_of(exchange).days[0])) == pd.Timestamp(first)


def test_intraday_bars_end_with_their_session() -> None:
    starts = pd.DatetimeIndex(["2025-11-28 14:30Z", "2025-11-28 17:30Z", "2025-11-28 22:00Z"])
    closes, sessions = bar_closes("AAPL", starts, "1h")
    assert closes.strftime("%H:%M").tolist() == ["15:30", "18:00", "23:00"]
    assert (sessions == pd.Timestamp("2025-11-28")).all()


def test_a_currency_bar_of_sunday_evening_belongs_to_monday() -> None:
    closes, sessions = bar_closes("EURUSD", pd.DatetimeIndex(["2026-01-11 22:00Z"]), "1h")
    assert closes[0] == pd.Timestamp("2026-01-11 23:00Z")
    assert sessions[0] == pd.Timestamp("2026-01-12")


def test_every_bar_between_two_dates() -> None:
    closes, sessions = session_bars("AAPL", date(2025, 11, 26), date(2025, 11, 28), "1d")
    assert sessions.strftime("%d").tolist() == ["26", "28"]
    assert closes[1] == pd.Timestamp("2025-11-28 18:00Z")
    hourly, days = session_bars("AAPL", date(2025, 11, 26), date(2025, 11, 28), "1h")
    assert len(hourly) == 7 + 4
    assert (days == pd.Timestamp("2025-11-28")).sum() == 4


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidPrices, match="time zone"):
        horizon_times("AAPL", datetime(2026, 1, 5), "1d")  # noqa: DTZ001 - the fault under test
    with pytest.raises(InvalidPrices, match="has to reach"):
        horizon_times("AAPL", datetime(2200, 1, 5, tzinfo=UTC), "1d")
    with pytest.raises(InvalidSettings, match="one of 1h"):
        horizon_times("AAPL", datetime(2026, 1, 5, tzinfo=UTC), "7m")
    assert exchange_timezone("2330.TW") == "Asia/Taipei"
