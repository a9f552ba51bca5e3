"""Anytime-valid p-values keep their level over all looks, and are never below the fixed-sample ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from forecasting.errors import InvalidInput
from forecasting.stats.anytime import POWER, anytime_p_value

P_VALUES = st.floats(1e-12, 1.0)
GROWTH = st.floats(1.0, 50.0)


def by_integrals(p_value, growth, power):
    """The definition, integrated numerically."""

    def mixture(statistic):
        return quad(lambda u: u**power * np.exp(u * statistic - u * u / 2), 0, 40)[0]

    reached = mixture(norm.isf(p_value)) * growth ** (-(power + 1) / 2)
    start = brentq(lambda a: mixture(a) / reached - 1, 0, norm.isf(p_value) + 1e-9)
    below = quad(lambda z: mixture(z) * norm.pdf(z), -12, start, limit=200)[0]
    return norm.sf(start) + below / reached


@pytest.mark.parametrize("power", [0, 1, POWER])
@pytest.mark.parametrize(("p_value", "growth"), [(0.02, 1.0), (0.001, 1.3), (1e-5, 2.0)])
def test_it_is_the_chance_that_the_mixture_ever_reaches_what_was_found(p_value, growth, power):
    expected = by_integrals(p_value, growth, power)
    assert anytime_p_value(p_value, growth, power=power) == pytest.approx(expected, rel=1e-6)


def test_without_a_power_it_is_the_normal_mixture_with_a_delayed_start():
    a = 2.5
    expected = norm.sf(a) + norm.pdf(a) * (a + norm.pdf(a) / norm.cdf(a))
    assert anytime_p_value(norm.sf(a), 1.0, power=0) == pytest.approx(expected, rel=1e-9)


@given(P_VALUES, GROWTH)
def test_looking_again_never_makes_evidence_stronger(p_value, growth):
    first, later = anytime_p_value(p_value, 1.0), anytime_p_value(p_value, growth)
    assert p_value <= first + 1e-12
    assert first <= later + 1e-9
    assert later <= 1


@given(P_VALUES, P_VALUES, GROWTH)
def test_more_evidence_never_has_a_larger_p_value(one, other, growth):
    low, high = sorted((one, other))
    assert anytime_p_value(low, growth) <= anytime_p_value(high, growth) + 1e-9


@pytest.mark.parametrize("growth", [1.0, 40.0])
def test_the_ends_stay_what_they_are(growth):
    assert anytime_p_value(0.0, growth) == 0
    assert anytime_p_value(1.0, growth) == 1
    assert np.isnan(anytime_p_value(float("nan"), growth))
    assert anytime_p_value(1e-300, growth) < 1e-200


def test_fewer_observations_than_at_the_first_look_are_refused():
    with pytest.raises(InvalidInput, match="at least as many observations"):
        anytime_p_value(0.01, 0.99)


def test_over_looks_until_the_data_have_grown_eightfold_the_level_holds_and_a_fixed_test_fails():
    rng = np.random.default_rng(0)
    first, last, worlds = 200, 1_600, 4_000
    looks = np.arange(first, last + 1, 5)
    sums = np.cumsum(rng.standard_normal((worlds, last)), axis=1)[:, looks - 1]
    statistics = sums / np.sqrt(looks)
    # The p-value falls in t, so a least t for every look says the same as 280 p-values a world.
    limits = np.array([_least_statistic(look / first) for look in looks])
    ever = np.mean((statistics > limits).any(axis=1))
    assert ever <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert ever > 0.03
    assert np.mean((statistics > norm.isf(0.05)).any(axis=1)) > 0.15


def _least_statistic(growth):
    return brentq(lambda t: anytime_p_value(norm.sf(t), growth) - 0.05, 1.0, 8.0)
