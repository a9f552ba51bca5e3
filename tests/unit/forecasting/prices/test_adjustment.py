"""Total-return adjustment: right against the share-counting twin, and blind to the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidPrices
from forecasting.prices.adjustment import adjust, symbol_bounds
from forecasting.schema import OHLC, validate_prices
from tests.unit import oracles
from tests.unit.panels import panel, walk


def test_adjusted_closes_are_the_worth_of_a_reinvested_share():
    prices = panel(bars=150)
    adjusted = adjust(prices)
    for symbol, rows in prices.groupby("symbol"):
        worth = oracles.total_return_prices(
            rows["close"].tolist(), rows["dividend"].tolist(), rows["split"].tolist()
        )
        found = adjusted.loc[adjusted["symbol"] == symbol, "close"]
        np.testing.assert_allclose(found, worth, rtol=1e-12)


def test_a_split_leaves_no_jump_in_price_or_volume():
    prices = walk(bars=130)
    prices.loc[:, ["open", "high", "low", "close"]] = 100.0
    prices.loc[120:, ["open", "high", "low", "close"]] = 25.0
    prices["volume"] = np.where(prices.index < 120, 1_000.0, 4_000.0)
    prices["dividend"] = 0.0
    adjusted = adjust(prices)
    assert (adjusted["close"] == 100.0).all()
    assert (adjusted["volume"] == 1_000.0).all()


def test_a_dividend_counts_as_return_on_its_ex_date():
    prices = walk(bars=3, actions=False)
    prices.loc[:, ["open", "high", "low", "close"]] = 100.0
    prices.loc[1:, ["open", "high", "low", "close"]] = 98.0
    prices.loc[1, "dividend"] = 2.0
    close = adjust(prices)["close"].to_numpy()
    np.testing.assert_allclose(close, 100.0, rtol=1e-15)


def test_adjusted_prices_keep_the_contract_and_adjusting_twice_changes_nothing():
    once = adjust(panel())
    validate_prices(once)
    pd.testing.assert_frame_equal(adjust(once), once)


def test_prices_without_actions_stay_as_they_are():
    prices = walk(actions=False)
    pd.testing.assert_frame_equal(adjust(prices), prices)


def test_the_input_is_left_alone():
    prices = walk()
    before = prices.copy(deep=True)
    adjust(prices)
    pd.testing.assert_frame_equal(prices, before)


@settings(deadline=None)  # a busy machine is no failure
@given(cut=st.integers(1, 199), split=st.floats(0.01, 100.0), dividend=st.floats(0.0, 50.0))
def test_the_future_does_not_move_adjusted_prices_of_the_past(cut, split, dividend):
    prices = walk(bars=200)
    other = prices.copy()
    other.loc[cut:, "split"] = split ** (1.0 / 50.0)
    other.loc[cut:, "dividend"] = dividend
    columns = [*OHLC, "volume"]
    past = adjust(prices)[columns].to_numpy()[:cut]
    np.testing.assert_array_equal(adjust(other)[columns].to_numpy()[:cut], past)
    np.testing.assert_array_equal(adjust(prices[:cut])[columns].to_numpy(), past)


def test_bounds_divide_the_rows_by_symbol():
    prices = pd.concat([walk("AAA", 3), walk("BBB", 5)], ignore_index=True)
    assert symbol_bounds(prices).tolist() == [0, 3, 8]


def test_interleaved_symbols_are_refused():
    prices = pd.concat([walk("AAA", 3), walk("BBB", 3), walk("AAA", 3)], ignore_index=True)
    with pytest.raises(InvalidPrices, match="must stand together"):
        adjust(prices)


def test_an_empty_frame_is_refused():
    with pytest.raises(InvalidPrices, match="at least one bar"):
        adjust(walk(bars=3)[:0])
