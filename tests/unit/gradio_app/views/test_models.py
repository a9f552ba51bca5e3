"""The models tab: scores, verdicts and the audit trail."""

from forecasting.adapters.registry.ledger import Promotion
from gradio_app import formatting
from gradio_app.views.models import models_table, promotions_table
from tests.unit.gradio_app.page_records import AS_OF, card, text_of


def test_champion_and_challenger_stand_side_by_side_with_their_verdicts():
    champion = card("champion", version="1", kind="random_walk", skill=0.0, p_value=None,
                    verdict="default", reason="nothing has beaten it")  # fmt: skip
    shown = text_of(models_table([champion, card()]))
    for words in ("champion v1 random walk", "challenger v2 ridge", "Default", "Refuse",
                  "It is no better.", f"{formatting.MINUS}0.42 %", "0.713", "89.7 % in band", "7b7b7b7b7b7b7b7b",
                  "Walk-forward report", "Run in MLflow"):  # fmt: skip
        assert words in shown


def test_the_skill_is_split_into_width_and_direction_where_that_was_recorded():
    split = card(scores={"skill_width": 0.0105, "skill_direction": -0.0003})
    shown = text_of(models_table([card("champion"), split]))
    assert f"of it from its width {formatting.NOTHING} +1.05 %" in shown
    assert f"of it from its direction {formatting.NOTHING} {formatting.MINUS}0.03 %" in shown
    assert "of it from" not in text_of(models_table([card()]))


def test_coverage_in_calm_and_storm_stands_under_the_scores():
    assert "90 % interval in calm and storm" not in models_table([card()])
    scores = {"coverage_90_calm_h05": 0.9, "coverage_90_storm_h05": 0.91}
    assert "about right in calm" in text_of(models_table([card(scores=scores)]))


def test_scores_that_were_not_recorded_are_dashes():
    bare = card(skill=None, p_value=None, coverage=None, reason="", run_url="", report_url="")
    assert text_of(models_table([bare])).count(formatting.NOTHING) >= 4


def test_an_empty_registry_says_how_to_begin():
    assert "No model is registered yet" in models_table([])


def test_the_audit_trail_says_who_when_and_why():
    row = Promotion(1, "bellwether", "", "1", "pipeline", AS_OF, "the default", "pending")
    shown = text_of(promotions_table([row]))
    assert "2023-09-21 20:00 UTC none → v1 PENDING pipeline The default." in shown


def test_a_champion_that_stands_in_for_one_that_has_degraded_is_said_with_the_reason():
    why = "version 3 withdrawn: its realised forecasts have degraded: intervals too narrow"
    row = Promotion(4, "bellwether", "3", "2", "quality", AS_OF, why, "done")
    shown = text_of(promotions_table([row]))
    assert shown.strip().startswith("Version 3 was withdrawn, users get version 2")
    assert shown.count("intervals too narrow") == 2
    later = Promotion(5, "bellwether", "2", "4", "pipeline", AS_OF, "better", "done")
    assert "was withdrawn" not in text_of(promotions_table([later, row]))
