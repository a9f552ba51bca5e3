"""Coverage in calm and storm: the recorded figures, and a verdict that follows from them."""

import pytest

from gradio_app import formatting
from gradio_app.views.coverage import conditional_coverage
from tests.unit.gradio_app.page_records import card as bare
from tests.unit.gradio_app.page_records import check_html, text_of


def card(calm=(0.9, 0.9), middle=(0.9, 0.9), storm=(0.9, 0.9), **changes):
    thirds = {"calm": calm, "middle": middle, "storm": storm}
    scores = {
        f"coverage_90_{third}_h{horizon:02d}": share
        for third, shares in thirds.items()
        for horizon, share in zip((1, 20), shares, strict=True)
    }
    others = {"coverage_90": 0.5, "coverage_90_h01": 0.5, "coverage_90_gap_h01": 0.5}
    return bare(scores={**others, **scores}, **changes)


def test_each_version_has_its_columns_and_each_horizon_its_row():
    null = card((0.88, 0.852), (0.9, 0.91), (0.93, 0.955), version="1", kind="random_walk")
    shown = conditional_coverage([card((0.899, 0.901), storm=(0.905, 0.911)), null])
    check_html(shown)
    said = text_of(shown)
    assert "v2 ridge: about right in calm (it held 89.9 % to 90.1 % of outcomes)" in said
    assert "v1 random walk: too narrow in calm (it held 85.2 % to 88.0 % of outcomes), " in said
    assert "too wide in storm (it held 93.0 % to 95.5 % of outcomes)." in said
    assert (
        "Bars Calm Middle Storm Calm Middle Storm 1 89.9 % 90.0 % 90.5 % 88.0 % 90.0 % 93.0 % 20 90.1 %"
        in said
    )
    assert "50.0 %" not in said


@pytest.mark.parametrize(
    ("calm", "verdict"),
    [(0.87, "too narrow"), (0.885, "about right"), (0.915, "about right"), (0.93, "too wide")],
)
def test_the_verdict_is_of_the_mean_over_horizons(calm, verdict):
    said = text_of(conditional_coverage([card((calm - 0.04, calm + 0.04))]))
    assert f"v2 ridge: {verdict} in calm" in said
    assert "about right in storm" in said


def test_a_third_without_outcomes_is_a_dash_and_no_verdict():
    scores = {"coverage_90_middle_h01": 0.9, "coverage_90_storm_h01": 0.9}
    said = text_of(conditional_coverage([bare(scores=scores)]))
    assert "v2 ridge: about right in storm (it held 90.0 % of outcomes)." in said
    assert f"1 {formatting.NOTHING} 90.0 % 90.0 %" in said


def test_versions_without_such_figures_have_no_table():
    assert conditional_coverage([bare(), bare(scores={"coverage_90": 0.9})]) == ""
