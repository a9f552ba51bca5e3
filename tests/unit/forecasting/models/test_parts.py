"""What a candidate is made of."""

import pytest

from forecasting.errors import InvalidSettings
from forecasting.models.candidates import CANDIDATES, WIDTHS
from forecasting.models.parts import columns_of_parts, need_variance, parts_of, takes_width


def kinds_of(kind, **params):
    return [part.kind for part in parts_of(kind, params)]


def test_a_candidate_has_one_part_and_a_second_where_it_takes_a_learned_width():
    assert kinds_of("random_walk") == []
    assert kinds_of("ridge") == ["ridge"]
    assert kinds_of("xgboost", width="ewma") == ["xgboost"]
    assert kinds_of("har") == ["har"]
    assert kinds_of("ridge", width="har") == ["ridge", "har"]


def test_parameters_are_those_of_the_location_and_the_width_keeps_its_defaults():
    location, width = parts_of("xgboost", {"n_estimators": 7, "width": "har_boosted"})
    assert location.params["n_estimators"] == 7
    assert width.params["n_estimators"] == 150
    assert [part.widths for part in (location, width)] == [False, True]


def test_a_combination_that_is_taken_for_its_width_is_named_with_its_members():
    _, width = parts_of("ridge", {"width": "har_combination:ridge+garch"})
    assert (width.kind, width.params["members"]) == ("har_combination", "ridge+garch")
    for name, rule in (
        ("har_combination:lasso", "some of ridge"),
        ("har:ridge", "takes the param"),
    ):
        with pytest.raises(InvalidSettings, match=rule):
            parts_of("ridge", {"width": name})[1].params  # noqa: B018


def test_only_candidates_that_learn_locations_take_a_width():
    assert [kind for kind in (*CANDIDATES, *WIDTHS) if takes_width(kind)] == [
        *("ridge", "random_forest", "xgboost")
    ]


@pytest.mark.parametrize("width", ["garch_of_none", "ridge", "random_walk", ""])
def test_a_width_that_no_candidate_learns_is_refused_with_those_there_are(width):
    with pytest.raises(InvalidSettings, match="the width of ridge is one of ewma, har"):
        parts_of("ridge", {"width": width})


@pytest.mark.parametrize(
    ("kinds", "width", "needed"),
    [
        (("random_walk", "ridge"), "ewma", False),
        (("random_walk", "ridge"), "har", True),
        (("random_walk", "har"), "ewma", True),
        (("random_walk",), "har", False),
    ],
)
def test_features_of_variance_are_needed_where_a_width_is_learned(kinds, width, needed):
    assert need_variance(kinds, width) is needed


def test_each_part_takes_the_features_that_are_named_for_it_in_the_tables_order():
    parts = parts_of("ridge", {"width": "har"})
    names = ("rsi_5", "day_of_week_sin", "variance_ratio_5")
    assert [own.tolist() for own in columns_of_parts(parts, names)] == [[0, 1], [1, 2]]
    chosen = (("day_of_week_sin", "rsi_5"), ("variance_ratio_5",))
    assert [own.tolist() for own in columns_of_parts(parts, names, chosen)] == [[0, 1], [2]]
    with pytest.raises(InvalidSettings, match="not in the table: rsi_14"):
        columns_of_parts(parts, names, (("rsi_5", "rsi_14"), ("rsi_5",)))
    with pytest.raises(InvalidSettings, match="1 sets"):
        columns_of_parts(parts, names, (("rsi_5",),))
