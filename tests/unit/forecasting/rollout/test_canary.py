"""A canary is judged by rules that can be read, and luck is no reason."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import InvalidSettings
from forecasting.rollout.canary import (
    Counts,
    Observation,
    Outcome,
    Policy,
    Probes,
    at_least,
    check_steps,
    judge,
    next_step,
    within,
)

GOOD = Observation(
    wanted=10,
    ready=True,
    restarts=0,
    probes=Probes(asked=9, routed=200, to_canary=21),
    canary=Counts(requests=1_000, failed=0, stale=0, p99=0.004),
    stable=Counts(requests=9_000, failed=2, stale=0, p99=0.003),
)


def outcome(**changes):
    return judge(replace(GOOD, **changes)).outcome


def canary(**changes):
    return replace(GOOD.canary, **changes)


def test_a_canary_as_good_as_stable_goes_on():
    assert judge(GOOD).outcome is Outcome.GO_ON
    assert "1000 of users' 10000 requests" in judge(GOOD).reason


def test_significantly_more_failures_withdraw_it_and_the_reason_names_rule_and_figures():
    judged = judge(replace(GOOD, canary=canary(failed=30)))
    assert judged.outcome is Outcome.WITHDRAW
    assert "must not exceed stable's by more than 1%" in judged.reason
    assert "30 of 1000" in judged.reason
    assert "stable 2 of 9000" in judged.reason


def test_a_failure_or_two_may_be_luck():
    assert outcome(canary=canary(failed=12)) is Outcome.GO_ON


def test_failures_that_stable_has_too_are_not_held_against_it():
    stable = replace(GOOD.stable, failed=2_700)
    assert outcome(canary=canary(failed=300), stable=stable) is Outcome.GO_ON


def test_a_p99_of_several_times_stables_withdraws_it_above_the_floor_only():
    assert outcome(canary=canary(p99=0.2)) is Outcome.WITHDRAW
    assert outcome(canary=canary(p99=0.045)) is Outcome.GO_ON


def test_stale_answers_that_stable_does_not_give_withdraw_it():
    assert outcome(canary=canary(stale=200)) is Outcome.WITHDRAW


def test_a_single_invalid_answer_withdraws_it_even_without_traffic():
    seen = replace(GOOD, canary=Counts(), probes=Probes(asked=9, invalid=1, problem="AAPL: NaN"))
    assert judge(seen).outcome is Outcome.WITHDRAW
    assert "AAPL: NaN" in judge(seen).reason


def test_a_restart_or_no_ready_endpoint_withdraws_it():
    assert outcome(restarts=1) is Outcome.WITHDRAW
    assert outcome(ready=False) is Outcome.WITHDRAW


def test_one_lost_probe_is_luck_and_several_are_not():
    assert outcome(probes=Probes(asked=9, failed=1)) is Outcome.GO_ON
    assert outcome(probes=Probes(asked=9, failed=3)) is Outcome.WITHDRAW


def test_a_route_that_does_not_split_holds_it():
    assert outcome(probes=Probes(asked=9, routed=200, to_canary=0)) is Outcome.HOLD
    assert outcome(canary=canary(requests=5_000)) is Outcome.HOLD


def test_too_little_traffic_is_said_and_not_judged_as_good():
    seen = replace(GOOD, canary=Counts(requests=3))
    assert judge(seen).outcome is Outcome.GO_ON
    assert "too few of users to judge by (3 of 50 requests)" in judge(seen).reason
    assert judge(seen, Policy(require_traffic=True)).outcome is Outcome.HOLD


def test_a_judge_that_cannot_see_holds_and_one_without_prometheus_says_so():
    blind = replace(GOOD, canary=None, blind="connection refused")
    assert judge(blind).outcome is Outcome.HOLD
    assert "connection refused" in judge(blind).reason
    unwatched = replace(GOOD, canary=None, watched=False)
    assert judge(unwatched).outcome is Outcome.GO_ON
    assert "no Prometheus is set" in judge(unwatched).reason


def test_the_gravest_finding_decides_even_when_prometheus_is_down():
    assert outcome(canary=None, blind="down", ready=False) is Outcome.WITHDRAW


@pytest.mark.parametrize("steps", [(), (10, 25), (0, 100), (25, 10, 100), (10, 10, 100), (50, 120)])
def test_steps_that_do_not_rise_to_100_are_refused(steps):
    with pytest.raises(InvalidSettings, match="rise and end at 100"):
        check_steps(steps)


def test_the_next_step_is_the_first_above_the_weight():
    steps = check_steps([10, 25, 50, 100])
    assert [next_step(steps, weight) for weight in (0, 10, 30, 50, 100)] == [10, 25, 50, 100, None]


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
