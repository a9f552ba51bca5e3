"""Options reach the rollout, and its outcome becomes lines, JSON and an exit code."""

import json

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.console import console
from forecasting.errors import EXIT_ROLLED_BACK, InvalidSettings
from forecasting.live.quality import QualityRules, judge_quality
from serving.rollout import quality
from serving.rollout import rollout as rollouts
from serving.rollout.rollout import RunResult
from serving.rollout.status import Status, VersionStatus
from tests.unit.forecasting.live.test_quality import year
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
    noted(
        "status",
        Status((version,), 2, "3", {"at": "now", "why": "step"}, ("remark",), "not asked for"),
    )
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
    monkeypatch.setattr(console, "width", 40)  # no cell is broken, whatever terminal there is
    printed = run("status").output
    assert "not ready" in printed
    assert "12.5%" in printed
    assert "Note: version 3: no pods" in printed
    assert "Note: remark" in printed
    assert "Last change now: step" in printed
    assert json.loads(run("status", "--json").output)["versions"][0]["weight"] == 10


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """`rollout quality` of a release whose version 3 has this quality; what was done is noted."""
    done = []

    def make(outcome):
        monkeypatch.setenv("BELLWETHER_PREDICTION_LOG_URL", f"sqlite:///{tmp_path / 'log.sqlite'}")
        monkeypatch.setattr(
            quality.QualityWatch, "state", lambda watch: done.append(watch.rules) or outcome
        )
        for name, result in (("ask", None), ("publish", None), ("step_back", 2)):
            monkeypatch.setattr(
                quality.QualityWatch,
                name,
                lambda _, state, n=name, r=result: done.append((n, state)) or r,
            )
        return done

    return make


def state_of(rows):
    realised = judge_quality(rows)
    return quality.QualityState(3, "version 2", None, realised, {})


def test_a_degraded_champion_is_stepped_back_from_with_an_exit_code_of_its_own(called, judged):
    state = state_of(year(0, width=0.6))
    done = judged(state)
    shown = run("quality", *HERE)
    assert shown.exit_code == 0, shown.output
    assert done == [QualityRules()]
    assert "Version 3: intervals too narrow" in shown.output
    stepped = run("quality", "--step-back", "--error-rate", "0.01", *HERE)
    assert stepped.exit_code == EXIT_ROLLED_BACK
    assert done[1:] == [
        QualityRules(error_rate=0.01), ("ask", state), ("publish", state), ("step_back", state)
    ]  # fmt: skip
    assert "Version 2 serves in its place" in stepped.output


def test_a_healthy_champion_is_shown_and_stays(called, judged):
    state = state_of(year(0))
    done = judged(state)
    assert run("quality", "--step-back").exit_code == 0
    assert done[1:] == [("ask", state), ("publish", state)]
    told = json.loads(run("quality", "--json").stdout)
    assert (told["version"], told["degraded_at"], told["bars"]) == (3, None, 60)


def test_while_a_rollout_is_under_way_nothing_is_judged(called, judged):
    done = judged("a rollout is under way")
    told = run("quality", "--step-back")
    assert told.exit_code == 0
    assert "Nothing to judge: a rollout is under way" in told.output
    assert done[1:] == [("publish", None)]


def test_without_the_prediction_log_it_is_said_where_to_look(called, monkeypatch):
    monkeypatch.delenv("BELLWETHER_PREDICTION_LOG_URL", raising=False)
    refused = run("quality", *HERE)
    assert refused.exit_code == 2
    assert "kubectl -n bw create job --from=cronjob/other-quality" in " ".join(
        refused.output.split()
    )


def test_an_error_rate_that_is_none_is_refused(called, judged):
    judged("")
    refused = run("quality", "--error-rate", "0")
    assert refused.exit_code == 2
    assert "between 0 and 1" in refused.output


def test_a_scheduled_rollout_first_restores_what_served_before(called, monkeypatch):
    monkeypatch.setattr("serving.rollout.shadow.Shadowing.end_overdue", lambda _: None)
    monkeypatch.setattr("serving.rollout.restoration.restore", lambda _: "nothing to restore: x")
    monkeypatch.setattr(
        "serving.rollout.due.nothing_to_do", lambda _: "version 3 serves everything"
    )
    monkeypatch.setattr("serving.rollout.retirement.retire_old", lambda _: called.append("retired"))
    done = run("run", "champion", "--when-due", *HERE)
    assert done.output.splitlines() == [
        "nothing to restore: x", "Nothing to do: version 3 serves everything",
    ]  # fmt: skip
    assert called == ["retired"]
