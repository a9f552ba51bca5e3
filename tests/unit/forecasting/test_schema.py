"""The price contract refuses what breaks it, and names the column, the row and the rule."""

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import InvalidPrices
from forecasting.schema import PRICE_COLUMNS, outside_range, validate_prices


def bars(symbol: str = "AAA", days: int = 5) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01 21:00", periods=days, freq="D", tz="UTC").as_unit("ns")
    close = np.linspace(100, 104, days)
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "timestamp": stamps,
            "session": stamps.tz_localize(None).normalize(),
            "open": close - 0.5,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": 1_000.0,
            "dividend": 0.0,
            "split": 1.0,
        }
    )
    return frame[list(PRICE_COLUMNS)]


def test_clean_bars_pass_unchanged():
    frame = pd.concat([bars("AAA"), bars("BBB")], ignore_index=True)
    assert validate_prices(frame) is frame


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("close", np.nan, "finite"),
        ("volume", np.inf, "finite"),
        ("open", 0.0, "positive"),
        ("low", -1.0, "positive"),
        ("high", 99.0, "enclose"),
        ("low", 103.9, "enclose"),
        ("volume", -1.0, "volume must not be negative"),
        ("split", 0.0, "split ratio"),
    ],
)
def test_a_bad_number_is_refused_with_its_row(column, value, rule):
    frame = bars()
    frame.loc[2, column] = value
    with pytest.raises(InvalidPrices, match=rule) as refused:
        validate_prices(frame)
    assert "row 2" in str(refused.value)
    assert "AAA" in str(refused.value)


def test_a_missing_column_is_named():
    with pytest.raises(InvalidPrices, match="missing dividend"):
        validate_prices(bars().drop(columns="dividend"))


def test_no_bars_at_all_are_refused():
    with pytest.raises(InvalidPrices, match="0 rows"):
        validate_prices(bars().iloc[:0])


def test_naive_timestamps_are_refused():
    frame = bars()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    with pytest.raises(InvalidPrices, match=r"datetime64\[ns, UTC\]"):
        validate_prices(frame)


@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4], [0, 1, 1, 2, 3]])
def test_disorder_and_duplicates_are_refused(order):
    with pytest.raises(InvalidPrices, match="strictly rising"):
        validate_prices(bars().iloc[order].reset_index(drop=True))


def test_interleaved_symbols_are_refused():
    frame = pd.concat([bars("AAA", 2), bars("BBB", 2), bars("AAA", 2)], ignore_index=True)
    with pytest.raises(InvalidPrices, match="stand together"):
        validate_prices(frame)


def test_opens_and_closes_outside_the_range_are_found_beyond_the_slack():
    ohlc = np.array(
        [
            [2.0, 3.0, 1.0, 2.0],
            [3.5, 3.0, 1.0, 2.0],
            [2.0, 3.0, 1.0, 3.5],
            [0.5, 3.0, 1.0, 2.0],
            [2.0, 3.0, 1.0, 0.5],
            [3.0, 3.0, 1.0, 1.0],
            [2.0, np.nan, 1.0, 2.0],
        ]
    )
    assert outside_range(ohlc).tolist() == [False, True, True, True, True, False, False]
    assert not outside_range(ohlc, 0.5).any()
    assert outside_range(ohlc, np.array([0.0, 0.4, 0.5, 0.4, 0.5, 0.0, 0.0])).tolist() == [
        *(False, True, False, True, False, False, False)
    ]
