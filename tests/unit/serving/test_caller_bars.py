"""Own bars: when their next bars close, and what no market could have printed."""

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import InvalidPrices
from serving.caller_bars import check_bars, next_closes

DAY = 86_400 * 10**9


def nanoseconds(index):
    return index.as_unit("ns").asi8


def dates(closes):
    return [str(one)[:16] for one in closes.view("datetime64[ns]")]


def test_weekday_bars_go_on_with_weekdays():
    friday = nanoseconds(pd.bdate_range(end="2026-01-30 21:00", periods=300, normalize=False))
    closes = next_closes(friday, "1d", 6)
    assert dates(closes) == [
        "2026-02-02T21:00",
        "2026-02-03T21:00",
        "2026-02-04T21:00",
        "2026-02-05T21:00",
        "2026-02-06T21:00",
        "2026-02-09T21:00",
    ]


def test_bars_of_every_day_go_on_every_day():
    crypto = nanoseconds(pd.date_range(end="2026-01-30", periods=300))
    closes = next_closes(crypto, "1d", 30)
    assert len(closes) == 30
    assert (np.diff(closes) == DAY).all()
    assert closes[0] - crypto[-1] == DAY


def test_a_single_saturday_does_not_make_saturdays_trading_days():
    days = pd.bdate_range(end="2026-01-30 05:30", periods=300, normalize=False)
    days = days.append(pd.DatetimeIndex(["2026-01-17 05:30"])).sort_values()
    closes = next_closes(nanoseconds(days), "1d", 10)
    assert all(pd.Timestamp(one).weekday() < 5 for one in closes)


def test_sunday_to_thursday_weeks_are_kept():
    days = pd.bdate_range(
        end="2026-01-29 12:00", periods=300, freq="C", weekmask="Sun Mon Tue Wed Thu"
    )
    closes = next_closes(nanoseconds(days), "1d", 5)
    assert [pd.Timestamp(one).day_name()[:3] for one in closes] == [
        "Sun",
        "Mon",
        "Tue",
        "Wed",
        "Thu",
    ]


def test_hourly_bars_go_on_in_the_hours_they_kept():
    hours = pd.date_range("2026-01-05 15:00", "2026-01-30 21:00", freq="h")
    hours = hours[(hours.weekday < 5) & (hours.hour >= 15) & (hours.hour <= 21)]
    closes = next_closes(nanoseconds(hours), "1h", 8)
    assert dates(closes)[:2] == ["2026-02-02T15:00", "2026-02-02T16:00"]
    assert dates(closes)[-1] == "2026-02-03T15:00"


@pytest.mark.parametrize("count", [1, 30, 250])
def test_as_many_closes_as_are_asked_for_are_always_found(count):
    weekly_slot = np.array([0, 7]) * DAY
    closes = next_closes(weekly_slot, "1h", count)
    assert np.array_equal(closes, 7 * DAY * np.arange(2, count + 2))


def bars(count=5):
    return np.tile([10.0, 11.0, 9.0, 10.5, 100.0], (count, 1))


def test_the_first_bad_bar_is_named_with_its_numbers():
    stamps = nanoseconds(pd.date_range("2026-01-01", periods=5))
    bad = bars()
    bad[3, 2] = 12.0
    with pytest.raises(InvalidPrices) as caught:
        check_bars(stamps, bad, "1d", int(stamps[-1]))
    assert "first bar 3 (2026-01-04T00:00:00Z: open 10, high 11, low 12" in str(caught.value)


def test_sound_bars_pass():
    stamps = nanoseconds(pd.date_range("2026-01-01", periods=5))
    check_bars(stamps, bars(), "1d", int(stamps[-1]))
    check_bars(stamps[:1], bars(1), "1d", int(stamps[-1]))


@pytest.mark.parametrize("step", ["h", "7D", "30min"])
def test_bars_of_another_interval_are_refused(step):
    stamps = nanoseconds(pd.date_range("2025-01-01", periods=5, freq=step))
    with pytest.raises(InvalidPrices, match="interval, 1d"):
        check_bars(stamps, bars(), "1d", int(stamps[-1]))
