"""The test of intervals in calm and storm keeps its level; a smaller run of the page."""

import pytest

from benchmarks.honesty.conditional_coverage import EXPERIMENT, HORIZONS
from benchmarks.honesty.experiment import Workers


@pytest.fixture(scope="module")
def outcome():
    return EXPERIMENT.run("small", Workers(), 0)


def test_honest_widths_are_left_alone_and_swinging_ones_found(outcome):
    assert not outcome.broken
    made = outcome.data["made"]
    assert made["0.0"][0] <= 3
    assert made["0.2"] == [4, 4]


def test_the_random_walk_is_too_narrow_in_calm_and_every_outcome_is_counted_once(outcome):
    indices = outcome.data["bundled"]["indices"]
    calm, storm = indices["coverage"]["calm"], indices["coverage"]["storm"]
    assert len(calm) == len(HORIZONS)
    assert max(calm) < 0.89
    assert indices["gap"][0] == pytest.approx(storm[0] - calm[0], abs=2e-4)
    assert indices["gap"][0] > 0
    counted = sum(outcomes[0] for outcomes in indices["outcomes"].values())
    assert counted == 5_576 - 2  # scored rows but the last of either symbol
