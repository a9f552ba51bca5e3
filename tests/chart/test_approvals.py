"""Where a person has to approve versions, the rollout, the page and a check of its own know it."""

import json

from tests.chart.rendering import one, render

ASKED = "rollout.approval.required=true"
KFP = "training.engine=kfp"


def said(*settings):
    made = render("", *settings)
    config = json.loads(one(made, "ConfigMap", "bellwether-rollout")["data"]["rollout.json"])
    settings_of_pods = one(made, "ConfigMap", "bellwether-settings")["data"]
    return config["approvalRequired"], settings_of_pods["BELLWETHER_PAGE_APPROVALS"]


def checks(*settings):
    return [
        made["metadata"]["name"]
        for made in render("", *settings)
        if made["kind"] == "CronJob" and made["metadata"]["name"] == "bellwether-rollout"
    ]


def test_nobody_has_to_approve_unless_a_value_asks_for_it():
    assert said() == (False, "false")
    assert said(ASKED) == (True, "true")


def test_an_approval_comes_after_the_training_so_a_check_of_its_own_looks_for_it():
    assert checks() == []
    assert checks(ASKED) == ["bellwether-rollout"]
    assert checks(KFP) == checks(KFP, ASKED) == ["bellwether-rollout"]
    assert checks(ASKED, "training.rollout=false") == []


def test_values_of_a_release_before_have_no_such_key_and_ask_for_nothing():
    assert said("rollout.approval=null") == (False, "false")
