"""The doctor says where alerts go, and when they go nowhere."""

from bellwether.cluster.alerting import judge_receivers, receivers
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl

ALERTMANAGER = {"items": [{"metadata": {"name": "main"}}]}
NONE = {"items": []}
HERE = Installation(Kubectl(), "bw", "bellwether")


def config(**receiver):
    return {"items": [{"spec": {"receivers": [{"name": "bellwether", **receiver}]}}]}


def test_receivers_are_named_by_their_kind():
    told = config(emailConfigs=[{"to": "a@b.example"}], slackConfigs=[], webhookConfigs=[{}])
    assert judge_receivers(told, ALERTMANAGER) == "alerts go to email, webhook"


def test_it_is_said_when_alerts_go_nowhere_and_what_to_set():
    said = judge_receivers(NONE, ALERTMANAGER)
    assert said.startswith("alerts go nowhere")
    assert "Set monitoring.receivers" in said
    assert "the cluster has no Alertmanager" in judge_receivers(config(emailConfigs=[{}]), NONE)


def test_a_cluster_without_the_operators_kinds_is_said_and_is_no_fault(programs):
    programs.answer(
        "get alertmanagerconfigs", err="the server doesn't have a resource type", code=1
    )
    assert receivers(HERE).startswith("alerts go nowhere, as far as can be seen")
    programs.answer("get alertmanagerconfigs", out=config(slackConfigs=[{}]))
    programs.answer("get alertmanagers", out=ALERTMANAGER)
    assert receivers(HERE) == "alerts go to slack"
