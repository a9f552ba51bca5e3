import numpy as np
import pytest
from scipy.stats import norm

from forecasting.errors import InvalidInput
from forecasting.evaluation.losses import (
    crps_weights,
    inside,
    level_index,
    loss_units,
    mean_pinball,
    median_error,
    pinball,
    scale_floor,
)
from forecasting.schema import QUANTILE_LEVELS


def slow_pinball(y, q, level):
    return (y - q) * level if y >= q else (q - y) * (1 - level)


@pytest.fixture
def forecasts():
    rng = np.random.default_rng(1)
    realised = rng.normal(size=(40, 6))
    quantiles = np.sort(rng.normal(size=(40, 6, 5)), axis=2)
    return realised, quantiles


def test_pinball_equals_the_loss_written_as_a_loop(forecasts):
    realised, quantiles = forecasts
    slow = np.empty(quantiles.shape)
    for i, h, q in np.ndindex(quantiles.shape):
        slow[i, h, q] = slow_pinball(realised[i, h], quantiles[i, h, q], QUANTILE_LEVELS[q])
    np.testing.assert_allclose(pinball(realised, quantiles), slow, atol=1e-15)
    np.testing.assert_allclose(mean_pinball(realised, quantiles), slow.mean(axis=2), atol=1e-15)


def test_pinball_agrees_with_scikit_learn(forecasts):
    from sklearn.metrics import mean_pinball_loss

    realised, quantiles = forecasts
    for q, level in enumerate(QUANTILE_LEVELS):
        theirs = mean_pinball_loss(realised[:, 0], quantiles[:, 0, q], alpha=level)
        ours = pinball(realised[:, 0], quantiles[:, 0])[:, q].mean()
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_pinball_keeps_single_precision():
    loss = pinball(np.zeros(3, np.float32), np.ones((3, 5), np.float32))
    assert loss.dtype == np.float32


def test_crps_weights_cover_all_probability():
    np.testing.assert_allclose(crps_weights(), [0.15, 0.225, 0.25, 0.225, 0.15])


@pytest.mark.parametrize(("levels", "tolerance"), [(QUANTILE_LEVELS, 0.05), (99, 0.002)])
def test_crps_from_quantiles_comes_close_to_the_normal_closed_form(levels, tolerance):
    if levels == 99:
        levels = tuple(np.arange(1, 100) / 100)
    y = np.random.default_rng(2).normal(size=20_000)
    quantiles = np.broadcast_to(norm.ppf(levels), (y.size, len(levels)))
    # Gneiting & Raftery (2007), eq. 21, for N(0, 1)
    exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert (2 * pinball(y, quantiles, levels) @ crps_weights(levels)).mean() == pytest.approx(
        exact.mean(), rel=tolerance
    )


def test_median_error_reads_the_median(forecasts):
    realised, quantiles = forecasts
    np.testing.assert_array_equal(
        median_error(realised, quantiles), np.abs(realised - quantiles[..., 2])
    )


def test_an_interval_holds_its_ends_and_not_the_unknown_future():
    quantiles = np.tile(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), (5, 1))
    realised = np.array([-2.0, 0.0, 1.5, 2.1, np.nan])
    assert inside(realised, quantiles, 0.9).tolist() == [True, True, True, False, False]
    assert inside(realised, quantiles, 0.5).tolist() == [False, True, False, False, False]


def test_a_level_that_is_not_published_is_refused_by_name():
    with pytest.raises(InvalidInput, match=r"level 0\.1 is not among 0\.05, 0\.25"):
        level_index(0.1)


def test_a_loss_is_divided_by_the_volatility_expected_over_its_horizon():
    units = loss_units(np.array([[0.01], [0.02]]), np.array([1, 4]))
    np.testing.assert_allclose(units, [[0.01, 0.02], [0.02, 0.04]])


def test_frozen_prices_are_floored_at_a_tenth_of_the_symbols_median():
    assert scale_floor(np.array([np.nan, 1e-9, 0.02, 0.03])) == pytest.approx(0.002)
    assert scale_floor(np.array([np.nan])) == 0
