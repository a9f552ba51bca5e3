"""Periods: exchanges of a day stand together, and a horizon spans as many as it lasts."""

import math
import statistics
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.instants import DAY, HOUR
from forecasting.models.periods import Periods
from forecasting.schema import MAX_HORIZON


def sessions(bars, close, zone="America/New_York"):
    """Closes of weekdays at a local hour; in UTC they move with summer time."""
    days = pd.bdate_range("2015-01-02", periods=bars) + pd.Timedelta(f"{close}:00")
    return np.array(days.tz_localize(zone).tz_convert("UTC").as_unit("ns").asi8)


def together(*closes):
    codes = np.repeat(np.arange(len(closes)), [len(times) for times in closes])
    return Periods.of(np.concatenate(closes), codes)


def slow_periods(times, codes):
    """Places, instants and stride, row by row."""
    of_symbol = {code: [] for code in codes}
    for time, code in zip(times, codes, strict=True):
        of_symbol[code].append(time)
    gaps = [b - a for own in of_symbol.values() for a, b in pairwise(sorted(own))]
    daily = not gaps or statistics.median(gaps) >= 0.8 * DAY
    starts = [time // DAY * DAY if daily else time for time in times]
    instants = sorted(set(starts))
    places = [instants.index(start) for start in starts]
    stride = 1.0
    for code in of_symbol:
        own = [place for place, other in zip(places, codes, strict=True) if other == code]
        if len(own) > 1:
            stride = max(stride, (max(own) - min(own)) / (len(own) - 1))
    return places, instants, stride


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**16), symbols=st.integers(1, 4), hours=st.sampled_from([1, 4, 24]))
def test_periods_are_those_of_a_loop_over_rows(seed, symbols, hours):
    random = np.random.default_rng(seed)
    bars = random.integers(1, 40, symbols)
    codes = np.repeat(np.arange(symbols), bars)
    bar = np.concatenate([random.choice(60, count, replace=False) for count in bars])
    times = bar * hours * HOUR + codes * HOUR // 2
    places, instants, stride = slow_periods(times.tolist(), codes.tolist())
    found = Periods.of(times, codes)
    assert found.places.tolist() == places
    assert found.instants.tolist() == instants
    assert found.stride == pytest.approx(stride)
    for horizon in (1, 5, 30):
        assert found.overlap(horizon) == max(math.ceil(horizon * stride - 1e-9), 1)


def test_the_periods_of_one_exchange_are_its_closes_and_a_horizon_its_bars():
    """So nothing that was counted by closes and bars on one exchange changes, in no bit."""
    closes = sessions(700, "16:00")
    late = closes[250:]  # a symbol that was listed later
    found = together(closes, late, closes)
    _, places = np.unique(np.concatenate([closes, late, closes]), return_inverse=True)
    assert np.array_equal(found.places, places)
    assert found.stride == 1.0
    assert [found.overlap(h) for h in range(1, MAX_HORIZON + 1)] == [*range(1, MAX_HORIZON + 1)]


def test_exchanges_of_a_day_are_one_observation_however_many_they_are():
    new_york, london, tokyo = (
        sessions(500, close, zone)
        for close, zone in (
            ("16:00", "America/New_York"),
            ("16:30", "Europe/London"),
            ("15:00", "Asia/Tokyo"),
        )
    )
    found = together(new_york, london, tokyo)
    assert np.array_equal(found.places, np.tile(np.arange(500), 3))
    assert found.overlap(30) == 30


def test_beside_a_coin_that_trades_every_day_five_bars_of_a_share_are_seven_periods():
    coin = np.arange(sessions(1, "16:00")[0] // DAY, sessions(500, "16:00")[-1] // DAY + 1) * DAY
    found = together(sessions(500, "16:00"), coin)
    assert found.stride == pytest.approx(7 / 5, rel=0.01)
    assert found.overlap(4) == 6


def test_bars_within_a_day_are_periods_of_their_own_and_interleaved_ones_count_twice():
    hourly = np.arange(400) * HOUR
    assert np.array_equal(together(hourly).instants, hourly)
    both = together(hourly, hourly + HOUR // 2)
    assert len(both.instants) == 800
    assert both.overlap(10) == 20


def test_no_rows_have_no_periods():
    found = Periods.of(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    assert len(found.instants) == len(found.places) == 0
    assert found.overlap(5) == 5
