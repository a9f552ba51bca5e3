"""What a version adds to the random walk, in words: width, record and median, and no more than is known."""

import numpy as np
import pytest

from gradio_app.views.added import added
from tests.unit.gradio_app.page_records import card, forecast, text_of

SCORES = {
    "skill": 0.0108, "coverage_90": 0.899, "baseline_coverage_90": 0.906,
    "coverage_90_h10": 0.904, "baseline_coverage_90_h10": 0.901,
}  # fmt: skip


def words(answer, **scores):
    return text_of(added(answer, card(scores=scores or SCORES)))


def of_width(ratio, lead=0.0, bars=10):
    """A forecast whose 90 % interval is `ratio` times as wide as the random walk's."""
    answer = forecast(bars, model_kind="har_combination")
    null = answer.last_close + np.outer(np.sqrt(np.arange(1, bars + 1)), [-5.0, -2, 0, 2, 5])
    own = answer.last_close * (1 + lead) + ratio * (null - answer.last_close)
    return forecast(bars, model_kind="har_combination", baseline=null, quantiles=own)


def test_the_width_the_record_and_the_median_are_said_for_the_horizon_that_is_shown():
    assert words(of_width(0.86)).strip() == (
        "The 90 % interval for 10 days is 14 % narrower than the random walk&#x27;s today; over the "
        "test years it was as often right (90.4 % against 90.1 %), with a pinball loss 1.1 % lower "
        "over all horizons. Its median is the random walk&#x27;s, the last close: it claims no direction."
    )


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.33, "33 % wider than"), (1.004, "as wide as"), (0.996, "as wide as"), (0.5, "50 % narrower than")],
)  # fmt: skip
def test_the_width_is_compared_in_whole_per_cent(ratio, said):
    assert f"for 10 days is {said} the random walk" in words(of_width(ratio))


@pytest.mark.parametrize(
    ("own", "often"), [(0.911, "more"), (0.909, "as"), (0.891, "as"), (0.889, "less")]
)
def test_a_record_that_differs_by_more_than_a_point_is_not_called_as_good(own, often):
    said = words(of_width(0.9), coverage_90_h10=own, baseline_coverage_90_h10=0.9)
    assert f"it was {often} often right" in said


def test_a_horizon_that_no_test_reports_is_told_by_the_record_of_all_horizons():
    assert "its intervals were as often right (89.9 % against 90.6 %)" in words(
        of_width(0.9, bars=7)
    )


def test_a_version_from_before_the_random_walks_record_was_kept_is_compared_with_nothing():
    said = words(of_width(0.9), coverage_90_h10=0.9, skill=0.01)
    assert "over the test years it was right 90.0 % of the time." in said
    assert "against" not in said


def test_without_a_registry_only_what_the_answer_holds_is_said():
    said = text_of(added(of_width(0.9), None))
    assert "10 % narrower" in said
    assert "test years" not in said


def test_a_loss_above_the_random_walks_is_not_hidden():
    assert "pinball loss 0.4 % higher" in words(of_width(0.9), **{**SCORES, "skill": -0.0042})


@pytest.mark.parametrize(("lead", "where"), [(0.0031, "above"), (-0.0031, "below")])
def test_a_version_with_a_direction_says_where_its_median_lies(lead, where):
    said = words(of_width(1.0, lead))
    assert f"Its median lies 0.31 % {where} the random walk" in said
    assert "no direction" not in said


def test_nothing_is_claimed_of_the_random_walk_nor_without_it():
    assert added(forecast(model_kind="random_walk"), card()) == ""
    assert added(forecast(baseline=None), card()) == ""
