"""A step's start, progress and end are events of a laptop's run, and notes of a cluster's."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.report import EVENTS, PROGRESS, RUN_DIR, reported, tell
from components.run_notes import read_notes
from forecasting.errors import InvalidInput

ERROR = InvalidInput("a candidate is a kind we know", "oracle", "Name another")


@reported("train", label="candidate")
def train(*, candidate: str, fails: Exception | None = None) -> str:
    tell("train", candidate, PROGRESS, message="fold 1 of 3")
    if fails:
        raise fails
    return candidate.upper()


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads the events of a laptop's run so far."""
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    return lambda: [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines()]


def test_a_step_that_succeeds_gives_its_result_and_leaves_its_events_in_order(events: Any) -> None:
    assert train(candidate="ridge") == "RIDGE"
    started, progress, done = events()
    assert {(event["step"], event["label"]) for event in events()} == {("train", "ridge")}
    assert [event["state"] for event in events()] == ["started", "progress", "done"]
    assert progress["message"] == "fold 1 of 3"
    assert started["at"] <= progress["at"] <= done["at"]
    assert 0 <= done["seconds"] <= done["at"] - started["at"] + 1


def test_a_step_that_fails_raises_its_error_and_leaves_all_of_it(events: Any) -> None:
    with pytest.raises(InvalidInput):
        train(candidate="oracle", fails=ERROR)
    last = events()[-1]
    assert last["state"] == "failed"
    assert last["error"] == {
        "kind": "InvalidInput",
        "rule": "a candidate is a kind we know",
        "found": "oracle",
        "remedy": "Name another",
    }


def test_on_a_cluster_the_same_step_leaves_a_note(lake: str, pipeline_run: str) -> None:
    with pytest.raises(InvalidInput):
        train(candidate="oracle", fails=ERROR)
    (note,) = read_notes(lake, pipeline_run)
    assert (note.step, note.label, note.state) == ("train", "oracle", "failed")


def test_without_a_runs_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_DIR, raising=False)
    monkeypatch.chdir(tmp_path)
    tell("train", "ridge", PROGRESS)
    assert list(tmp_path.iterdir()) == []
