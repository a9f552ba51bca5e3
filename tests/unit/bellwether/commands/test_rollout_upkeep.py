"""`restore`, `retire` and `history` say what became of it; the history is a table or JSON."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.rollout.traffic import Traffic
from tests.unit.serving.rollout.release import Connections


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """The history of a release whose database is the settings'."""

    class Opened(Connections):
        def __init__(self, cluster):
            super().__init__()

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    monkeypatch.setenv("BELLWETHER_PREDICTION_LOG_URL", url)
    monkeypatch.setattr("bellwether.cluster.connections.Connections", Opened)
    with closing(RolloutHistory(url)) as history:
        yield history


def run(*words, columns="80"):
    return CliRunner().invoke(app, ["rollout", *words], env={"COLUMNS": columns})


def test_the_history_says_who_changed_what_when_and_why_and_breaks_no_name(ledger):
    at = datetime(2026, 11, 30, 4, 30, tzinfo=UTC)
    why = "rollout of version 12, step 10 %, by a person with a reason that is long"
    ledger.add("bellwether", Traffic({12: 10, 11: 90}, (11,)), who="ada", why=why, at=at)
    printed = run("history").output
    assert "2026-11-30 04:30:00" in printed
    assert why in printed
    assert "version 11 90 %, version 12 10 %" in printed
    (change,) = json.loads(run("history", "--json").output)
    assert (change["who"], change["traffic"]["weights"]) == ("ada", {"12": 10, "11": 90})


def test_what_was_restored_or_retired_is_said(ledger, monkeypatch):
    monkeypatch.setattr("serving.rollout.restoration.restore", lambda _: "nothing to restore")
    monkeypatch.setattr("serving.rollout.retirement.retire_old", lambda _: [1, 2])
    assert run("restore").output == "Nothing to restore\n"
    assert run("retire").output == "Retired: version 1, version 2\n"
    monkeypatch.setattr("serving.rollout.retirement.retire_old", lambda _: [])
    assert run("retire").output == "Retired: nothing\n"
