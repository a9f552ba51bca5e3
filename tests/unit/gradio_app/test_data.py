"""What the page asks for, joined from the adapters."""

import pandas as pd

from gradio_app.data import split_adjusted


def test_closes_before_a_split_are_divided_by_it():
    stamps = pd.to_datetime(["2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01"], utc=True)
    bars = pd.DataFrame(
        {"timestamp": stamps, "close": [500.0, 499.2, 129.0, 134.2], "split": [1.0, 1.0, 4.0, 1.0]}
    )
    assert split_adjusted(bars)["close"].tolist() == [125.0, 124.8, 129.0, 134.2]
    assert split_adjusted(bars.head(0)).empty
