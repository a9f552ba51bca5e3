"""Sharpe ratios against published examples and simulation."""

import numpy as np
import pytest
from scipy.stats import norm

from forecasting.stats.sharpe import deflated_sharpe, expected_best, sharpe_error


def test_sharpe_error_is_lo_s_for_normal_returns_and_holds_in_simulation():
    assert sharpe_error(0.1, 1001) == pytest.approx(np.sqrt((1 + 0.1**2 / 2) / 1000))
    rng = np.random.default_rng(5)
    draws = rng.normal(0.2, 1, (4000, 120))
    ratios = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    assert sharpe_error(0.2, 120) == pytest.approx(ratios.std(), rel=0.05)


def test_deflated_sharpe_is_the_published_example():
    # Bailey & Lopez de Prado (2014), numerical example: DSR 0.9004 for 100 trials.
    value = deflated_sharpe(
        2.5 / np.sqrt(250),
        observations=1250,
        trials=100,
        trial_variance=0.5 / 250,
        skew=-3,
        kurtosis=10,
    )
    assert value == pytest.approx(0.9004, abs=5e-5)


def test_deflated_sharpe_of_a_single_trial_is_the_probabilistic_one():
    value = deflated_sharpe(0.05, observations=501, trials=1, trial_variance=0.0)
    assert value == pytest.approx(norm.cdf(0.05 / sharpe_error(0.05, 501)))


def test_the_best_of_many_worthless_ratios_is_about_as_good_as_expected():
    drawn = np.random.default_rng(6).normal(0, 0.05, (4_000, 100)).max(axis=1)
    assert expected_best(100, 0.05**2) == pytest.approx(drawn.mean(), rel=0.02)
    assert expected_best(1, 0.05**2) == 0
