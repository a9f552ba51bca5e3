"""The store is started anew when its list of accounts has changed, and only then."""

import json

import pytest

from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.object_store import ANNOTATION, read_accounts


@pytest.fixture
def store(programs):
    """A store whose list of accounts is there; its pod notes nothing of it."""
    programs.answer("--output name", out="there")
    programs.answer("get secret", "--output json", out={"data": {"x": "MQ=="}})
    programs.answer("get deployment", "--output json", out={"spec": {"template": {}}})
    return programs


def noted(store):
    (call,) = store.calls("patch deployment")
    patch = json.loads(call.partition("--patch ")[2].partition(" --namespace")[0])
    return patch["spec"]["template"]["metadata"]["annotations"]


def test_a_store_that_does_not_know_its_list_starts_anew_and_is_waited_for(store, step):
    read_accounts(Kubectl("here"), step)
    assert set(noted(store)) == {ANNOTATION}
    (waited,) = store.calls("rollout status")
    assert "--context here" in waited
    assert waited.endswith("--namespace bellwether-objectstore")


def test_a_list_that_is_unchanged_starts_nothing_anew(store, step):
    read_accounts(Kubectl(), step)
    known = {"spec": {"template": {"metadata": {"annotations": noted(store)}}}}
    store.answer("get deployment", "--output json", out=known)
    read_accounts(Kubectl(), step)
    assert len(store.calls("patch deployment")) == 1
    store.answer("get secret", "--output json", out={"data": {"x": "Mg=="}})
    read_accounts(Kubectl(), step)
    assert len(store.calls("patch deployment")) == 2


def test_a_store_of_others_is_left_alone(programs, step):
    programs.answer("get deployment", err="not found", code=1)
    read_accounts(Kubectl(), step)
    assert programs.calls("patch") == []
