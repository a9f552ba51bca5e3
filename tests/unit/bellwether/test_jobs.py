"""A refusal's reason, from the decision to the Markdown, the exit code, the tag and the page."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from bellwether import jobs
from bellwether.cli import app
from components.register.step import _Bundle, _Registration
from forecasting.adapters.registry.reader import ModelVersion
from forecasting.errors import EXIT_REFUSED
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.report.page import verdict_markdown
from forecasting.testing import planted_forecasts
from gradio_app.model_card import card_of
from gradio_app.views.models import models_table
from pipelines.runs import TrainingOutcome


@pytest.fixture(scope="module")
def refused():
    forecasts = planted_forecasts(
        signal=0.2, seed=1, candidates=("ridge", "xgboost"), periods=600, noise=0.12
    )
    evaluation = evaluate(forecasts, trials={"ridge": 200, "xgboost": 200})
    verdict = decide(evaluation)
    assert [gate.name for gate in verdict.gates if not gate.passed] == ["survives_trials"]
    return evaluation, verdict


def outcome_of(verdict, folder: Path, *, promoted: bool) -> TrainingOutcome:
    report = folder / "made.html"
    report.write_text("<!doctype html>")
    told = {
        "snapshot": "abc",
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "gates": verdict.to_dict()["gates"],
        "candidate": verdict.candidate,
        "promoted": promoted,
        "champion": "1",
        "challenger": "2",
        "versions": {},
        "runs": {},
    }
    outputs = {"outcome": json.dumps(told), "report": str(report), "verdict": str(report)}
    return TrainingOutcome.read(outputs, report, 1.0)


@pytest.mark.parametrize(
    ("promoted", "arguments", "code"),
    [(False, [], EXIT_REFUSED), (False, ["--exit-zero"], 0), (True, [], 0)],
)
def test_the_command_says_why_and_exits_with_ten(
    refused, tmp_path, monkeypatch, promoted, arguments, code
):
    _, verdict = refused
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    outcome = outcome_of(verdict, tmp_path, promoted=promoted)
    monkeypatch.setattr(jobs, "run_training", lambda *_: outcome)
    monkeypatch.setattr(jobs, "refresh_features", lambda *_: None)
    file = tmp_path / "outcome.json"
    ran = CliRunner().invoke(app, ["train", f"--outcome-file={file}", *arguments])
    assert ran.exit_code == code == {True: 0, False: code}[promoted]
    said = " ".join(ran.output.split())
    assert ("Nothing was promoted" in said) is not promoted
    assert "must still beat it after counting the settings that were tried" in said
    written = PromotionOutcome.read(file)
    assert written == outcome.promotion
    assert (written.outcome, written.version) == ("promoted" if promoted else "refused", "2")
    assert written.reason == "; ".join(verdict.reasons)
    (failed,) = [gate for gate in written.gates if not gate.passed]
    assert (failed.name, failed.because) == ("survives_trials", verdict.reasons[0])
    assert len(written.gates) == len(verdict.gates)


def test_an_outcome_file_in_a_missing_folder_is_refused_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "run_training", lambda *_: pytest.fail("a training was started"))
    ran = CliRunner().invoke(app, ["train", f"--outcome-file={tmp_path}/none/outcome.json"])
    assert ran.exit_code == 2
    assert "--outcome-file needs a folder that is there" in " ".join(ran.output.split())


def test_the_markdown_lists_the_reason_first(refused):
    evaluation, verdict = refused
    text = verdict_markdown(verdict, evaluation)
    assert text.index("Refused, because:") < text.index(f"- {verdict.reasons[0]}")
    assert "| survives trials | **no** |" in text


def test_the_registered_version_and_the_page_carry_the_reason(refused):
    _, verdict = refused
    written = {}
    registry = SimpleNamespace(
        find=lambda *_: SimpleNamespace(version="2"),
        tag=lambda version, tags: written.update({version: tags}),
    )
    decision = {
        "word": verdict.word,
        "reasons": list(verdict.reasons),
        "metrics": {"ridge": {"skill": verdict.skill}, "xgboost": {"skill": verdict.skill}},
    }
    registration = _Registration(registry, decision, {"snapshot": "abc"}, None, "", {})
    bundle = _Bundle(Path(), "0" * 64, {"kind": verdict.candidate})
    registration.version(bundle, "run", verdict.word)
    tags = written["2"]
    assert tags["verdict"] == "refuse"
    assert tags["verdict_reason"] == "; ".join(verdict.reasons)
    record = ModelVersion("2", "run", {**tags, "kind": "ridge"}, ("challenger",), 0)
    page = models_table([card_of("challenger", record, None, "http://mlflow", "")])
    assert "ust still beat it after counting the settings that were tried" in page
    assert "400 trials" in page
