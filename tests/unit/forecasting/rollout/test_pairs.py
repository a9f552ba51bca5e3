"""A canary is worse where it answers worse than the stable version does, not where both fail."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.canary import SICKNESSES, SOUND, withdrawn_at
from forecasting.rollout.pairs import MOST_IN_A_ROUND, Pair, Pairs, Question, Reply, findings
from forecasting.rollout.rules import Outcome, Policy

AS_OF = datetime(2026, 11, 27, 21, tzinfo=UTC)
WELL = Reply(0.003, as_of=AS_OF, snapshot="s", last_close=180.0, scale=math.log(0.08))
LOST = Reply(0.003, refused="symbol AAPL must be one that the model knows")
ASKED = Question("AAPL", 5)


def after(canary, stable=WELL, rounds=40):
    pairs = Pairs()
    for _ in range(rounds):
        pairs = pairs.after([Pair(ASKED, canary, stable)] * 20, Policy())
    return pairs


def withdrawn(pairs):
    return [
        finding.name for finding in findings(pairs, Policy()) if finding.outcome is Outcome.WITHDRAW
    ]


@pytest.mark.parametrize(
    ("canary", "rule"),
    [
        (LOST, "answers"),
        (replace(WELL, seconds=0.053), "response"),
        (replace(WELL, as_of=AS_OF - timedelta(days=1), snapshot="r"), "data"),
        (replace(WELL, last_close=181.8), "close"),
        (replace(WELL, scale=math.log(0.12)), "scale"),
        (replace(WELL, invalid="AAPL: quantiles that do not rise"), "valid"),
    ],
)
def test_what_only_the_canary_does_is_held_against_it_by_the_rule_of_its_name(canary, rule):
    assert withdrawn(after(canary)) == [rule]


@pytest.mark.parametrize(
    "both", [LOST, replace(WELL, seconds=0.4), replace(WELL, as_of=AS_OF - timedelta(days=9))]
)
def test_what_both_do_is_nobodys_fault(both):
    assert withdrawn(after(both, both)) == []


@pytest.mark.parametrize(
    "stable", [LOST, replace(WELL, seconds=0.4), replace(WELL, as_of=AS_OF - timedelta(days=1))]
)
def test_a_better_canary_goes_on(stable):
    assert withdrawn(after(WELL, stable)) == []


def test_prices_of_other_data_are_not_compared():
    assert withdrawn(after(replace(WELL, snapshot="t", last_close=90.0, scale=0.0), rounds=3)) == []


def test_a_hiccup_of_one_round_is_one_event():
    pairs = after(LOST, rounds=1)
    assert (pairs.asked, pairs.refused) == (20, MOST_IN_A_ROUND)
    assert withdrawn(pairs) == []


def test_the_reason_names_the_question_and_what_came_back():
    (_, answers, *_) = findings(after(LOST), Policy())
    assert "AAPL, 5 bars: symbol AAPL must be one that the model knows" in answers.found


def test_nothing_is_said_of_a_canary_that_could_not_be_asked():
    (finding,) = findings(Pairs(), Policy())
    assert finding.outcome is Outcome.HOLD


@pytest.mark.parametrize("sickness", SICKNESSES, ids=lambda sickness: sickness.name)
def test_no_sick_canary_gets_more_than_ten_per_cent(sickness):
    ends = [withdrawn_at(sickness, 1.0, np.random.default_rng([3, seed])) for seed in range(5)]
    assert all(end and end[0] <= 10 for end in ends), ends


def test_healthy_canaries_are_hardly_ever_withdrawn():
    ends = [withdrawn_at(SOUND, 1.0, np.random.default_rng([4, seed])) for seed in range(25)]
    assert sum(end is not None for end in ends) <= 4  # 5 % of 25, and what chance adds to it
