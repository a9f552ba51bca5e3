"""A step that fails on a cluster says why where people look, whatever its outputs came to."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.artifacts import listed_in
from components.evaluate.leak_gates import leak_gates
from components.record.step import run as record
from components.register.links import pipeline_links, registered_markdown
from components.report import reported
from components.run_notes import RUN_ID, kept
from forecasting.adapters.lake.blobs import Blobs
from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.leakage.findings import RULES, LeakFinding
from forecasting.settings import Settings

RUN = "5b7e4f0a-run"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lake of a cluster's run."""
    address = str(tmp_path / "lake")
    monkeypatch.setenv("BELLWETHER_LAKE_URL", address)
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv(RUN_ID, RUN)
    return address


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
    record(job="training", last_step="register", dataset="default", outcome=outcome)
    return Path(outcome.path).read_text(), outcome.metadata


ERROR = InvalidInput("a candidate is a kind we know", "oracle", "Name another")


def test_a_failed_steps_own_words_are_what_the_run_shows(lake: str, tmp_path: Path) -> None:
    assert train(candidate="ridge") == "ridge"
    with pytest.raises(InvalidInput):
        train(candidate="oracle", fails=ERROR)
    told, words = recorded(tmp_path)
    assert told.startswith(f"## The training failed\n\nRun `{RUN}`, because:")
    sentence = "a candidate is a kind we know: oracle. (InvalidInput) Name another."
    assert f"- **train oracle**: {sentence}" in told
    assert "| train ridge | done |" in told
    assert words == {"job": "training", "succeeded": False}
    assert not (tmp_path / "state" / "metrics").exists()


def test_an_error_that_is_not_ours_is_told_too(lake: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        train(candidate="ridge", fails=ZeroDivisionError("division\nby zero"))
    assert "**train ridge**: division by zero. (ZeroDivisionError)" in recorded(tmp_path)[0]


def test_a_step_that_was_killed_is_told_apart_from_one_that_failed(
    lake: str, tmp_path: Path
) -> None:
    train(candidate="ridge")
    name = f"runs/{RUN}/train%20ridge.json"
    note = json.loads(Blobs(lake).read(name))
    Blobs(lake).write(name, json.dumps(note | {"state": "started"}).encode())
    told, _ = recorded(tmp_path)
    assert "**train ridge**: It started and was killed: it needed more memory" in told
    assert "| train ridge | killed |" in told


def test_a_run_that_ended_before_any_step_could_speak_says_where_to_look(
    lake: str, tmp_path: Path
) -> None:
    assert "No step says why." in recorded(tmp_path)[0]


def test_another_attempt_that_went_well_takes_the_failures_place(lake: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        train(candidate="ridge", fails=ERROR)
    train(candidate="ridge")
    assert [(note.name, note.state) for note in kept(lake, RUN)] == [("train ridge", "done")]


def test_a_run_whose_last_step_is_done_is_a_success_and_published_as_one(
    lake: str, tmp_path: Path
) -> None:
    register()
    told, words = recorded(tmp_path)
    assert told.startswith("## The training is done")
    assert words["succeeded"]
    assert "last_success" in (tmp_path / "state" / "metrics" / "training.prom").read_text()


def test_a_lake_that_cannot_be_written_hides_no_error(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lake").write_text("a file where the folder should be")
    with pytest.raises(InvalidInput, match="oracle"):
        train(candidate="oracle", fails=ERROR)
    assert "The note that train failed was not kept" in capsys.readouterr().err


def test_outside_a_cluster_nothing_is_kept_and_recording_is_refused(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_ID)
    train(candidate="ridge")
    assert not (tmp_path / "lake").exists()
    with pytest.raises(InvalidSettings, match="BELLWETHER_PIPELINE_RUN"):
        recorded(tmp_path)


def test_a_list_that_went_through_ml_metadata_is_read_as_the_list_it_was() -> None:
    findings = [LeakFinding(check, False, "nothing").to_dict() for check in RULES]
    laptop = SimpleNamespace(path="", metadata={"leaks": findings})
    cluster = SimpleNamespace(path="", metadata={"leaks": {"list": findings}})
    assert listed_in(cluster, "leaks") == listed_in(laptop, "leaks") == findings
    assert listed_in(cluster, "others") == []
    assert leak_gates(cluster, []) == leak_gates(laptop, [])


def test_a_laptops_run_has_no_page_and_a_cluster_without_an_address_no_link(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(pipelines_public_url="http://pipelines")
    assert pipeline_links(settings)["kfp_run_url"] == f"http://pipelines/#/runs/details/{RUN}"
    assert pipeline_links(Settings()) == {"kfp_run_id": RUN}
    monkeypatch.delenv(RUN_ID)
    assert pipeline_links(settings) == {}


def test_a_promoted_candidate_is_shown_as_the_champion_it_became() -> None:
    outcome = {
        "champion": "2",
        "challenger": "2",
        "promoted": True,
        "reasons": [],
        "runs": {"ridge": "aa11"},
        "versions": {"ridge": "2"},
        "snapshot": "0123",
    }
    told = registered_markdown(outcome, Settings(registry_public_url="http://mlflow/"), "7")
    assert told.startswith("## Promoted: version 2")
    version = "[2](http://mlflow/#/models/bellwether/versions/2) (champion)"
    assert f"| ridge | {version} | [aa11](http://mlflow/#/experiments/7/runs/aa11) |" in told


def test_without_a_public_address_of_mlflow_the_page_names_runs_and_links_nothing() -> None:
    outcome = {
        "champion": "1",
        "challenger": "2",
        "promoted": False,
        "reasons": ["skill is too small"],
        "runs": {"ridge": "aa11", "random_walk": "bb22"},
        "versions": {"ridge": "2", "random_walk": "1"},
        "snapshot": "0123",
    }
    told = registered_markdown(outcome, Settings(), "7")
    assert told.startswith("## Nothing was promoted\n\n- skill is too small\n")
    assert "| ridge | 2 (challenger) | aa11 |" in told
    assert "http" not in told
