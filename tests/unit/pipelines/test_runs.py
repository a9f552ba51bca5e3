"""What a training may be asked for: refused before anything is fetched."""

import pytest

from forecasting.errors import InvalidSettings
from pipelines.runs import TrainingParams


def test_a_candidate_nobody_knows_is_refused_with_those_there_are():
    with pytest.raises(InvalidSettings, match=r"a candidate is one of .*ridge.*har.*: oracle"):
        TrainingParams(candidates=("random_walk", "oracle"))


@pytest.mark.parametrize("width", ["wide", "ridge", ""])
def test_a_width_that_no_candidate_learns_is_refused_with_those_there_are(width):
    with pytest.raises(InvalidSettings, match="a width is one of ewma, har"):
        TrainingParams(width=width)


@pytest.mark.parametrize("width", ["ewma", "har", "garch", "har_combination:ridge+garch"])
def test_a_width_is_the_scale_or_what_a_candidate_learns(width):
    assert TrainingParams(width=width).arguments()["width"] == width


def test_a_candidate_named_twice_is_refused():
    with pytest.raises(InvalidSettings, match="candidates are named once"):
        TrainingParams(candidates=("random_walk", "ridge", "ridge"))
