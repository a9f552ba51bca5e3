"""A version as the page shows it."""

from forecasting.adapters.registry.records import ModelVersion, RunRecord
from gradio_app.model_card import card_of, trained_on


def test_what_a_version_was_trained_on_is_said_in_words():
    tags = {"source": "sample", "replay": "true", "data_snapshot": "9f3c", "git_revision": "abc"}
    record = ModelVersion("1", "r", tags, (), 0)
    assert trained_on(record) == "source sample, historical, snapshot 9f3c, code abc"


TAGS = {"kind": "ridge", "bundle_digest": "7b", "verdict": "refuse", "verdict_reason": "p 0.7",
        "skill": "0.01", "p_value": "none"}  # fmt: skip


def test_scores_come_from_the_run_and_else_from_the_versions_tags():
    record = ModelVersion("2", "r", TAGS, ("challenger",), 1_700_000_000_000)
    run = RunRecord("r", "7", {"skill": 0.02, "coverage_90": 0.9})
    shown = card_of("challenger", record, run, "http://mlflow/", "/demo")
    assert (shown.skill, shown.p_value, shown.coverage) == (0.02, None, 0.9)
    assert (shown.verdict, shown.reason, shown.digest) == ("refuse", "p 0.7", "7b")
    assert shown.created == "2023-11-14 22:13 UTC"
    assert shown.run_url == "http://mlflow/#/experiments/7/runs/r"
    assert shown.report_url == "/demo/reports/walk-forward/2"
    assert shown.scores == run.metrics


def test_a_version_whose_run_is_gone_keeps_its_recorded_skill_and_has_no_link():
    shown = card_of("champion", ModelVersion("2", "r", TAGS, (), 0), None, "http://mlflow", "")
    assert (shown.skill, shown.coverage, shown.run_url, shown.created) == (0.01, None, "", "")
