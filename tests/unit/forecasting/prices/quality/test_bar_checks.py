"""Copies, disorder, rounding and feeds that stand still."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from forecasting.errors import InvalidPrices
from forecasting.prices.quality.catalogue import STALE_RUN
from forecasting.prices.quality.judge import judge
from forecasting.schema import PRICE_COLUMNS
from tests.unit.forecasting.prices.quality.test_judge import NOW, bars


def test_of_identical_copies_the_first_stays() -> None:
    frame = bars()
    judged = judge(pd.concat([frame, frame.iloc[[5, 6]]], ignore_index=True), now=NOW)
    assert judged.faults == {"duplicate_bar": 2}
    assert judged.quarantine["row"].tolist() == [200, 201]
    pd.testing.assert_frame_equal(judged.clean, frame[list(PRICE_COLUMNS)])


def test_of_copies_that_disagree_none_stays() -> None:
    frame = bars()
    other = frame.iloc[[5]].assign(volume=7.0)
    judged = judge(pd.concat([frame, other], ignore_index=True), now=NOW)
    assert judged.faults == {"duplicate_bar": 2}
    assert sorted(judged.quarantine["row"]) == [5, 200]
    assert len(judged.clean) == 199


def test_two_bars_of_one_session_are_duplicates_if_daily_and_not_if_hourly() -> None:
    frame = bars()
    later = frame.iloc[[5]].assign(
        timestamp=frame["timestamp"].iloc[5] - pd.Timedelta(minutes=9), volume=7.0
    )
    both = pd.concat([frame, later], ignore_index=True)
    assert judge(both, now=NOW).faults == {"duplicate_bar": 2}
    assert judge(both, now=NOW, interval="1h").faults == {}


def test_a_faulty_copy_does_not_take_the_good_bar_with_it() -> None:
    frame = bars()
    copy = frame.iloc[[5]].assign(close=float("nan"))
    judged = judge(pd.concat([frame, copy], ignore_index=True), now=NOW)
    assert judged.faults == {"missing_value": 1}
    assert len(judged.clean) == 200


def test_a_whole_file_given_twice_loses_nothing() -> None:
    frame = bars()
    judged = judge(pd.concat([frame, frame], ignore_index=True), now=NOW)
    assert len(judged.clean) == 200
    assert judged.faults == {"duplicate_bar": 200}


def test_bars_out_of_order_are_sorted_and_counted() -> None:
    frame = bars()
    swapped = frame.iloc[[1, 0, *range(2, 200)]].reset_index(drop=True)
    judged = judge(swapped, now=NOW)
    pd.testing.assert_frame_equal(judged.clean, frame[list(PRICE_COLUMNS)])
    assert judged.repairs == {"unsorted": 1}


def test_symbols_row_by_row_in_turns_are_no_blemish() -> None:
    by_time = bars().sort_values(["timestamp", "symbol"], ascending=[True, False])
    judged = judge(by_time, now=NOW)
    pd.testing.assert_frame_equal(judged.clean, bars()[list(PRICE_COLUMNS)])
    assert judged.repairs == {}


def test_a_high_that_misses_the_close_by_rounding_is_moved_and_counted() -> None:
    frame = bars()
    frame.loc[3, "high"] = max(frame.loc[3, "open"], frame.loc[3, "close"]) * (1 - 5e-7)
    frame.loc[4, "low"] = min(frame.loc[4, "open"], frame.loc[4, "close"]) * (1 + 5e-7)
    judged = judge(frame, now=NOW)
    assert judged.quarantine.empty
    assert judged.repairs == {"range_rounding": 2}


def test_a_symbol_that_never_moves_is_refused() -> None:
    frame = bars()
    frame.loc[frame["symbol"] == "MSFT", ["open", "high", "low", "close"]] = 50.0
    with pytest.raises(InvalidPrices, match=r"MSFT lost 100 of 100 bars \(constant_price 100\)"):
        judge(frame, now=NOW)


def test_a_feed_that_stands_still_loses_its_repeats() -> None:
    frame = bars(("AAPL",), 1_000)
    stale = slice(500, 500 + STALE_RUN - 1)
    frame.loc[stale, ["open", "high", "low", "close"]] = frame.loc[500, "close"]
    judged = judge(frame, now=datetime(2035, 1, 1, tzinfo=UTC))
    assert judged.faults == {"constant_price": STALE_RUN - 1}
    assert 500 not in judged.quarantine["row"].tolist()
    a_little_shorter = slice(500, 500 + STALE_RUN - 2)
    frame = bars(("AAPL",), 1_000)
    frame.loc[a_little_shorter, ["open", "high", "low", "close"]] = frame.loc[500, "close"]
    assert judge(frame, now=datetime(2035, 1, 1, tzinfo=UTC)).faults == {}
