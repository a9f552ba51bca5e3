"""Features: right against slow twins, blind to the future, free of units."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidPrices, ShortHistory
from forecasting.features.build import (
    MIN_SCALE,
    FeatureSpec,
    FeatureTable,
    build_features,
    features_of_bars,
)
from forecasting.prices.adjustment import adjust
from forecasting.schema import OHLC, OHLCV
from tests.unit import oracles
from tests.unit.forecasting.features.test_indicators import BARS, SPEC, column
from tests.unit.panels import panel, walk


def test_ranks_equal_the_slow_twin_ties_and_gaps_included():
    frames = [walk(f"S{i}", 60, seed=i) for i in range(7)]
    frames[2]["volume"] = 0.0
    frames[3]["volume"] = 0.0  # two constant volumes tie
    frames[4] = frames[4].drop(index=[40, 41]).reset_index(drop=True)
    frames[5]["timestamp"] += pd.Timedelta(hours=5)  # closes alone
    table = build_features(pd.concat(frames, ignore_index=True), SPEC)
    for name in SPEC.ranked:
        values = [None if math.isnan(v) else v for v in column(table, name).tolist()]
        twin = oracles.ranks(table.timestamps.tolist(), values)
        found = column(table, f"rank_{name}")
        np.testing.assert_allclose(
            found, [math.nan if v is None else v for v in twin], rtol=1e-6, equal_nan=True
        )
        alone = column(table, f"rank_{name}")[table.codes == 5]
        assert set(alone[~np.isnan(alone)]) == {0.5}


def test_a_later_close_of_the_same_session_does_not_enter_a_rank():
    taipei = walk("2330.TW", 40, seed=1, start="2020-01-01 05:30")
    new_york = walk("AAPL", 40, seed=2, start="2020-01-01 21:00")
    table = build_features(pd.concat([taipei, new_york], ignore_index=True), SPEC)
    ranks = column(table, "rank_log_return_21")
    assert set(ranks[~np.isnan(ranks)]) == {0.5}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cut=st.integers(1, BARS - 1),
    seed=st.integers(0, 2**16),
    jump=st.floats(1e-3, 1e3),
    split=st.floats(0.05, 20.0),
    truncate=st.booleans(),
)
def test_features_of_the_past_do_not_move_when_the_future_changes(cut, seed, jump, split, truncate):
    prices = panel(bars=BARS)
    instants = np.sort(prices["timestamp"].unique())
    future = prices["timestamp"] >= instants[cut]
    if truncate:
        other = prices[~future].reset_index(drop=True)
    else:
        other = prices.copy()
        noise = np.random.default_rng(seed).uniform(0.5, 2.0, int(future.sum()))
        for name in OHLC:
            other.loc[future, name] *= noise * jump
        other.loc[future, "volume"] *= noise * 1e4
        first = future & (prices["timestamp"] == instants[cut])
        other.loc[first, "split"] = split
        other.loc[first, "dividend"] = jump
    was = build_features(prices, SPEC)
    now = build_features(other, SPEC)
    before = was.timestamps < instants[cut].value
    same = now.timestamps < instants[cut].value
    np.testing.assert_array_equal(now.values[same], was.values[before])
    np.testing.assert_array_equal(now.scale[same], was.scale[before])
    np.testing.assert_array_equal(now.usable[same], was.usable[before])


def test_the_leak_test_would_catch_a_centred_window():
    prices = walk(bars=BARS)
    close = adjust(prices)["close"]
    leaky = close / close.rolling(5, center=True).mean()
    changed = close.copy()
    changed[200:] *= 2.0
    moved = changed / changed.rolling(5, center=True).mean()
    assert not np.array_equal(leaky[:200], moved[:200], equal_nan=True)


def test_the_order_of_symbols_does_not_change_values():
    prices = panel(("AAA", "BBB", "CCC"))
    order = ["CCC", "AAA", "BBB"]
    shuffled = pd.concat([prices[prices["symbol"] == s] for s in order], ignore_index=True)
    spec = FeatureSpec(symbols=("AAA", "BBB", "CCC"))
    table, other = build_features(prices, spec), build_features(shuffled, spec)
    assert other.symbols == tuple(order)
    for symbol in order:
        rows = table.codes == table.symbols.index(symbol)
        others = other.codes == other.symbols.index(symbol)
        np.testing.assert_array_equal(other.values[others], table.values[rows])


@pytest.mark.parametrize("factor", [1e-6, 0.01, 3.7, 1e5])
def test_features_do_not_depend_on_the_unit_of_price(factor):
    prices = walk(bars=BARS)
    scaled = prices.copy()
    for name in (*OHLC, "dividend"):
        scaled[name] *= factor
    table, other = build_features(prices, SPEC), build_features(scaled, SPEC)
    np.testing.assert_allclose(other.values, table.values, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(other.usable, table.usable)


def test_another_symbol_moves_only_ranks():
    one, two = walk("AAA", BARS, seed=0), walk("BBB", BARS, seed=1)
    alone = build_features(one, SPEC)
    both = build_features(pd.concat([one, two], ignore_index=True), SPEC)
    for name in SPEC.names:
        same = np.array_equal(column(both, name)[:BARS], column(alone, name), equal_nan=True)
        assert same is not name.startswith("rank_"), name


def test_constant_volume_and_no_volume_are_neutral():
    for volume in (0.0, 12_345_678.0):
        prices = walk(bars=BARS, actions=False)
        prices["volume"] = volume
        table = build_features(prices, SPEC)
        for window in SPEC.volume:
            assert (column(table, f"volume_zscore_{window}")[window:] == 0.0).all()
        assert table.usable[-1]


def test_constant_prices_are_unusable_and_never_infinite():
    prices = walk(bars=BARS, actions=False)
    for name in OHLC:
        prices[name] = 17.3
    table = build_features(prices, SPEC)
    assert not np.isinf(table.values).any()
    assert not table.usable.any()
    settled = table.values[SPEC.warmup_bars :]
    assert np.isfinite(settled).all()
    for name in ("rsi_14", "bollinger_position_20", "bollinger_width_20", "close_location"):
        assert (column(table, name)[SPEC.warmup_bars :] == 0.0).all()


def test_a_price_that_stands_still_for_long_becomes_unusable_and_recovers():
    prices = walk(bars=900, actions=False, seed=5)
    for name in OHLC:
        prices.loc[300:600, name] = 100.0
    table = build_features(prices, SPEC)
    assert table.usable[299]
    assert not table.usable[600]
    assert table.scale[600] < MIN_SCALE
    assert table.usable[620]
    assert np.isfinite(table.values[300:]).all()


def test_rows_are_usable_from_the_warm_up_on():
    table = build_features(panel(bars=300), SPEC)
    assert SPEC.warmup_bars == 253
    for code in range(3):
        usable = table.usable[table.codes == code]
        assert not usable[:252].any()
        assert usable[252:].all()


def test_a_symbol_with_too_few_bars_has_no_usable_row_and_harms_nobody():
    frames = [walk("AAA", 300), walk("NEW", 1, seed=1), walk("ONE", 2, seed=2)]
    table = build_features(pd.concat(frames, ignore_index=True), SPEC)
    assert table.usable[table.codes == 0].sum() == 48
    assert not table.usable[table.codes > 0].any()


def test_known_symbols_get_a_column_each_and_others_zeros():
    spec = FeatureSpec(symbols=("AAA", "BBB"))
    table = build_features(panel(("AAA", "ZZZ"), bars=5), spec)
    assert spec.names[-2:] == ("symbol_AAA", "symbol_BBB")
    np.testing.assert_array_equal(table.values[:5, -2:], [[1.0, 0.0]] * 5)
    np.testing.assert_array_equal(table.values[5:, -2:], [[0.0, 0.0]] * 5)


@settings(max_examples=10, deadline=None)
@given(
    names=st.lists(st.text("ABCXYZ.-", min_size=1), min_size=33, max_size=36, unique=True),
    seed=st.integers(0, 99),
)
def test_of_more_than_32_symbols_no_feature_depends_on_the_name(names, seed):
    bars = 5
    plain = panel(tuple(f"S{i:02d}" for i in range(len(names))), bars)
    renamed = plain.assign(symbol=np.repeat(names, bars))
    place = np.random.default_rng(seed).permutation(len(names))
    rows = (place[:, None] * bars + np.arange(bars)).ravel()
    was = build_features(plain, FeatureSpec(symbols=tuple(plain["symbol"].unique())))
    spec = FeatureSpec(symbols=tuple(sorted(names)))
    now = build_features(renamed.iloc[rows].reset_index(drop=True), spec)
    assert now.names == was.names == FeatureSpec().names
    np.testing.assert_array_equal(now.values, was.values[rows])


def test_an_older_specification_of_40_symbols_keeps_its_column_and_its_digest():
    names = [f"S{i:02d}" for i in range(40)]
    values = FeatureSpec().to_dict() | {"symbols": names}
    older = FeatureSpec.from_dict(values)
    assert older.to_dict() == values
    assert older.digest == "9155c79e6858eb62"
    assert older.names == (*FeatureSpec().names, "symbol_code")
    table = build_features(panel(("S32", "ZZZ"), bars=5), older)
    assert table.values[:, -1].tolist() == [32.0] * 5 + [-1.0] * 5


def test_own_bars_of_an_older_specification_of_40_symbols_get_its_column_too():
    names = [f"S{i:02d}" for i in range(40)]
    older = FeatureSpec.from_dict(FeatureSpec().to_dict() | {"symbols": names})
    prices = walk(bars=260, actions=False)
    stamps, bars = build_features(prices, older).timestamps, prices[list(OHLCV)].to_numpy()
    known, _, _ = features_of_bars(stamps, bars, older, "S07")
    assert known[-1] == 7.0
    stranger, _, _ = features_of_bars(stamps, bars, older)
    assert stranger[-1] == -1.0
    newer = FeatureSpec(symbols=tuple(names))
    for symbol in ("", "S07"):
        values, _, _ = features_of_bars(stamps, bars, newer, symbol)
        np.testing.assert_array_equal(values, known[:-1])


def test_hourly_bars_know_the_hour_and_midnight_closes_belong_to_the_day_they_end():
    hourly = build_features(walk(bars=30, freq="h"), FeatureSpec(interval="1h"))
    assert "hour_of_day_sin" in hourly.names
    sine, _ = oracles.circle(20, 24)  # the bar that closes at 21:00
    assert column(hourly, "hour_of_day_sin")[0] == pytest.approx(sine, abs=1e-6)
    midnight = build_features(walk(bars=3, start="2024-01-06 00:00", freq="D"), SPEC)
    sine, _ = oracles.circle(4, 7)  # Saturday 00:00 closes Friday
    assert column(midnight, "day_of_week_sin")[0] == pytest.approx(sine, abs=1e-6)


@pytest.mark.parametrize("bars", [253, 300, 777])
def test_a_callers_own_bars_give_the_row_of_a_panel_of_one_bit_for_bit(bars):
    spec = FeatureSpec(symbols=("AAA", "BBB"))
    prices = walk("BBB", bars, actions=False)
    table = build_features(prices, spec)
    values, scale, close = features_of_bars(
        table.timestamps, prices[list(OHLCV)].to_numpy(), spec, "BBB"
    )
    np.testing.assert_array_equal(values, table.values[-1])
    assert values.dtype == np.float32
    assert scale == table.scale[-1]
    assert close == prices["close"].iloc[-1]


def test_a_callers_unknown_symbol_gets_zeros():
    spec = FeatureSpec(symbols=("AAA",))
    prices = walk(bars=260, actions=False)
    stamps = build_features(prices, spec).timestamps
    values, _, _ = features_of_bars(stamps, prices[list(OHLCV)].to_numpy(), spec)
    assert values[-1] == 0.0


def test_too_few_own_bars_are_refused_with_both_numbers():
    prices = walk(bars=252, actions=False)
    stamps = prices["timestamp"].astype("int64").to_numpy()
    with pytest.raises(ShortHistory, match="needs 253 bars: got 252"):
        features_of_bars(stamps, prices[list(OHLCV)].to_numpy(), SPEC)


def test_own_bars_that_stand_still_are_refused():
    stamps = walk(bars=300)["timestamp"].astype("int64").to_numpy()
    with pytest.raises(InvalidPrices, match="prices that move"):
        features_of_bars(stamps, np.ones((300, 5)), SPEC)


def test_own_bars_out_of_order_are_refused():
    prices = walk(bars=300, actions=False)
    stamps = prices["timestamp"].astype("int64").to_numpy()[::-1]
    with pytest.raises(InvalidPrices, match="rising time order"):
        features_of_bars(stamps, prices[list(OHLCV)].to_numpy(), SPEC)


def test_a_duplicate_bar_is_refused():
    prices = walk(bars=10)
    prices.loc[5, "timestamp"] = prices.loc[4, "timestamp"]
    with pytest.raises(InvalidPrices, match="first bar 5"):
        build_features(prices, SPEC)


def test_a_table_survives_a_round_trip_through_parquet(tmp_path):
    table = build_features(panel(bars=260), FeatureSpec(symbols=("AAA", "BBB", "CCC")))
    table.to_frame().to_parquet(tmp_path / "features.parquet", index=False)
    back = FeatureTable.from_frame(pd.read_parquet(tmp_path / "features.parquet"))
    assert (back.symbols, back.names) == (table.symbols, table.names)
    for name in ("codes", "timestamps", "sessions", "close", "scale", "values", "usable"):
        found, was = getattr(back, name), getattr(table, name)
        assert found.dtype == was.dtype, name
        np.testing.assert_array_equal(found, was)


def test_a_frame_without_scale_is_no_feature_frame():
    frame = build_features(walk(bars=5), SPEC).to_frame().drop(columns="scale")
    with pytest.raises(InvalidPrices, match="missing scale"):
        FeatureTable.from_frame(frame)
