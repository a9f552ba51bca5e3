"""Conformal quantiles against sorted residuals, and the promises they make."""

import numpy as np
import pytest

from forecasting.errors import ShortHistory
from forecasting.models.calibration import quantiles_of
from forecasting.models.quantiles import GRID, KNOTS, interpolation_matrix

HORIZONS = 30


def calibrate(z, loc):
    return quantiles_of(z - loc @ interpolation_matrix(HORIZONS))


def draw(rows, seed=0, *, heavy=True):
    random = np.random.default_rng(seed)
    noise = random.standard_t(4, (rows, HORIZONS)) if heavy else random.normal(size=(rows, 30))
    return noise, random.normal(scale=0.1, size=(rows, len(KNOTS)))


def test_levels_are_the_order_statistics_of_the_absolute_residuals_and_their_mirror_image():
    z, loc = draw(199)
    calibration = calibrate(z, loc)
    residuals = z - loc @ interpolation_matrix(HORIZONS)
    for row in range(HORIZONS):
        ordered = sorted(abs(residuals[:, row]))
        for column, level in enumerate(GRID):
            place = round(abs(2 * level - 1) * 200)  # the p * (m + 1)-th, here a whole number
            half = ordered[place - 1] if place else 0.0
            expected = half if level > 0.5 else -half
            assert calibration[row, column] == pytest.approx(expected, abs=1e-12)


def test_levels_rise_mirror_and_have_a_median_of_exactly_zero():
    z, loc = draw(137)
    calibration = calibrate(z + 0.3, loc)
    assert (np.diff(calibration, axis=1) >= 0).all()
    assert (calibration[:, 49] == 0).all()
    assert np.array_equal(calibration, -calibration[:, ::-1])
    within = np.abs(z + 0.3 - loc @ interpolation_matrix(HORIZONS)) <= calibration[:, 94:95].T
    assert np.allclose(within.mean(axis=0), 0.9, atol=0.01)


def test_returns_that_are_not_known_yet_do_not_count():
    z, loc = draw(400)
    holed = z.copy()
    holed[-30:, :] = np.nan
    assert np.array_equal(calibrate(holed, loc), calibrate(z[:-30], loc[:-30]))


def test_new_residuals_fall_below_a_level_as_often_as_it_says():
    learned = calibrate(*draw(4_000, seed=1))
    z, loc = draw(20_000, seed=2)
    residuals = z - loc @ interpolation_matrix(HORIZONS)
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        column = round(level * 100) - 1
        share = (residuals <= learned[:, column]).mean()
        assert share == pytest.approx(level, abs=0.01)


def test_too_few_residuals_are_refused_with_their_horizon():
    z, loc = draw(150)
    z[50:, 29] = np.nan
    with pytest.raises(ShortHistory, match="50 at horizon 30"):
        calibrate(z, loc)
