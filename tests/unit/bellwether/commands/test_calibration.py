"""Calibrations are shown with the one in force, and taken back with a reason; see the ledger's tests."""

import json
from contextlib import closing

import pytest
import sqlalchemy
from typer.testing import CliRunner

from bellwether.cli import app
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.settings import Settings
from tests.unit.forecasting.adapters.registry.test_calibrations import numbered


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BELLWETHER_REGISTERED_MODEL", "m")
    with closing(Calibrations(Settings().prediction_log)) as table:
        for stretch in (0.1, 0.2):
            table.add(numbered(stretch=stretch), model="m", who="training", why="looked")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["calibration", *words], env={"COLUMNS": "200"})


def shown(*words):
    return json.loads(run("list", "--json", *words).stdout)


def test_the_newest_is_in_force_and_a_rollback_takes_the_one_before(state):
    assert [(one["number"], one["in_force"]) for one in shown()] == [(2, True), (1, False)]
    assert shown()[0]["width"] == pytest.approx(1.2214, abs=1e-4)
    back = run("rollback", "2", "--to", "1", "--why", "too wide", "--who", "ann")
    assert back.exit_code == 0
    assert "Version 2 is served with calibration 1" in back.stdout
    assert [(one["number"], one["in_force"]) for one in shown("2")] == [
        (3, False),
        (2, False),
        (1, True),
    ]
    written = run("list").stdout
    assert "back to 1" in written
    assert "too wide" in written
    run("rollback", "2", "--to", "0", "--why", "wider still")
    assert not any(one["in_force"] for one in shown())


def test_a_damaged_one_is_shown_beside_those_to_go_back_to(state):
    engine = sqlalchemy.create_engine(Settings().prediction_log)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE calibrations SET content = '{}' WHERE number = 2")
        )
    engine.dispose()
    damaged, sound = shown()
    assert "a calibration must be readable" in damaged["fault"]
    assert (damaged["in_force"], damaged["width"], sound["fault"]) == (False, None, "")
    assert "damaged" in run("list").stdout
    assert run("rollback", "2", "--to", "1", "--why", "2 is damaged").exit_code == 0
    assert shown()[2]["in_force"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--to", "9", "--why", "x"), "version 2 has no calibration 9"),
        (("--to", "1", "--why", " "), "--why is empty"),
        (("--to", "1", "--why", "x", "--context", "there"), "--namespace is missing"),
    ],
)
def test_a_rollback_that_cannot_be_is_refused_and_writes_nothing(state, words, found):
    refused = run("rollback", "2", *words)
    assert (refused.exit_code, len(shown())) == (2, 2)
    assert found in refused.stderr


def test_without_any_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    assert "No calibration yet" in run("list").stdout


def test_recalibrating_without_a_registry_says_so(state, monkeypatch):
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", "http://127.0.0.1:9")
    refused = run("run")
    assert refused.exit_code == 3
    assert "the MLflow server must be reachable" in refused.stderr
