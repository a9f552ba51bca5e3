"""Indicators against slow twins in plain Python."""

import math

import numpy as np
import pandas as pd
import pytest

from forecasting.features.build import (
    FeatureSpec,
    FeatureTable,
    build_features,
)
from forecasting.prices.adjustment import adjust
from forecasting.schema import OHLC, OHLCV
from tests.unit import oracles
from tests.unit.panels import walk

SPEC = FeatureSpec()


BARS = 320


def column(table: FeatureTable, name: str) -> np.ndarray:
    return table.values[:, table.names.index(name)]


def expected(prices: pd.DataFrame) -> dict[str, oracles.Maybe]:
    """Every feature of one symbol, ranks and identity aside, by the slow twins."""
    adjusted = adjust(prices)
    o, h, lo, c, v = (adjusted[name].tolist() for name in OHLCV)
    features: dict[str, oracles.Maybe] = {}
    for window in SPEC.returns:
        features[f"log_return_{window}"] = oracles.log_return(c, window)
    for window in SPEC.sma:
        features[f"close_to_sma_{window}"] = oracles.close_to(c, oracles.sma(c, window))
    for window in SPEC.ema:
        features[f"close_to_ema_{window}"] = oracles.close_to(c, oracles.ema(c, window))
    for window in SPEC.extremes:
        features[f"close_to_high_{window}"] = oracles.close_to(c, oracles.highest(h, window))
        features[f"close_to_low_{window}"] = oracles.close_to(c, oracles.lowest(lo, window))
    for window in SPEC.rsi:
        features[f"rsi_{window}"] = oracles.rsi(c, window)
    lines = oracles.macd(c, *SPEC.macd)
    for name, line in zip(("macd", "macd_signal", "macd_histogram"), lines, strict=True):
        features[f"{name}_12_26_9"] = line
    for window in SPEC.bollinger:
        position, width = oracles.bollinger(c, window)
        features[f"bollinger_position_{window}"] = position
        features[f"bollinger_width_{window}"] = width
    for window in SPEC.atr:
        features[f"atr_{window}"] = oracles.atr(h, lo, c, window)
    for window in SPEC.volatility:
        features[f"realised_volatility_{window}"] = oracles.stddev(oracles.log_return(c, 1), window)
    features["ewma_volatility"] = oracles.ewma_volatility(c)
    for window in SPEC.volume:
        features[f"volume_zscore_{window}"] = oracles.volume_zscore(v, window)
    features["intraday_range"] = [math.log(h[t] / lo[t]) for t in range(len(c))]
    features["overnight_gap"] = oracles.overnight_gap(o, c)
    features["close_location"] = oracles.close_location(h, lo, c)
    days = [oracles.day_before(stamp) for stamp in prices["timestamp"].astype("int64")]
    week = [oracles.circle(day.weekday(), 7) for day in days]
    year = [oracles.circle(day.month - 1, 12) for day in days]
    for name, circles in (("day_of_week", week), ("month", year)):
        features[f"{name}_sin"] = [sine for sine, _ in circles]
        features[f"{name}_cos"] = [cosine for _, cosine in circles]
    return features


ORACLE_PRICES = walk(bars=BARS, seed=7)


ORACLE_TABLE = build_features(ORACLE_PRICES, SPEC)


ALONE = [name for name in SPEC.names if not name.startswith("rank_")]


@pytest.fixture(scope="module")
def twins() -> dict[str, oracles.Maybe]:
    return expected(ORACLE_PRICES)


@pytest.mark.parametrize("name", ALONE)
def test_an_indicator_equals_its_slow_twin(twins, name):
    twin = np.array([math.nan if value is None else value for value in twins[name]])
    np.testing.assert_allclose(
        column(ORACLE_TABLE, name), twin, rtol=1e-5, atol=2e-7, equal_nan=True
    )


def test_there_is_a_twin_for_every_feature(twins):
    assert set(twins) == set(ALONE)
    assert 36 <= len(SPEC.names) <= 44


def test_the_scale_is_the_ewma_volatility_in_double_precision(twins):
    twin = np.array(twins["ewma_volatility"][1:])
    np.testing.assert_allclose(ORACLE_TABLE.scale[1:], twin, rtol=1e-12)
    assert math.isnan(ORACLE_TABLE.scale[0])


def test_indicators_stay_accurate_over_a_long_history_with_a_thousandfold_fall():
    prices = walk(bars=1_500, seed=3, actions=False)
    prices.loc[700:, list(OHLC)] /= 1_000.0
    table = build_features(prices, SPEC)
    late = prices.iloc[1_200:].reset_index(drop=True)
    close, high, low = (late[name].tolist() for name in ("close", "high", "low"))
    for name, twin in (
        ("bollinger_position_20", oracles.bollinger(close, 20)[0]),
        ("bollinger_width_20", oracles.bollinger(close, 20)[1]),
        ("close_to_sma_200", oracles.close_to(close, oracles.sma(close, 200))),
        ("close_to_low_252", oracles.close_to(close, oracles.lowest(low, 252))),
        ("close_to_high_252", oracles.close_to(close, oracles.highest(high, 252))),
        ("realised_volatility_63", oracles.stddev(oracles.log_return(close, 1), 63)),
    ):
        np.testing.assert_allclose(column(table, name)[-40:], twin[-40:], rtol=1e-5, atol=2e-7)
