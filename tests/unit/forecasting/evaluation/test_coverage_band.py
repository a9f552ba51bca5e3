"""Coverage outside a band: a test of an interval of values, not of one value."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import t as student

from forecasting.evaluation.coverage_band import interval_p_value, outside_band
from forecasting.testing import planted_forecasts, with_wandering_volatility
from tests.unit.forecasting.evaluation.test_conditional_coverage import found_in, volatile

BAND = (0.87, 0.93)


def refused(found, band=BAND):
    cells, gaps = outside_band(found, band)
    return bool((np.array([*cells, *gaps]) < 0.05).any())


def holding(share, seed):
    """Honest normal intervals stretched so that they hold this share, in calm and storm alike."""
    forecasts = volatile(seed, swing=0)
    stretch = ndtri((1 + share) / 2) / ndtri(0.95)
    return replace(forecasts, quantiles=forecasts.quantiles * np.float32(stretch))


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 1), st.integers(2, 100))
def test_the_p_value_of_an_interval_is_the_largest_of_its_points(estimate, low, error, freedom):
    interval = (low, low + 0.1)
    distance = max(low - estimate, estimate - low - 0.1)
    found = interval_p_value(estimate, interval, error, freedom)
    if distance <= 0:
        assert found == 1
        return
    chance = [
        student.cdf((low - distance - point) / error, freedom)
        + student.sf((low + 0.1 + distance - point) / error, freedom)
        for point in np.linspace(*interval, 51)
    ]
    assert found == pytest.approx(max(chance), abs=1e-9)


def test_an_interval_of_one_point_gives_the_two_sided_p_value():
    assert interval_p_value(0.87, (0.9, 0.9), 0.01, 12) == pytest.approx(2 * student.sf(3, 12))
    assert np.isnan(interval_p_value(0.5, (0.9, 0.9), float("nan"), 0))


def test_the_error_is_that_of_the_nearer_end_of_the_band():
    found = found_in(volatile(4, swing=0.3, periods=1_000), (1,))
    storm = found.cells[2]
    alone = replace(found, cells=(storm,), gaps=())
    (p_value,), _ = outside_band(alone, BAND)
    assert storm.coverage > 0.93
    error = storm.error * np.sqrt(0.93 * 0.07 / (0.9 * 0.1))
    assert p_value == pytest.approx(student.sf((storm.coverage - 0.93) / error, storm.freedom))


def test_all_tests_are_corrected_together():
    found = found_in(volatile(4, swing=0.3, periods=1_000))
    cells, gaps = outside_band(found, BAND)
    assert (len(cells), len(gaps)) == (9, 3)
    (alone,), _ = outside_band(replace(found, cells=found.cells[:1], gaps=()), BAND)
    assert alone <= cells[0] <= 12 * alone


def test_a_deviation_within_the_band_is_not_refused_and_one_beyond_it_is():
    swinging = [found_in(volatile(seed, swing=0.05, periods=3_000)) for seed in range(6)]
    assert sum(any(p < 0.05 for p in found.adjusted) for found in swinging) >= 3
    assert not any(map(refused, swinging))
    assert all(refused(found_in(volatile(seed, swing=0.3, periods=1_000))) for seed in range(4))


@pytest.mark.parametrize("share", BAND)
def test_coverage_at_the_very_end_of_the_band_is_refused_as_often_as_the_level_says(share):
    """The least favourable honest intervals: every cell is at the end."""
    assert sum(refused(found_in(holding(share, seed))) for seed in range(60)) <= 7


def test_what_cannot_be_tested_has_no_p_value():
    young = planted_forecasts(signal=0, candidates=(), symbols=3, periods=80)["random_walk"]
    cells, gaps = outside_band(found_in(with_wandering_volatility(young, swing=0.3)), BAND)
    assert np.isnan([*cells, *gaps]).all()
