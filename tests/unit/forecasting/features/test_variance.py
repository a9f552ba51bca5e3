"""Features of variance against slow twins; blind to the future, free of units, honest about ranges."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.features.build import FeatureSpec, build_features, features_of_bars
from forecasting.features.indicators import Bars
from forecasting.features.spec import MAX_ONE_HOT
from forecasting.features.variance import (
    DECAYS,
    FEATURE_PREFIXES,
    LEAST_RATIO,
    MEMORY,
    STATE_PREFIXES,
    WINDOWS,
    bar_variance,
    feature_names,
    state_names,
)
from forecasting.instants import nanoseconds
from forecasting.prices.adjustment import adjust
from forecasting.schema import OHLC, OHLCV
from tests.unit import oracles
from tests.unit.panels import panel, walk

BARS = 320
SPEC = FeatureSpec(variance=WINDOWS, decays=DECAYS)


def column(table, name):
    return table.values[:, table.names.index(name)]


def mean(series, window):
    """Mean of the last values, None where one is unknown."""
    means = []
    for t in range(len(series)):
        past = series[max(t - window + 1, 0) : t + 1]
        whole = len(past) == window and None not in past
        means.append(math.fsum(past) / window if whole else None)
    return means


def garman_klass(o, h, lo, c):
    reach, body = math.log(h / lo), math.log(c / o)
    return 0.5 * reach**2 - (2 * math.log(2) - 1) * body**2


def expected(prices):
    """Every feature of variance of one symbol, from its adjusted bars, value by value."""
    o, h, lo, c, _ = (adjust(prices)[name].tolist() for name in OHLCV)
    bars = range(len(c))
    scale = oracles.ewma_volatility(c)
    gap = [None] + [math.log(o[t] / c[t - 1]) for t in bars[1:]]
    returns = [None] + [math.log(c[t] / c[t - 1]) for t in bars[1:]]
    body = [math.log(c[t] / o[t]) for t in bars]
    square = [None if r is None else r**2 for r in returns]
    variance = [
        None if gap[t] is None else garman_klass(o[t], h[t], lo[t], c[t]) + gap[t] ** 2
        for t in bars
    ]

    def log_ratio(series):
        return [
            None
            if series[t] is None or scale[t] is None
            else math.log(max(series[t] / scale[t] ** 2, LEAST_RATIO))
            for t in bars
        ]

    def spread(series, window):
        spreads = []
        for t, centre in enumerate(mean(series, window)):
            past = series[max(t - window + 1, 0) : t + 1]
            spreads.append(
                None
                if centre is None
                else sum((value - centre) ** 2 for value in past) / (window - 1)
            )
        return spreads

    features = {f"variance_ratio_{window}": log_ratio(mean(variance, window)) for window in WINDOWS}
    ranges = [math.log(h[t] / lo[t]) ** 2 / (4 * math.log(2)) for t in bars]
    features["parkinson_ratio_21"] = log_ratio(mean(ranges, 21))
    satchell = [
        math.log(h[t] / c[t]) * math.log(h[t] / o[t])
        + math.log(lo[t] / c[t]) * math.log(lo[t] / o[t])
        for t in bars
    ]
    features["rogers_satchell_ratio_21"] = log_ratio(mean(satchell, 21))
    k = 0.34 / (1.34 + 22 / 20)
    parts = zip(spread(gap, 21), spread(body, 21), mean(satchell, 21), strict=True)
    features["yang_zhang_ratio_21"] = log_ratio(
        [None if None in part else part[0] + k * part[1] + (1 - k) * part[2] for part in parts]
    )
    losses = [None if r is None else min(r, 0.0) ** 2 for r in returns]
    for window in (5, 21, 63):
        both = zip(mean(losses, window), mean(square, window), strict=True)
        features[f"downside_share_{window}"] = [
            None if loss is None else loss / whole for loss, whole in both
        ]
    for window in (1, 5, 21):
        features[f"return_ratio_{window}"] = [
            None if t < window else math.log(c[t] / c[t - window]) / scale[t] / math.sqrt(window)
            for t in bars
        ]
    pairs = [None, None] + [abs(returns[t] * returns[t - 1]) for t in bars[2:]]
    both = zip(mean(pairs, 21), mean(square, 21), strict=True)
    features["jump_share_21"] = [
        None if pair is None else min(max(1 - math.pi / 2 * pair / whole, 0.0), 1.0)
        for pair, whole in both
    ]

    def weighted(series, decay):
        """Mean of the last year's values, weights decay^age, None where one is unknown."""
        means = []
        for t in bars:
            past = series[max(t - 251, 0) : t + 1][::-1]
            if len(past) < 252 or None in past:
                means.append(None)
                continue
            weights = [decay**age for age in range(252)]
            total = math.fsum(w * value for w, value in zip(weights, past, strict=True))
            means.append(total / math.fsum(weights))
        return means

    features["squared_return_ratio_252"] = log_ratio(mean(square, 252))
    for decay in DECAYS:
        features[f"squared_return_ratio_{decay}"] = log_ratio(weighted(square, decay))
        features[f"squared_loss_ratio_{decay}"] = log_ratio(weighted(losses, decay))
    features["range_known_21"] = mean([float(h[t] > lo[t]) for t in bars], 21)
    return features


PRICES = walk(bars=BARS, seed=7)
TABLE = build_features(PRICES, SPEC)
TWINS = expected(PRICES)


@pytest.mark.parametrize("name", [*feature_names(WINDOWS), *state_names(DECAYS)])
def test_a_feature_of_variance_equals_its_slow_twin(name):
    twin = np.array([math.nan if value is None else value for value in TWINS[name]])
    np.testing.assert_allclose(column(TABLE, name), twin, rtol=2e-5, atol=2e-6, equal_nan=True)


def test_without_windows_there_are_none_and_the_digest_is_that_of_older_specifications():
    plain = FeatureSpec()
    assert plain.averaged == ()
    assert "variance" not in plain.to_dict()
    assert not any(name.startswith(FEATURE_PREFIXES) for name in plain.names)
    assert FeatureSpec.from_dict(plain.to_dict()) == plain
    assert FeatureSpec.from_dict(SPEC.to_dict()) == SPEC
    market = [f"market_{name}" for name in SPEC.averaged]
    assert {*feature_names(WINDOWS), *state_names(DECAYS), *market} == {
        name for name in SPEC.names if name.startswith(FEATURE_PREFIXES)
    }
    wide = FeatureSpec(symbols=tuple(f"S{number}" for number in range(MAX_ONE_HOT + 1)))
    assert FeatureSpec.from_dict(wide.to_dict()).digest == wide.digest


def test_without_decays_a_specification_of_variance_is_what_it_was_before_there_were_any():
    plain = FeatureSpec(variance=WINDOWS)
    assert plain.digest == "2b365b1da8456847"
    assert "decays" not in plain.to_dict()
    assert FeatureSpec.from_dict(plain.to_dict()) == plain
    assert not any(name.startswith(STATE_PREFIXES) for name in plain.names)
    assert [name for name in SPEC.names if not name.startswith(STATE_PREFIXES)] == [*plain.names]
    assert SPEC.warmup_bars == plain.warmup_bars == MEMORY + 1


def test_the_state_of_a_recursion_is_the_same_whatever_came_more_than_a_year_before():
    short = FeatureSpec(variance=(1,), decays=DECAYS)
    prices = walk(bars=BARS, actions=False)
    whole = build_features(prices, short)
    year = build_features(prices.iloc[BARS - short.warmup_bars :].reset_index(drop=True), short)
    assert year.usable.sum() == 1
    for name in state_names(DECAYS):
        # The scale itself remembers more than a year, but next to nothing of it.
        assert column(year, name)[-1] == pytest.approx(column(whole, name)[-1], rel=1e-5, abs=1e-6)


def test_a_wide_range_of_a_year_tells_the_volatility_that_made_it():
    random = np.random.default_rng(3)
    true = 0.02
    steps = random.normal(0, true / math.sqrt(390), size=(2_000, 390))
    path = np.cumsum(steps.ravel()).reshape(steps.shape)
    opening = np.concatenate([[0.0], path[:-1, -1]])
    high, low = np.maximum(path.max(axis=1), opening), np.minimum(path.min(axis=1), opening)
    bars = Bars(
        *(np.exp(level) for level in (opening, high, low, path[:, -1])),
        np.ones(2_000),
        np.arange(2_000),
    )
    estimated = bar_variance(bars)[1:]
    squares = np.square(np.diff(np.log(bars.close)))
    # The range of n steps lacks 2 * 0.5826 / sqrt(n) deviations (Broadie, Glasserman and Kou 1997),
    # which at 390 takes a tenth off the estimate.
    assert estimated.mean() == pytest.approx(0.9 * true**2, rel=0.04)
    assert estimated.std() < 0.45 * squares.std()


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, BARS - 1), seed=st.integers(0, 2**16), jump=st.floats(1e-3, 1e3))
def test_the_past_does_not_move_when_the_future_changes(cut, seed, jump):
    prices = panel(bars=BARS)
    instants = np.sort(prices["timestamp"].unique())
    future = prices["timestamp"] >= instants[cut]
    other = prices.copy()
    noise = np.random.default_rng(seed).uniform(0.5, 2.0, int(future.sum()))
    for name in OHLC:
        other.loc[future, name] *= noise * jump
    was, now = build_features(prices, SPEC), build_features(other, SPEC)
    before = was.timestamps < instants[cut].value
    np.testing.assert_array_equal(now.values[before], was.values[before])
    np.testing.assert_array_equal(now.variance[before], was.variance[before])


def test_the_market_is_the_mean_over_the_symbols_of_the_instant_in_any_order():
    prices = panel(("AAA", "BBB", "CCC"), BARS)
    later = walk("DDD", BARS, seed=9, start="2020-01-01 22:00")
    order = ["CCC", "AAA", "DDD", "BBB"]
    whole = pd.concat([prices, later], ignore_index=True)
    shuffled = pd.concat([whole[whole["symbol"] == name] for name in order], ignore_index=True)
    table, other = build_features(whole, SPEC), build_features(shuffled, SPEC)
    for window in (1, 5, 21):
        own = column(table, f"variance_ratio_{window}")
        market = column(table, f"market_variance_ratio_{window}")
        apart = table.codes == table.symbols.index("DDD")
        np.testing.assert_allclose(market[apart], own[apart], atol=1e-6, equal_nan=True)
        together = own[~apart].reshape(3, BARS).mean(axis=0)
        np.testing.assert_allclose(
            market[~apart].reshape(3, BARS), np.tile(together, (3, 1)), atol=1e-6, equal_nan=True
        )
    for name in order:
        rows, others = (t.codes == t.symbols.index(name) for t in (table, other))
        np.testing.assert_array_equal(other.values[others], table.values[rows])


def test_bars_of_closes_alone_say_so_and_give_the_squared_return():
    prices = walk(bars=BARS, actions=False)
    for name in ("open", "high", "low"):
        prices[name] = prices["close"]
    table = build_features(prices, SPEC)
    returns = np.diff(np.log(prices["close"]))
    np.testing.assert_allclose(table.variance[1:], returns**2, rtol=1e-9)
    assert (column(table, "range_known_21")[20:] == 0.0).all()
    assert (column(TABLE, "range_known_21")[20:] == 1.0).all()
    assert table.usable[-1]


def test_bars_that_do_not_move_have_the_least_ratio_and_no_share():
    prices = walk(bars=BARS, actions=False)
    prices.loc[BARS - 25 :, list(OHLC)] = float(prices["close"].iloc[BARS - 26])
    table = build_features(prices, SPEC)
    assert np.isfinite(table.values[-1]).all()
    least = np.float32(math.log(LEAST_RATIO))
    assert column(table, "variance_ratio_5")[-1] == pytest.approx(least, rel=1e-4)
    assert column(table, "downside_share_5")[-1] == 0.5
    # Both averages fade alike while nothing moves: the decay of 0.94 is the scale's own.
    assert column(table, "squared_return_ratio_0.94")[-1] == pytest.approx(0.0, abs=1e-3)
    assert column(table, "squared_return_ratio_0.85")[-1] < -1.0
    assert column(table, "jump_share_21")[-1] == 0.0


@pytest.mark.parametrize("factor", [1e-6, 3.7, 1e5])
def test_features_of_variance_do_not_depend_on_the_unit_of_price(factor):
    scaled = PRICES.copy()
    for name in (*OHLC, "dividend"):
        scaled[name] *= factor
    other = build_features(scaled, SPEC)
    np.testing.assert_allclose(other.values, TABLE.values, rtol=2e-5, atol=2e-6)


def test_a_callers_own_bars_get_the_same_features():
    prices = walk(bars=BARS, actions=False)
    table = build_features(prices, SPEC)
    values, scale, _ = features_of_bars(
        nanoseconds(prices["timestamp"]), prices[list(OHLCV)].to_numpy(), SPEC
    )
    np.testing.assert_array_equal(values, table.values[-1])
    assert scale == table.scale[-1]
