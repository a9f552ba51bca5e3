"""A run on a cluster says why it failed where people look, and publishes only a success."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.record.step import run
from components.report import reported
from components.run_notes import RUN_ID
from forecasting.adapters.lake.blobs import Blobs
from forecasting.errors import InvalidInput, InvalidSettings

ERROR = InvalidInput("a candidate is a kind we know", "oracle", "Name another")


@reported("train", label="candidate")
def train(*, candidate: str, fails: Exception | None = None) -> str:
    if fails:
        raise fails
    return candidate


@reported("register")
def register() -> None:
    """The last step."""


def recorded(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    outcome = SimpleNamespace(path=str(tmp_path / "outcome.md"), metadata={})
    run(job="training", last_step="register", dataset="default", outcome=outcome)
    return Path(outcome.path).read_text(), outcome.metadata


def test_a_failed_steps_own_words_are_what_the_run_shows(
    lake: str, pipeline_run: str, tmp_path: Path
) -> None:
    assert train(candidate="ridge") == "ridge"
    with pytest.raises(InvalidInput):
        train(candidate="oracle", fails=ERROR)
    page, metadata = recorded(tmp_path)
    assert page.startswith(f"## The training failed\n\nRun `{pipeline_run}`, because:")
    sentence = "a candidate is a kind we know: oracle. (InvalidInput) Name another."
    assert f"- **train oracle**: {sentence}" in page
    assert "| train ridge | done |" in page
    assert metadata == {"job": "training", "succeeded": False}
    assert not (tmp_path / "state" / "metrics").exists()


def test_an_error_that_is_not_ours_is_shown_too(lake: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        train(candidate="ridge", fails=ZeroDivisionError("division\nby zero"))
    assert "**train ridge**: division by zero. (ZeroDivisionError)" in recorded(tmp_path)[0]


def test_a_step_that_was_killed_is_told_apart_from_one_that_failed(
    lake: str, pipeline_run: str, tmp_path: Path
) -> None:
    train(candidate="ridge")
    name = f"runs/{pipeline_run}/train%20ridge.json"
    note = json.loads(Blobs(lake).read(name))
    Blobs(lake).write(name, json.dumps(note | {"state": "started"}).encode())
    page, _ = recorded(tmp_path)
    assert "**train ridge**: It started and was killed: it needed more memory" in page
    assert "| train ridge | killed |" in page


def test_a_run_that_ended_before_any_step_could_speak_says_where_to_look(
    lake: str, tmp_path: Path
) -> None:
    assert "No step says why." in recorded(tmp_path)[0]


def test_a_run_whose_last_step_is_done_is_a_success_and_published_as_one(
    lake: str, tmp_path: Path
) -> None:
    register()
    page, metadata = recorded(tmp_path)
    assert page.startswith("## The training is done")
    assert metadata["succeeded"]
    assert "last_success" in (tmp_path / "state" / "metrics" / "training.prom").read_text()


def test_outside_a_cluster_recording_is_refused(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_ID)
    with pytest.raises(InvalidSettings, match="BELLWETHER_PIPELINE_RUN"):
        recorded(tmp_path)
