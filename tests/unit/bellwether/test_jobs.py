"""A refusal's reason, from the decision to the Markdown, the exit code, the tag and the page."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bellwether import jobs
from bellwether.cli import app
from components.register.step import _Bundle, _Registration
from forecasting.adapters.drift.job import DriftOptions, DriftOutcome
from forecasting.adapters.registry.records import ModelVersion
from forecasting.drift.summary import ColumnDrift, DriftSummary, NotMeasured, ScopeDrift
from forecasting.errors import EXIT_REFUSED, SourceUnavailable
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.live.scores import RealisedScore
from forecasting.live.variance import RealisedVariance
from forecasting.report.page import verdict_markdown
from forecasting.settings import Settings
from forecasting.testing import planted_forecasts
from gradio_app.model_card import card_of
from gradio_app.views.models import models_table
from pipelines.runs import StepEvent, TrainingOutcome


@pytest.fixture(scope="module")
def refused():
    forecasts = planted_forecasts(
        signal=0.2,
        seed=1,
        candidates=("ridge", "xgboost", "random_walk_drift"),
        periods=600,
        noise=0.12,
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
        "specification": "5" * 16,
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
    ran = CliRunner().invoke(
        app, ["train", "--source=sample", f"--outcome-file={file}", *arguments]
    )
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


def test_a_refresh_that_fails_after_a_training_is_told_and_trains_nothing_again(
    refused, tmp_path, monkeypatch
):
    def away(*_):
        raise SourceUnavailable("a source answers", "it was silent")

    outcome = outcome_of(refused[1], tmp_path, promoted=True)
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(jobs, "run_training", lambda *_: outcome)
    monkeypatch.setattr(jobs, "refresh_features", away)
    ran = CliRunner().invoke(app, ["train", "--source=sample"])
    assert ran.exit_code == 0
    assert "The refresh after the training failed: a source answers" in " ".join(ran.output.split())


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
        sign=lambda record, **_: record,
    )
    decision = {
        "word": verdict.word,
        "reasons": list(verdict.reasons),
        "metrics": {"ridge": {"skill": verdict.skill}, "xgboost": {"skill": verdict.skill}},
    }
    registration = _Registration(
        registry, decision, {"snapshot": "abc", "dataset": "d"}, None, "", {}
    )
    bundle = _Bundle(Path(), "0" * 64, {"kind": verdict.candidate})
    registration.version(bundle, "run", verdict.word)
    tags = written["2"]
    assert tags["verdict"] == "refuse"
    assert tags["verdict_reason"] == "; ".join(verdict.reasons)
    record = ModelVersion("2", "run", {**tags, "kind": "ridge"}, ("challenger",), 0)
    page = models_table([card_of("challenger", record, None, "http://mlflow", "")])
    assert "ust still beat it after counting the settings that were tried" in page
    assert "400 trials" in page


def test_the_progress_names_the_steps_that_run():
    page = Console(file=StringIO(), width=200)
    with jobs._steps("Training", 3) as progress:
        progress(StepEvent("train", "ridge", "started"))
        progress(StepEvent("train", "xgboost", "progress", "fold 1 of 3"))
        page.print(progress._progress.get_renderable())
        progress(StepEvent("train", "ridge", "done", seconds=1.0))
        page.print(progress._progress.get_renderable())
    both, one = page.file.getvalue().strip().splitlines()
    assert "0/3 train ridge; train xgboost: fold 1 of 3" in both
    assert "1/3 train xgboost: fold 1 of 3" in one


def test_drift_is_shown_by_scope_and_realised_scores_where_there_are_any(
    tmp_path, monkeypatch, capsys
):
    columns = tuple(
        ColumnDrift(name, "wasserstein", score, 0.2, score > 0.2)
        for name, score in (("volume", 0.5), ("momentum", 0.1))
    )
    score = RealisedScore("3", 5, 40, 10, 0.01234, 0.0125, 0.0128, 0.9, 0.5, 0.002)
    unknown = replace(score, model_version="4", baseline_pinball=None, skill=None)
    ratio = RealisedVariance("3", 5, 40, 10, 1.2, None, None)
    summary = DriftSummary(
        "2026-06-01T12:00:00+00:00", "2026-05-29T20:00:00+00:00", "3", "d", "abc", "sample",
        replay=True, synthetic=False, realised=(score, unknown), variances=(ratio,), retrain="drift lasted 3 bars",
        scopes=(
            ScopeDrift("features", columns, (), 900, 60, drifted=True, false_alarms=0.01),
            ScopeDrift("error", (), (NotMeasured("1", "too few"),), 0, 0, drifted=False),
        ),
    )  # fmt: skip
    outcome = DriftOutcome(summary, "s3://lake/drift/1", "http://push")
    monkeypatch.setattr("forecasting.adapters.drift.job.run_drift", lambda *_: outcome)
    monkeypatch.setattr(jobs.console, "_width", 200)
    assert jobs.measure_drift(Settings(state_dir=tmp_path), DriftOptions())
    rows = [
        " ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()
    ]
    assert "features drifted 50% volume 0.50 (limit 0.20)" in rows
    assert "error not measured too few" in rows
    assert "3 5 40 0.01234 +1.3% 90% 1.20" in rows
    assert "4 5 40 0.01234 90%" in rows
    assert "A training is due: drift lasted 3 bars." in rows
    assert rows[-1] == "Report: s3://lake/drift/1; metrics: http://push"
