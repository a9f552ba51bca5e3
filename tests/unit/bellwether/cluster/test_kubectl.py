"""Programs are run, and their failures come with a remedy."""

import pytest

from bellwether.cluster.kubectl import Kubectl, ask, condition, follow, holds, lines, run
from forecasting.errors import Unavailable
from tests.time_limits import expires


def test_commands_name_the_context_when_there_is_one():
    assert Kubectl().command("get", "pods") == ["kubectl", "get", "pods"]
    assert Kubectl("here").command("get") == ["kubectl", "--context", "here", "get"]
    assert Kubectl("here").helm("list") == ["helm", "--kube-context", "here", "list"]


def test_a_program_that_fails_is_told_with_the_end_of_its_output_and_a_remedy(programs):
    programs.answer("get", err="one\nThe connection refused by the server\n", code=1)
    with pytest.raises(
        Unavailable,
        match=r"`kubectl get pods` must succeed: it ended with 1: one"
        r"\nThe connection refused",
    ) as caught:
        run(["kubectl", "get", "pods"])
    assert caught.value.remedy.startswith("Is the cluster running?")
    programs.answer("get", err="something else", code=1)
    with pytest.raises(Unavailable, match="Run it by hand"):
        run(["kubectl", "get", "pods"])


def test_asking_takes_every_ending(programs):
    programs.answer("get", out="a", err="b", code=3)
    result = ask(["kubectl", "get"])
    assert (result.code, result.out, result.err) == (3, "a", "b")


def test_a_program_that_is_not_installed_is_named(programs):
    with pytest.raises(Unavailable, match="docker must be installed"):
        run(["docker", "version"])


def test_a_program_that_takes_too_long_is_given_up():
    with pytest.raises(Unavailable, match="sleep must answer within"):
        ask(["sleep", "9"], timeout=expires(0.05))


def test_a_long_program_is_followed(monkeypatch):
    monkeypatch.setattr("bellwether.cluster.kubectl.TICK_SECONDS", 0.0)
    ticks = []
    assert follow(["sh", "-c", "sleep 0.5; echo done"], ticks.append) == "done\n"
    assert ticks
    with pytest.raises(Unavailable, match="ended with 7: broken"):
        follow(["sh", "-c", "echo broken >&2; exit 7"], ticks.append)


def test_lines_come_as_they_are_written_and_an_ending_is_no_error():
    assert list(lines(["sh", "-c", "echo a; echo b; exit 1"])) == ["a", "b"]


def test_objects_are_read_as_json(programs):
    programs.answer("get pods --output json", out={"items": [1]})
    assert Kubectl().objects("pods") == {"items": [1]}


@pytest.mark.parametrize(
    "err",
    [
        'Error from server (NotFound): crds "x" not found',
        'error: the server doesn\'t have a resource type "x"',
        "no matches for kind X",
    ],
)
def test_what_is_not_there_or_unknown_does_not_exist(programs, err):
    programs.answer("get crd x", out="crd/x\n")
    assert Kubectl().exists("crd", "x")
    programs.answer("get crd x", err=err, code=1)
    assert not Kubectl().exists("crd", "x")


def test_a_cluster_that_cannot_be_asked_is_not_one_without_the_object(programs):
    programs.answer("get crd x", err="forbidden", code=1)
    with pytest.raises(Unavailable, match="forbidden"):
        Kubectl().exists("crd", "x")


def test_conditions_are_found_by_their_type():
    entries = [
        {"type": "Ready", "status": "False", "message": "no"},
        {"type": "A", "status": "True"},
    ]
    item = {"status": {"conditions": entries}}
    assert condition(item, "Ready")["message"] == "no"
    assert (holds(item, "A"), holds(item, "Ready"), holds(item, "B")) == (True, False, False)
    assert condition({}, "Ready") == {}
