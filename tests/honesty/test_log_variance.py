"""Kernels of log-variances have the covariances they are said to have, and foresee what they should."""

import numpy as np
import pytest
from scipy.integrate import quad

from benchmarks.honesty.log_variance import (
    autoregressive_kernel,
    expected_variances,
    matern_correlation,
    moving_averages,
    rough_kernel,
)


def autocovariance(kernel, lag):
    return float(kernel[lag:] @ kernel[: len(kernel) - lag])


@pytest.mark.parametrize("lag", [1.0, 20.0, 300.0])
def test_the_correlation_is_that_of_the_rough_integral(lag):
    hurst, memory = 0.1, 100.0

    def product(root, apart):
        # s = root^10 takes the pole away: ds = 10 root^9
        s = root**10
        decay = np.exp(-(2 * s + apart) / memory)
        return 10 * root**9 * s ** (hurst - 0.5) * (s + apart) ** (hurst - 0.5) * decay

    def covariance(apart):
        return quad(product, 0, (30 * memory) ** 0.1, args=(apart,), limit=500)[0]

    found = matern_correlation(np.array([lag]), hurst, memory)[0]
    assert found == pytest.approx(covariance(lag) / covariance(0.0), rel=1e-4)


def test_far_below_its_memory_the_process_is_as_rough_as_its_hurst_exponent_says():
    lags = np.array([1.0, 10.0])
    near, far = 1 - matern_correlation(lags, 0.1, 1e7)
    assert np.log10(far / near) / 2 == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("hurst", [0.05, 0.1, 0.3])
def test_a_rough_kernel_has_the_covariances_of_the_process_at_whole_bars(hurst):
    kernel = rough_kernel(hurst, 250.0, 0.75, 10_000)
    lags = np.array([0, 1, 2, 10, 100, 1_000])
    expected = 0.75**2 * matern_correlation(lags.astype(float), hurst, 250.0)
    found = [autocovariance(kernel, lag) for lag in lags]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_an_autoregressive_kernel_has_the_covariances_of_its_process():
    kernel = autoregressive_kernel(0.98, 0.65, 2_000)
    found = [autocovariance(kernel, lag) for lag in (0, 1, 50)]
    assert found == pytest.approx([0.65**2 * 0.98**lag for lag in (0, 1, 50)], rel=1e-9)


def test_moving_averages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    kernels, shocks = rng.normal(size=(2, 7)), rng.normal(size=(30, 3))
    found = moving_averages(kernels, shocks)
    for number, kernel in enumerate(kernels):
        for symbol in range(3):
            for bar in range(30):
                plain = sum(
                    kernel[lag] * shocks[bar - lag, symbol] for lag in range(min(7, bar + 1))
                )
                assert found[number, symbol, bar] == pytest.approx(plain, abs=1e-12)


def test_the_expected_variance_of_two_factors_is_the_closed_form_of_their_states():
    factors = [(0.9, 0.5), (0.5, 0.3)]
    rng = np.random.default_rng(4)
    shocks = [rng.normal(size=(400, 2)) for _ in factors]
    states, mean = [], 0.0
    for (persistence, deviation), shock in zip(factors, shocks, strict=True):
        state = np.zeros((400, 2))
        for bar in range(400):
            before = state[bar - 1] if bar else 0.0
            state[bar] = persistence * before + deviation * np.sqrt(1 - persistence**2) * shock[bar]
        states.append(state)
        mean -= deviation**2 / 2
    found = expected_variances(
        [
            (autoregressive_kernel(*factor, 300), shock)
            for factor, shock in zip(factors, shocks, strict=True)
        ],
        30,
    )
    assert found.shape == (399, 2, 30)
    for ahead in (1, 2, 30):
        steps = ahead - 1  # from the next bar, which is known
        logarithm = mean + sum(
            persistence**steps * state[1:] + deviation**2 * (1 - persistence ** (2 * steps)) / 2
            for (persistence, deviation), state in zip(factors, states, strict=True)
        )
        assert found[..., ahead - 1] == pytest.approx(np.exp(logarithm), rel=1e-9)
