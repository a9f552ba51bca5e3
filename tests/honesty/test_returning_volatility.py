"""Markets whose volatility returns to its mean: intervals right on average, by either width."""

import numpy as np
import pytest

from benchmarks.honesty.returning_volatility import PERIODS, Returning, returning_forecasts


@pytest.fixture(scope="module")
def both():
    return returning_forecasts(Returning(0.8, 5))


def test_both_intervals_hold_ninety_percent_of_all_outcomes(both):
    for forecasts in both:
        low, high = forecasts.quantiles[..., 0], forecasts.quantiles[..., -1]
        inside = (forecasts.realised >= low) & (forecasts.realised <= high)
        np.testing.assert_allclose(inside.mean(axis=0), 0.9, atol=0.001)


def test_outcomes_are_sums_of_the_returns_that_follow_and_the_scale_is_their_ewma(both):
    ewma, true = both
    assert ewma.realised is true.realised
    returns = ewma.realised[:PERIODS, 0].astype(np.float64)  # of the first symbol
    np.testing.assert_allclose(
        ewma.realised[:100, 9], [returns[at : at + 10].sum() for at in range(100)], atol=1e-6
    )
    square = ewma.scale[:PERIODS] ** 2
    np.testing.assert_allclose(square[1:], 0.94 * square[:-1] + 0.06 * returns[:-1] ** 2, rtol=1e-4)


def test_the_true_width_is_right_in_calm_and_in_storm(both):
    """In units of the deviation it expects, returns are as large in either half."""
    _, true = both
    for column in (0, 9):
        half = true.quantiles[:, column, -1]
        size = np.abs(true.realised[:, column]) / half
        wide = half > np.median(half)
        assert size[wide].mean() == pytest.approx(size[~wide].mean(), rel=0.08)
