"""A replayed data set ages as if its last bar had closed when it was fetched."""

from datetime import UTC, datetime, timedelta

import pytest

from forecasting.clock import DataClock, utc_now

FETCHED = datetime(2026, 5, 1, 12, tzinfo=UTC)
LAST_BAR = datetime(2020, 1, 2, 21, tzinfo=UTC)


def test_the_present_is_the_wall_clocks_in_utc(clock):
    assert utc_now() == clock.now
    clock.now += timedelta(hours=1)
    assert utc_now() == clock.now
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize(("replay", "present"), [(True, LAST_BAR), (False, FETCHED)])
def test_only_a_replayed_data_set_has_a_present_of_its_own(replay, present):
    clock = DataClock(FETCHED, LAST_BAR, replay)
    later = timedelta(hours=5)
    assert clock.now(FETCHED) == present
    assert clock.now(FETCHED + later) == present + later
    assert clock.age_seconds(FETCHED + later) == (present + later - LAST_BAR).total_seconds()


def test_without_an_instant_the_wall_clock_counts():
    clock = DataClock(utc_now(), LAST_BAR, replay=True)
    assert 0 <= clock.age_seconds() < 60
