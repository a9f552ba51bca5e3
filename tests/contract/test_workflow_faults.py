"""Faults of Kubeflow Pipelines: slow, away, broken or of another kind, each named with a remedy."""

import socket

import kfp_server_api as kfp
import pytest

from forecasting.adapters.workflows.client import TRAINING, Workflows
from forecasting.errors import (
    InvalidInput,
    InvalidSettings,
    UnknownWorkflow,
    WorkflowsUnavailable,
)
from tests.contract.kubeflow_pipelines import PACKAGE, read, refused, written
from tests.contract.replay_server import AWAY, BROKEN, HTML, Answer, data, late
from tests.time_limits import expires, seconds


def everything(workflows):
    """One call of each kind, by name."""
    return {
        "check": workflows.check,
        "upload": lambda: workflows.upload(TRAINING, "a", PACKAGE),
        "run": lambda: workflows.run("r"),
        "runs": workflows.runs,
        "schedules": workflows.schedules,
        "unschedule": lambda: workflows.unschedule(TRAINING),
    }


@pytest.mark.parametrize("call", ["check", "upload", "run", "runs", "schedules", "unschedule"])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (BROKEN, "the address must be that of Kubeflow Pipelines' API"),
        (refused(500, 13, "Internal error: no database"), "500: Internal error: no database"),
        (AWAY, "must not fail"),
        (HTML, "port 8888"),
        (data([]), "answered"),
        (Answer(401, b'{"code":16,"message":"no"}'), "single-user mode"),
        (Answer(404, b'{"code":5,"message":"Not Found"}'), "API v2beta1"),
    ],
    ids=["plain 500", "500", "503", "HTML", "a list", "401", "no such path"],
)
def test_faults_are_told_in_words(server, workflows, call, fault, says):
    server.answer = lambda _: fault
    with pytest.raises(WorkflowsUnavailable) as raised:
        everything(workflows)[call]()
    assert says in str(raised.value)
    assert raised.value.remedy
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("call", ["check", "upload", "run", "runs", "schedules", "unschedule"])
def test_a_server_that_is_slow_or_away_is_told_in_words(server, call):
    server.answer = lambda _: late(data({}), 0.4)
    with (
        Workflows(server.address, timeout=expires(0.1)) as slow,
        pytest.raises(WorkflowsUnavailable, match=r"said nothing for 0\.1 s"),
    ):
        everything(slow)[call]()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with (
        Workflows(f"http://127.0.0.1:{port}") as away,
        pytest.raises(WorkflowsUnavailable, match="Connection refused"),
    ):
        everything(away)[call]()


def test_what_the_server_does_not_know_is_the_callers_matter(workflows):
    with pytest.raises(UnknownWorkflow, match="Run r not found") as raised:
        workflows.run("r")
    assert (raised.value.status, raised.value.exit_code) == (404, 2)


def test_a_conflict_whose_cause_is_nowhere_is_told(server, workflows, cluster):
    def conflicting(one):
        return refused(409, 6, "taken") if one.method == "POST" else cluster(one)

    server.answer = conflicting
    with pytest.raises(InvalidInput, match="409: taken"):
        workflows.upload(TRAINING, "a", PACKAGE)


@pytest.mark.parametrize(
    ("health", "says"),
    [({"tag_name": "2.16.1"}, "2.17 or newer"), ({"multi_user": True}, "single-user mode")],
)
def test_a_server_we_cannot_speak_to_is_refused(workflows, cluster, health, says):
    cluster.health |= health
    with pytest.raises(WorkflowsUnavailable, match=says):
        workflows.check()


@pytest.mark.parametrize(
    ("tag", "version"), [("2.17.0", "2.17.0"), ("v2.18.1", "v2.18.1"), ("unknown", "")]
)
def test_a_server_says_its_version_if_it_knows_it(workflows, cluster, tag, version):
    cluster.health["tag_name"] = tag
    assert workflows.check() == version


def test_a_server_is_waited_for_while_it_comes_up(server, workflows):
    server.faults = [AWAY, AWAY]
    said = []
    assert workflows.wait(seconds(20), said.append) == "2.17.0"
    assert len(said) == 1, "the same trouble is told once"
    server.answer = lambda _: AWAY
    with pytest.raises(WorkflowsUnavailable):
        workflows.wait(0, said.append)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InvalidSettings, match="BELLWETHER_PIPELINES_URL"):
        Workflows("ml-pipeline:8888")


def test_the_stand_in_finds_a_field_that_the_api_does_not_have():
    body = written(kfp.V2beta1Run(display_name="x")) | {"idempotency_key": "k"}
    with pytest.raises(AssertionError, match="V2beta1Run is not"):
        read(body, "V2beta1Run")
