"""Binomial tails are those of the law, and evidence keeps its level however often one looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from forecasting.rollout.binomial import at_least, log_evidence, within


@given(st.integers(1, 60), st.integers(0, 61), st.floats(0.001, 0.999))
def test_the_binomial_tail_is_the_sum_of_its_terms(trials, hits, share):
    naive = sum(
        math.comb(trials, k) * share**k * (1 - share) ** (trials - k)
        for k in range(hits, trials + 1)
    )
    assert at_least(hits, trials, share) == pytest.approx(naive, abs=1e-9)


@given(st.integers(3_000, 50_000), st.floats(0.2, 0.8), st.floats(-3, 3))
def test_far_from_small_the_normal_law_is_close(trials, share, off):
    hits = round(trials * share + off * math.sqrt(trials * share * (1 - share)))
    exact = math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(share)
            + (trials - k) * math.log1p(-share)
        )
        for k in range(hits, min(trials, hits + 3_000) + 1)
    )
    assert at_least(hits, trials, share) == pytest.approx(exact, abs=2e-3)


def test_luck_alone_rarely_breaks_the_split_and_a_dead_route_always_does():
    assert within(20, 200, 0.1, 0.001)
    assert within(10, 200, 0.1, 0.001)
    assert not within(0, 200, 0.1, 0.001)
    assert not within(60, 200, 0.1, 0.001)


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.05, 0.3, 0.5]))
def test_the_evidence_is_the_likelihood_averaged_over_every_larger_chance(hits, misses, share):
    def likelihood(chance):
        return (chance / share) ** hits * ((1 - chance) / (1 - share)) ** misses

    averaged, _ = quad(likelihood, share, 1, limit=200)
    assert math.exp(log_evidence(hits, misses, share)) == pytest.approx(
        averaged / (1 - share), rel=1e-6
    )


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_luck_reaches_the_limit_no_more_often_than_promised_though_every_trial_is_looked_at(share):
    alpha, sequences, length = 0.05, 400, 300
    rng = np.random.default_rng(7)
    reached = 0
    for hits in (rng.random((sequences, length)) < share).cumsum(axis=1):
        reached += any(
            log_evidence(int(h), n - int(h), share) >= -math.log(alpha)
            for n, h in enumerate(hits, start=1)
        )
    assert reached <= alpha * sequences + 3 * math.sqrt(alpha * (1 - alpha) * sequences)


def test_a_larger_chance_is_found_and_a_smaller_one_never():
    assert log_evidence(12, 0, 0.5) > math.log(500)
    assert log_evidence(0, 400, 0.5) < 0
    assert log_evidence(300, 300, 0.5) < 0
