"""Commands of an installation go to its cluster and namespace."""

import pytest

from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl


@pytest.fixture
def here():
    return Installation(Kubectl("here"), "bw", "bellwether")


def test_commands_name_cluster_and_namespace(here):
    assert here.command("get", "pods")[1:] == [
        *("--context", "here"),
        *("get", "pods", "--namespace", "bw"),
    ]
    assert here.helm("list")[1:] == ["--kube-context", "here", "list", "--namespace", "bw"]


def test_objects_are_those_of_the_namespace(here, programs):
    programs.answer("get", "--namespace bw", out={"items": []})
    programs.answer("get secret missing", err="not found", code=1)
    assert here.objects("pods") == {"items": []}
    assert here.exists("secret", "there")
    assert not here.exists("secret", "missing")
