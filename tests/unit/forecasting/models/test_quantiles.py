"""Vectorised forecasts against loops that do the same one number at a time."""

import math

import numpy as np
import pytest

from forecasting.errors import InvalidRequest
from forecasting.models.conformal import quantiles_of
from forecasting.models.quantiles import (
    GRID,
    KNOTS,
    QuantileTable,
    grid_columns,
    interpolation_matrix,
    sides,
    signals,
)
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS
from tests.unit.oracles import probability_above


@pytest.fixture(scope="module")
def calibration():
    random = np.random.default_rng(3)
    residuals = random.standard_t(4, (400, MAX_HORIZON)) + 0.05
    return np.quantile(residuals, GRID, axis=0).T


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(4)
    loc = random.normal(scale=0.3, size=(7, len(KNOTS)))
    return loc, random.uniform(0.005, 0.05, 7), random.uniform(10, 500, 7)


def slow_loc(knot_locations, horizon):
    if horizon in KNOTS:
        return knot_locations[KNOTS.index(horizon)]
    right = next(place for place, knot in enumerate(KNOTS) if knot > horizon)
    low, high = KNOTS[right - 1], KNOTS[right]
    share = (horizon - low) / (high - low)
    return knot_locations[right - 1] * (1 - share) + knot_locations[right] * share


def slow_cdf(quantiles, point):
    if point < quantiles[0]:
        return 0.005
    if point >= quantiles[-1]:
        return 0.995
    place = max(i for i, quantile in enumerate(quantiles) if quantile <= point)
    low, high = quantiles[place], quantiles[place + 1]
    return GRID[place] + (point - low) / (high - low) * (GRID[place + 1] - GRID[place])


def test_locations_between_knots_are_interpolated_linearly(rows):
    loc, _, _ = rows
    fast = loc @ interpolation_matrix(MAX_HORIZON)
    for row, knots in enumerate(loc):
        for horizon in range(1, MAX_HORIZON + 1):
            assert fast[row, horizon - 1] == pytest.approx(slow_loc(knots, horizon), abs=1e-12)


def test_quantiles_of_returns_and_prices_equal_the_formula(rows, calibration):
    loc, scale, close = rows
    table = QuantileTable.of(calibration)
    fast, prices = table.returns(loc, scale), table.prices(loc, scale, close)
    for row in range(len(loc)):
        for horizon in range(1, MAX_HORIZON + 1):
            for place, level in enumerate(QUANTILE_LEVELS):
                quantile = calibration[horizon - 1, GRID.index(level)]
                expected = (
                    scale[row] * math.sqrt(horizon) * (slow_loc(loc[row], horizon) + quantile)
                )
                assert fast[row, horizon - 1, place] == pytest.approx(expected, abs=1e-13)
                assert prices[row, horizon - 1, place] == pytest.approx(
                    close[row] * math.exp(expected), rel=1e-12
                )


@pytest.mark.parametrize("threshold", [0.0, 0.001, -0.02, 0.5, -0.5])
def test_probabilities_equal_the_interpolated_distribution(rows, calibration, threshold):
    loc, scale, _ = rows
    fast = probability_above(loc, scale, calibration, threshold)
    for row in range(len(loc)):
        for horizon in range(1, MAX_HORIZON + 1):
            point = threshold / (scale[row] * math.sqrt(horizon)) - slow_loc(loc[row], horizon)
            expected = 1 - slow_cdf(calibration[horizon - 1], point)
            assert fast[row, horizon - 1] == pytest.approx(expected, abs=1e-10)


def test_the_hot_path_gives_what_the_general_functions_give(rows, calibration):
    loc, scale, _ = rows
    table = QuantileTable.of(calibration)
    assert np.allclose(table.rise(loc), probability_above(loc, scale, calibration), atol=1e-12)
    above, below = table.beyond(loc, scale, 0.001, 5)
    expected = probability_above(loc, scale, calibration, 0.001)[:, 4]
    assert np.allclose(above, expected, atol=1e-10)
    expected = 1 - probability_above(loc, scale, calibration, -0.001)[:, 4]
    assert np.allclose(below, expected, atol=1e-10)


@pytest.mark.parametrize("horizon", [1, 12, None])
def test_a_forecast_at_once_is_that_of_each_part_alone(rows, calibration, horizon):
    loc, scale, close = rows
    table = QuantileTable.of(calibration)
    for wide in (None, loc[::-1] * 0.5):
        prices, rise, beyond = table.forecast(
            loc, scale, close, horizon, wide, cost=0.001, signal_horizon=5
        )
        np.testing.assert_allclose(beyond, table.beyond(loc, scale, 0.001, 5, wide), rtol=1e-12)
        assert np.array_equal(prices, table.prices(loc, scale, close, horizon, wide))
        assert np.array_equal(rise, table.rise(loc, horizon, wide))
        assert prices.flags.c_contiguous  # it is written out as it lies in memory


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(rows, calibration):
    loc, scale, close = rows
    table = QuantileTable.of(calibration)
    full = table.prices(loc, scale, close)
    for horizon in (1, 7, 29):
        assert np.allclose(table.prices(loc, scale, close, horizon), full[:, :horizon], rtol=1e-14)
        assert np.allclose(table.rise(loc, horizon), table.rise(loc)[:, :horizon], rtol=1e-14)


def test_the_random_walks_median_is_the_last_close_and_its_rise_even():
    z = np.random.default_rng(5).normal(size=(300, MAX_HORIZON))
    table = QuantileTable.of(quantiles_of(z))
    close = np.array([101.37])
    prices = table.prices(np.zeros((1, len(KNOTS))), np.array([0.02]), close)
    assert (prices[0, :, 2] == close[0]).all()
    assert (table.rise(np.zeros((1, len(KNOTS)))) == 0.5).all()


def test_a_flat_stretch_of_the_calibration_counts_as_not_above():
    z = np.random.default_rng(6).normal(size=(300, MAX_HORIZON))
    z[:60] = 0.0  # a fifth of the bars did not move
    table = QuantileTable.of(np.quantile(z, GRID, axis=0, method="weibull").T)
    moved_up = table.rise(np.zeros((1, len(KNOTS))))
    assert np.allclose(moved_up, (z > 0).mean(axis=0), atol=0.011)


@pytest.mark.parametrize(
    ("above", "below", "word"),
    [
        (0.60, 0.30, "buy"),
        (0.55, 0.40, "buy"),
        (0.5499, 0.40, "hold"),
        (0.30, 0.56, "sell"),
        (0.45, 0.45, "hold"),
    ],
)
def test_a_signal_needs_its_probability(above, below, word):
    assert signals(np.array([above]), np.array([below]), 0.55) == [word]


def test_sides_and_words_agree_row_by_row():
    above = np.array([0.7, 0.1, 0.5])
    below = np.array([0.2, 0.8, 0.4])
    assert sides(above, below, 0.55).tolist() == [1, -1, 0]
    assert signals(above, below, 0.55) == ["buy", "sell", "hold"]


@pytest.mark.parametrize("horizon", [0, 31, -1])
def test_a_horizon_out_of_range_is_refused(horizon):
    with pytest.raises(InvalidRequest, match="1 to 30"):
        interpolation_matrix(horizon)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.055, 0.999, math.nan])
def test_a_level_off_the_grid_is_refused(level):
    with pytest.raises(InvalidRequest, match="grid"):
        grid_columns([0.5, level])


OLD_GRID = tuple(percent / 100 for percent in range(1, 100))


def test_published_quantiles_are_bit_for_bit_those_of_the_grid_of_before(rows, calibration):
    loc, scale, close = rows
    log_width = loc[::-1] * 0.5
    new = QuantileTable.of(calibration)
    old = QuantileTable.of(calibration[:, 1:-1], grid=OLD_GRID)
    for wide in (None, log_width):
        before, now = (table.prices(loc, scale, close, log_width=wide) for table in (old, new))
        assert np.array_equal(before, now)
        inside = (old.rise(loc, log_width=wide) > 0.01) & (old.rise(loc, log_width=wide) < 0.99)
        assert inside.mean() > 0.9
        rises = (table.rise(loc, log_width=wide)[inside] for table in (old, new))
        np.testing.assert_allclose(*rises, atol=1e-12)


def test_probabilities_reach_as_far_as_the_grid_of_the_calibration(rows, calibration):
    loc, scale, _ = rows
    for table, end in (
        (QuantileTable.of(calibration), 0.005),
        (QuantileTable.of(calibration[:, 1:-1], grid=OLD_GRID), 0.01),
    ):
        far = np.full_like(loc, 1e3)
        assert np.allclose(table.rise(far), 1 - end, atol=1e-12)
        assert np.allclose(table.rise(-far), end, atol=1e-12)
        above, below = table.beyond(far, scale, 0.001, 5)
        assert np.allclose(above, 1 - end, atol=1e-12)
        assert np.allclose(below, end, atol=1e-12)
    between = QuantileTable.of(calibration)
    point = np.broadcast_to((calibration[:, 0] + calibration[:, 1]) / 2, (1, MAX_HORIZON))
    assert np.allclose(between.distribution(point), 0.0075, atol=1e-9)


def test_a_table_takes_grid_knots_and_horizons_as_they_come():
    random = np.random.default_rng(11)
    knots, grid = (1, 4, 60, 250), (0.02, 0.05, 0.25, 0.4, 0.5, 0.75, 0.95)
    calibration = np.sort(random.normal(size=(250, len(grid))), axis=1)
    table = QuantileTable.of(calibration, grid=grid, knots=knots)
    loc, log_width = random.normal(size=(3, 4)), random.normal(scale=0.3, size=(3, 4))
    scale = np.array([0.01, 0.02, 0.03])
    returns = table.returns(loc, scale, log_width=log_width)
    assert returns.shape == (3, 250, 5)
    rise = table.rise(loc, log_width=log_width)
    for row in range(3):
        for horizon in (1, 2, 59, 60, 61, 250):
            centre = np.interp(horizon, knots, loc[row])
            width = np.exp(np.interp(horizon, knots, log_width[row]))
            for place, column in enumerate((1, 2, 4, 5, 6)):
                unit = centre + width * calibration[horizon - 1, column]
                expected = scale[row] * math.sqrt(horizon) * unit
                assert returns[row, horizon - 1, place] == pytest.approx(expected, abs=1e-12)
            below = np.interp(-centre / width, calibration[horizon - 1], grid)
            assert rise[row, horizon - 1] == pytest.approx(1 - below, abs=1e-9)


def test_a_calibration_of_another_grid_or_beyond_the_knots_is_refused(calibration):
    with pytest.raises(InvalidRequest, match="101 columns, 99 levels"):
        QuantileTable.of(calibration, grid=OLD_GRID)
    with pytest.raises(InvalidRequest, match="from 1 to 20"):
        QuantileTable.of(calibration, knots=(1, 20))
