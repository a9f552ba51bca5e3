"""A canary is judged by rules that can be read, and luck is no reason."""

from dataclasses import replace

import pytest

from forecasting.errors import InvalidSettings
from forecasting.rollout.canary import (
    Counts,
    Observation,
    Routed,
    check_steps,
    judge,
    next_step,
)
from forecasting.rollout.pairs import Pairs
from forecasting.rollout.rules import Outcome, Policy

GOOD = Observation(
    weight=10,
    ready=True,
    restarts=0,
    pairs=Pairs(asked=20),
    routed=Routed(sent=200, to_canary=21),
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


def test_requests_that_it_refuses_and_stable_does_not_withdraw_it():
    assert outcome(canary=canary(refused=430)) is Outcome.WITHDRAW
    stable = replace(GOOD.stable, refused=4_000)
    assert outcome(canary=canary(refused=430), stable=stable) is Outcome.GO_ON


def test_a_single_invalid_answer_withdraws_it_even_without_traffic():
    observation = replace(
        GOOD, canary=Counts(), pairs=Pairs(asked=9, invalid=1, problem="AAPL, 5 bars: NaN")
    )
    assert judge(observation).outcome is Outcome.WITHDRAW
    assert "AAPL, 5 bars: NaN" in judge(observation).reason


def test_a_restart_or_no_ready_endpoint_withdraws_it():
    assert outcome(restarts=1) is Outcome.WITHDRAW
    assert outcome(ready=False) is Outcome.WITHDRAW


def test_a_question_that_only_stable_answers_may_be_luck_and_several_are_not():
    assert outcome(pairs=Pairs(asked=200, refused=3)) is Outcome.GO_ON
    assert outcome(pairs=Pairs(asked=200, refused=14)) is Outcome.WITHDRAW


def test_a_canary_of_which_nothing_could_be_asked_is_held():
    assert outcome(pairs=Pairs()) is Outcome.HOLD


def test_a_route_that_does_not_split_holds_it():
    assert outcome(routed=Routed(sent=200, to_canary=0)) is Outcome.HOLD
    assert outcome(canary=canary(requests=5_000)) is Outcome.HOLD


def test_too_little_traffic_is_said_and_not_judged_as_good():
    observation = replace(GOOD, canary=Counts(requests=3))
    assert judge(observation).outcome is Outcome.GO_ON
    assert "too few of users to judge by (3 of 50 requests)" in judge(observation).reason
    assert judge(observation, Policy(require_traffic=True)).outcome is Outcome.HOLD


def test_questions_of_the_rollout_are_no_traffic_of_users():
    observation = replace(GOOD, canary=Counts(requests=203), asked=200)
    assert "too few of users to judge by (3 of 50 requests)" in judge(observation).reason


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
