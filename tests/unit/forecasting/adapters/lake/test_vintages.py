"""When a bar was known: its close, unless it came late or was restated."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.vintages import known_times
from forecasting.errors import SnapshotCorrupted
from forecasting.instants import nanoseconds
from forecasting.prices.quality.catalogue import QUARANTINE_COLUMNS
from forecasting.prices.quality.judge import CleanedBars
from tests.unit.panels import panel

PRICES = panel(("AAA", "BBB"), bars=60)
LATE = 95
"""Bar 35 of BBB."""


def fetch(lake, bars, *, replay=False):
    nothing = pd.DataFrame(columns=list(QUARANTINE_COLUMNS))
    end = bars["timestamp"].max().to_pydatetime() + timedelta(hours=1)
    return lake.append(
        "default",
        CleanedBars(bars.reset_index(drop=True), nothing),
        source="test",
        replay=replay,
        synthetic=False,
        interval="1d",
        fetched_at=end,
    )


def until(bar):
    return PRICES[PRICES["timestamp"] <= PRICES["timestamp"].iloc[bar]]


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def test_bars_that_come_in_order_are_known_at_their_close(lake):
    for bar in (20, 40, 59):
        snapshot = fetch(lake, until(bar))
    prices = lake.read(snapshot)
    np.testing.assert_array_equal(
        known_times(lake, snapshot, prices), nanoseconds(prices["timestamp"])
    )


def test_a_bar_that_fills_a_gap_is_known_from_its_own_fetch(lake):
    fetch(lake, until(40).drop(index=LATE))
    second = fetch(lake, until(45))
    snapshot = fetch(lake, PRICES)
    prices = lake.read(snapshot)
    known, closes = known_times(lake, snapshot, prices), nanoseconds(prices["timestamp"])
    assert np.flatnonzero(known != closes).tolist() == [LATE]
    assert known[LATE] == int(second.fetched_at.timestamp()) * 10**9
    some = prices[prices["symbol"] == "BBB"].iloc[30:40].reset_index(drop=True)
    assert known_times(lake, snapshot, some).tolist() == known[90:100].tolist()


def test_older_history_and_new_symbols_are_not_late(lake):
    fetch(lake, until(59)[lambda bars: bars["symbol"] == "AAA"].iloc[30:])
    snapshot = fetch(lake, PRICES)
    prices = lake.read(snapshot)
    np.testing.assert_array_equal(
        known_times(lake, snapshot, prices), nanoseconds(prices["timestamp"])
    )


def test_a_price_that_is_not_the_one_first_held_is_known_from_the_newest_fetch(lake):
    fetch(lake, until(40))
    snapshot = fetch(lake, PRICES)
    prices = lake.read(snapshot)
    prices.loc[7, "close"] *= 1.001
    known = known_times(lake, snapshot, prices)
    assert np.flatnonzero(known != nanoseconds(prices["timestamp"])).tolist() == [7]
    assert known[7] == int(snapshot.fetched_at.timestamp()) * 10**9


def test_replayed_history_has_no_late_bars(lake):
    fetch(lake, until(40).drop(index=LATE), replay=True)
    snapshot = fetch(lake, PRICES, replay=True)
    prices = lake.read(snapshot)
    np.testing.assert_array_equal(
        known_times(lake, snapshot, prices), nanoseconds(prices["timestamp"])
    )


def test_a_missing_part_is_said_so(lake, tmp_path):
    snapshot = fetch(lake, PRICES)
    prices = lake.read(snapshot)
    for part in (tmp_path / "prices" / "default" / "parts").iterdir():
        part.unlink()
    with pytest.raises(SnapshotCorrupted, match="is missing"):
        known_times(lake, snapshot, prices)
