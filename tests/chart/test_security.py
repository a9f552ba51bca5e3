"""Pods are restricted, tokens are where they are used, and rights are named one by one."""

import pytest

from tests.chart.rendering import CHART, PROFILES, objects, one, pods, render, template
from tests.chart.restricted import own_violations, violations


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_meets_the_restricted_standard(profile):
    found = dict(pods(render(profile)))
    assert len(found) == (8 if profile == "kfp" else 7)
    assert {n: list(violations(s)) for n, s in found.items()} == {key: [] for key in found}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_writes_to_two_folders_only_and_has_limits_and_no_token(profile):
    found = dict(pods(render(profile)))
    assert {n: list(own_violations(s)) for n, s in found.items()} == {key: [] for key in found}


def test_the_checks_of_the_standard_find_violations():
    spec = dict(pods(render()))["Deployment/bellwether-page"]
    spec = {**spec, "hostNetwork": True, "containers": [{**spec["containers"][0]}]}
    spec["containers"][0]["securityContext"] = {"capabilities": {"add": ["SYS_ADMIN"]}}
    assert list(violations(spec)) == [
        "hostNetwork is on",
        "page may gain privileges",
        "page keeps capabilities",
        "page adds capabilities",
    ]


def test_the_storage_initializer_of_our_own_meets_the_standard():
    container = next(o for o in render("external") if o["kind"] == "ClusterStorageContainer")
    spec = {"containers": [container["spec"]["container"]]}
    assert list(violations(spec)) == []


def test_only_the_rollout_container_mounts_a_token():
    mounts = [
        (name, container["name"])
        for name, spec in pods(render())
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        if any("serviceaccount" in mount["mountPath"] for mount in container["volumeMounts"])
    ]
    assert mounts == [("CronJob/bellwether-training", "rollout")]


def test_without_a_rollout_nothing_has_a_token():
    made = dict(pods(render("", "training.rollout=false")))["CronJob/bellwether-training"]
    assert made["serviceAccountName"] == "bellwether"
    assert [volume["name"] for volume in made["volumes"]] == ["tmp", "state"]
    assert [container["name"] for container in made["containers"]] == ["train"]


def test_no_right_is_a_wildcard_and_none_is_cluster_wide():
    rendered = render()
    assert not [o for o in rendered if o["kind"].startswith("ClusterRole")]
    for role in (o for o in rendered if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


def test_the_rollout_writes_weights_of_our_routes_only():
    rules = one(render(), "Role", "bellwether-rollout")["rules"]
    routes = {
        resource: (rule["resourceNames"], rule["verbs"])
        for rule in rules
        for resource in rule["resources"]
        if resource.endswith("routes")
    }
    assert routes == {
        "httproutes": (["bellwether-forecast"], ["get", "update", "patch"]),
        "grpcroutes": (["bellwether-forecast-grpc"], ["get", "update", "patch"]),
    }


def test_no_password_is_in_any_object_and_none_is_an_argument():
    text = template().stdout
    assert not [o for o in objects(text) if o["kind"] == "Secret"]
    for name, spec in pods(render()):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            words = " ".join([*container.get("command", []), *container.get("args", [])])
            assert "PASSWORD" not in words, name
            assert "SECRET" not in words, name


def test_images_can_be_named_by_digest():
    digest = "sha256:" + "a" * 64
    made = render("", f"images.ui.digest={digest}", "images.registry=ghcr.io/acme")
    page = dict(pods(made))["Deployment/bellwether-page"]
    assert page["containers"][0]["image"] == f"ghcr.io/acme/bellwether/ui@{digest}"


def test_the_chart_holds_no_secret_values():
    assert "password:" not in (CHART / "values.yaml").read_text()
