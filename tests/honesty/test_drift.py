"""The drift experiment in small: few false alarms, and a doubled volatility is heard in time."""

import pytest

from benchmarks.honesty.drift import EXPERIMENT
from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.page import image


@pytest.fixture(scope="module")
def outcome():
    return EXPERIMENT.run("small", Workers(), 0)


def test_stationary_panels_are_seldom_flagged_and_doubled_volatility_is(outcome):
    data = outcome.data
    # At 5 % a panel, three or more of eight are flagged in 0.6 % of the cases.
    assert data["flagged"] <= 2
    # At 95 % a panel, fewer than six of eight are heard in 0.6 % of the cases.
    assert sum(delay <= 10 for delay in data["delays"]["2.0"]) >= 6


def test_fixed_defaults_flag_panels_in_which_nothing_has_changed(outcome):
    assert outcome.data["evidently_defaults"] >= 6


def test_variance_past_its_limits_is_seldom_by_chance_and_heard_where_the_width_stays(outcome):
    watched = outcome.data["realised_variance"]
    for horizon in (1, 5):
        assert watched["bars"]["variance"][horizon] <= 0.05
        assert watched["within"]["keeps its width"][horizon] == watched["markets"]
        assert watched["median"]["keeps its width"][horizon] <= 60


def test_its_plot_can_be_drawn(outcome):
    (plot,) = (piece for piece in outcome.story if hasattr(piece, "paint"))
    assert len(image(plot)) > 5_000
