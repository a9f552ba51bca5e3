"""Options of `bellwether cluster` become an installation and a plan."""

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.commands.cluster import EXIT_INTERRUPTED
from bellwether.doctor import CheckResult

HERE = Installation(Kubectl("here"), "bw", "other")
OPTIONS = ("--namespace", "bw", "--context", "here", "--release", "other")


@pytest.fixture
def called(monkeypatch):
    """What was called, with its arguments but for the steps."""
    calls = []

    def note(target, outcome=None):
        def function(*words, **named):
            calls.append((words[0], named))
            return outcome

        monkeypatch.setattr(target, function)

    note("bellwether.cluster.up.bring_up")
    note("bellwether.cluster.up.take_down")
    note("bellwether.cluster.up.show_addresses")
    note("bellwether.cluster.kind.bring_up_kind")
    result = CheckResult("pods", ok=False, detail="none")
    note("bellwether.cluster.doctor.examine_cluster", [result])
    return calls


def run(*words):
    return CliRunner().invoke(app, ["cluster", *words], env={"COLUMNS": "200"})


def test_up_makes_a_plan_of_its_options(called, tmp_path):
    values = tmp_path / "values.yaml"
    words = ("--skip", "kserve", "--skip", "database", "-f", str(values), "--set", "a=b")
    done = run("up", *OPTIONS, *words, "--profile", "small", "--no-training")
    assert done.exit_code == 0, done.output
    plan = called[0][0]
    assert (plan.installation, plan.skip) == (HERE, ("kserve", "database"))
    assert (plan.settings, plan.training, plan.port) == (("a=b",), False, None)
    assert [path.name for path in plan.values] == ["small.yaml", "values.yaml"]


def test_down_removes_no_more_than_it_is_told(called):
    run("down", *OPTIONS)
    run("down", "--platform", "--data")
    plan, named = called[0]
    assert (plan.installation, named) == (HERE, {"platform": False, "data": False})
    assert called[1][1] == {"platform": True, "data": True}


def test_the_doctor_shows_what_fails_and_exits_with_one(called):
    done = run("doctor", *OPTIONS)
    assert (done.exit_code, called[0][0]) == (1, HERE)
    assert "fails" in done.output


def test_addresses_are_those_of_the_namespace(called):
    run("addresses", "--namespace", "bw", "--context", "here", "--port", "8080")
    assert called[0][0] == Installation(Kubectl("here"), "bw", "bellwether")


def test_kind_up_takes_a_profile(called):
    assert run("kind-up", "--profile", "small").exit_code == 0
    assert called[0] == ("small", {"training": True})


def test_ctrl_c_is_said_to_be_no_loss(called, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bellwether.cluster.up.bring_up", interrupted)
    done = run("up")
    assert done.exit_code == EXIT_INTERRUPTED
    assert "The same command continues from here" in done.output
