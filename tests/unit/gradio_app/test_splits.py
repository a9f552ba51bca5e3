"""Prices from before a split compare with those after it."""

import pandas as pd

from gradio_app.splits import shares_of_one, split_adjusted


def test_closes_before_a_split_are_divided_by_it():
    stamps = pd.to_datetime(["2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01"], utc=True)
    bars = pd.DataFrame(
        {"timestamp": stamps, "close": [500.0, 499.2, 129.0, 134.2], "split": [1.0, 1.0, 4.0, 1.0]}
    )
    assert split_adjusted(bars)["close"].tolist() == [125.0, 124.8, 129.0, 134.2]
    assert split_adjusted(bars.head(0)).empty


def test_shares_grow_by_the_splits_after_one_bar_up_to_another():
    stamps = pd.to_datetime(["2020-08-28", "2020-08-31", "2020-09-01", "2020-09-02"], utc=True)
    bars = pd.DataFrame(
        {"symbol": ["A", "A", "A", "B"], "timestamp": stamps, "split": [3.0, 4.0, 0.5, 7.0]}
    )
    assert shares_of_one(bars, "A", stamps[0], stamps[1]) == 4.0
    assert shares_of_one(bars, "A", stamps[0], stamps[3]) == 2.0
    assert shares_of_one(bars, "A", stamps[1], stamps[1]) == 1.0
    assert shares_of_one(bars.head(0), "A", stamps[0], stamps[1]) == 1.0
