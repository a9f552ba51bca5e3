"""The test of intervals in calm and storm keeps its level; a smaller run of the page."""

import pytest

from benchmarks.honesty.conditional_coverage import EXPERIMENT, HORIZONS, judge_returning
from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.returning_volatility import Returning


@pytest.fixture(scope="module")
def outcome():
    return EXPERIMENT.run("small", Workers(), 0)


def test_honest_widths_are_left_alone_and_swinging_ones_found(outcome):
    assert not outcome.broken
    made = outcome.data["made"]
    assert made["0.0"]["deviates"] <= 3
    assert made["0.0"]["refused"] == 0
    assert made["0.2"] == {"deviates": 4, "refused": 4, "of": 4}
    assert outcome.data["at the band's end"]["refused"] <= 5


def test_the_gate_lets_an_oracle_pass_on_every_market(outcome):
    for counts in outcome.data["markets"].values():
        assert (counts["oracle"]["refused"], counts["oracle"]["of"]) == (0, 1)
    assert outcome.data["markets"]["ewma"]["random walk"]["refused"] == 0


def test_the_gate_refuses_the_ewmas_width_where_volatility_returns_to_its_mean_soon():
    judged = [judge_returning(Returning(0.8, seed)) for seed in range(3)]
    assert [(ewma.refused, true.refused) for ewma, true in judged] == [(True, False)] * 3


def test_the_random_walk_is_too_narrow_in_calm_and_every_outcome_is_counted_once(outcome):
    indices = outcome.data["bundled"]["indices"]
    calm, storm = indices["coverage"]["calm"], indices["coverage"]["storm"]
    assert len(calm) == len(HORIZONS)
    assert max(calm) < 0.89
    assert indices["gap"][0] == pytest.approx(storm[0] - calm[0], abs=2e-4)
    assert indices["gap"][0] > 0
    counted = sum(outcomes[0] for outcomes in indices["outcomes"].values())
    assert counted == 5_576 - 2  # scored rows but the last of either symbol
