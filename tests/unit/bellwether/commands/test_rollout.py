"""Options reach the rollout, and its outcome becomes lines, JSON and an exit code."""

import json

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.console import console
from forecasting.errors import EXIT_ROLLED_BACK, InvalidSettings
from serving.rollout import rollout as rollouts
from serving.rollout.rollout import RunResult
from serving.rollout.status import Status, VersionStatus
from tests.unit.serving.rollout.release import Connections

HERE = ("--namespace", "bw", "--context", "here", "--release", "other")


@pytest.fixture
def called(monkeypatch):
    """What was asked of the rollout, with the release that it was asked for."""
    calls = []

    class Opened(Connections):
        def __init__(self, cluster):
            super().__init__()
            self.config.minutes_per_step = 2.0

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

    def noted(name, outcome=None):
        def method(self, *words):
            cluster = self.cluster
            calls.append((name, *words, (cluster.namespace, cluster.context, cluster.release)))
            return outcome

        monkeypatch.setattr(rollouts.Rollout, name, method)

    for name in ("start", "weight", "promote", "rollback", "delete"):
        noted(name)
    noted("sync", [3, 2])
    noted("run", RunResult(3, False, "5xx"))
    version = VersionStatus(3, "ridge", "d" * 64, 1, 2, False, 10, 0.125, "champion", "no pods")
    noted("status", Status((version,), 2, "3", {"at": "now", "why": "step"}, ("remark",)))
    monkeypatch.setattr("bellwether.cluster.connections.Connections", Opened)
    return calls


def run(*words):
    return CliRunner().invoke(app, ["rollout", *words], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (("start", "champion"), ("start", "champion", None)),
        (("start", "3", "--weight", "5"), ("start", "3", 5)),
        (("weight", "3", "25"), ("weight", 3, 25)),
        (("promote", "3"), ("promote", 3)),
        (("rollback", "--to", "2", "--why", "skill"), ("rollback", 2, "skill")),
        (("rollback",), ("rollback", None, "")),
        (("delete", "v3"), ("delete", 3)),
        (("sync",), ("sync",)),
        (("status",), ("status",)),
    ],
)
def test_every_command_takes_the_release_among_its_own_options(called, words, call):
    done = run(*words, *HERE)
    assert done.exit_code == 0, done.output
    assert called == [(*call, ("bw", "here", "other"))]
    run(*words)
    assert called[1][-1] == ("bellwether", "", "bellwether")


def test_a_run_that_rolled_back_has_an_exit_code_of_its_own(called):
    done = run("run", "3", "--steps", "10,100", "--minutes", "0.5")
    assert done.exit_code == EXIT_ROLLED_BACK
    assert "Version 3 was rolled back: 5xx" in done.output
    _, name, pace, policy, _ = called[0]
    assert (name, pace.steps, pace.step_seconds, pace.hold_seconds) == ("3", (10, 100), 30, 600)
    assert policy.min_requests == 50


def test_a_run_takes_the_charts_steps_where_none_are_given(called):
    run("run", "3")
    assert (called[0][2].steps, called[0][2].step_seconds) == ((10, 100), 120)


@pytest.mark.parametrize("words", [("--steps", "ten"), ("--when-due",)])
def test_a_run_with_options_that_make_no_sense_is_refused(called, words):
    assert run("run", "3", *words).exit_code == InvalidSettings.exit_code
    assert called == []


def test_the_status_is_a_table_with_remarks_or_json(called, monkeypatch):
    monkeypatch.setattr(console, "width", 200)  # no cell is broken, whatever terminal there is
    printed = run("status").output
    assert "not ready" in printed
    assert "12.5%" in printed
    assert "Note: version 3: no pods" in printed
    assert "Note: remark" in printed
    assert "Last change now: step" in printed
    assert json.loads(run("status", "--json").output)["versions"][0]["weight"] == 10
