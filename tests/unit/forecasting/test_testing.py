"""Planted forecasts: as much skill as was planted, and the same rows for every candidate."""

import numpy as np

from forecasting.testing import planted_forecasts, with_wandering_volatility


def test_a_candidate_knows_the_planted_signal_and_the_random_walk_nothing():
    planted = planted_forecasts(signal=0.3, candidates=("ridge",), periods=2_000, noise=0.0)
    ridge, walk = planted["ridge"], planted["random_walk"]
    outcome = ridge.realised[:, 0] / ridge.scale
    assert abs(np.corrcoef(ridge.loc[:, 0], outcome)[0, 1] - 0.3) < 0.05
    assert not walk.loc.any()
    assert np.array_equal(ridge.realised, walk.realised)


def test_without_a_signal_there_is_nothing_to_know():
    ridge = planted_forecasts(signal=0.0, candidates=("ridge",), periods=2_000)["ridge"]
    assert abs(np.corrcoef(ridge.loc[:, 0], ridge.realised[:, 0])[0, 1]) < 0.05


def test_intervals_hold_what_they_say_on_average():
    ridge = planted_forecasts(signal=0.1, candidates=("ridge",), periods=1_000)["ridge"]
    realised = ridge.realised[:, 0]
    within = (realised >= ridge.quantiles[:, 0, 0]) & (realised <= ridge.quantiles[:, 0, 4])
    assert abs(within.mean() - 0.9) < 0.01


def test_a_width_that_does_not_swing_holds_what_it_says_whatever_the_published_volatility():
    walk = planted_forecasts(signal=0.0, candidates=(), periods=2_000, seed=4)["random_walk"]
    for swing, apart in ((0.0, False), (0.3, True)):
        wandering = with_wandering_volatility(walk, swing=swing, seed=4)
        realised = wandering.realised[:, 0]
        low, *_, high = wandering.quantiles[:, 0].T
        within = (realised >= low) & (realised <= high)
        storm = wandering.scale > np.quantile(wandering.scale, 2 / 3)
        calm = wandering.scale < np.quantile(wandering.scale, 1 / 3)
        assert abs(np.log(wandering.scale).std() - 0.3) < 0.05
        assert (within[storm].mean() - within[calm].mean() > 0.1) == apart
        assert apart or abs(within.mean() - 0.9) < 0.01
