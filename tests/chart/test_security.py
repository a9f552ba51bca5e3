"""Pods are restricted, tokens are where they are used, and rights are named one by one."""

import pytest

from tests.chart.rendering import CHART, PROFILES, objects, one, pods, render, template
from tests.chart.restricted import own_violations, violations


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_meets_the_restricted_standard(profile):
    found = dict(pods(render(profile)))
    assert len(found) == (10 if profile == "kfp" else 9)
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


def test_only_the_rollouts_containers_mount_a_token():
    mounts = [
        (name, container["name"])
        for name, spec in pods(render())
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        if any("serviceaccount" in mount["mountPath"] for mount in container["volumeMounts"])
    ]
    rollouts = {
        ("Job/bellwether-restore-1", "rollout"),
        ("CronJob/bellwether-training", "rollout"),
        ("CronJob/bellwether-quality", "quality"),
    }
    assert set(mounts) == rollouts
    assert len(mounts) == 3


def test_without_a_rollout_the_training_has_no_token():
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
        "httproutes": (["bellwether-forecast"], ["get", "patch"]),
        "grpcroutes": (["bellwether-forecast-grpc"], ["get", "patch"]),
    }


WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def policies(*settings):
    rendered = render("", *settings)
    bindings = {
        o["spec"]["policyName"]: o["spec"]
        for o in rendered
        if o["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    return [
        (o["spec"], bindings.pop(o["metadata"]["name"]))
        for o in rendered
        if o["kind"] == "ValidatingAdmissionPolicy"
    ]


def test_whatever_the_rollout_may_write_a_policy_looks_into():
    looked = set()
    for policy, binding in policies():
        (rule,) = policy["matchConstraints"]["resourceRules"]
        looked |= {(*rule["resources"], one) for one in rule["operations"]}
        (condition,) = policy["matchConditions"]
        account = "system:serviceaccount:bellwether:bellwether-rollout"
        assert condition["expression"] == f"request.userInfo.username == '{account}'"
        assert policy["failurePolicy"] == "Fail"
        assert binding["validationActions"] == ["Deny"]
        selected = binding["matchResources"]["namespaceSelector"]["matchLabels"]
        assert selected == {"kubernetes.io/metadata.name": "bellwether"}
    operations = {"create": {"CREATE"}, "patch": {"UPDATE"}, "delete": {"DELETE"}}
    written = {
        (resource, operation)
        for rule in one(render(), "Role", "bellwether-rollout")["rules"]
        for resource in rule["resources"]
        for verb in WRITES & set(rule["verbs"])
        for operation in operations[verb]
    }
    assert written == looked


def test_a_policy_names_the_model_the_runtime_and_the_bucket_of_the_release():
    settings = ("model.name=btc", "nameOverride=acme", "objectStore.bucket=prices")
    text = " ".join(
        rule["expression"] for policy, _ in policies(*settings) for rule in policy["validations"]
    )
    assert "'^btc-v[0-9]+$'" in text
    assert "== 'bellwether-acme'" in text
    assert "'s3://prices/mlflow/'" in text
    assert "{{" not in text


def test_policies_of_the_whole_cluster_can_be_left_out():
    assert policies("rollout.admissionPolicy=false") == []
    assert len(policies()) == 6
    assert len(policies("serving.grpc=false")) == 5


def test_no_password_is_in_any_object_and_none_is_an_argument():
    text = template().stdout
    assert not [o for o in objects(text) if o["kind"] == "Secret"]
    for name, spec in pods(render()):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            words = " ".join([*container.get("command", []), *container.get("args", [])])
            assert "PASSWORD" not in words, name
            assert "SECRET" not in words, name


def test_without_accounts_of_their_own_all_have_the_keys_of_the_owner():
    names = {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for _, spec in pods(render())
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for variable in container.get("env", [])
        if variable["name"].startswith("AWS_") and "valueFrom" in variable
    }
    assert names == {"bellwether-objectstore"}


def test_images_can_be_named_by_digest():
    digest = "sha256:" + "a" * 64
    made = render("", f"images.ui.digest={digest}", "images.registry=containers.example.org/acme")
    page = dict(pods(made))["Deployment/bellwether-page"]
    assert page["containers"][0]["image"] == f"containers.example.org/acme/bellwether/ui@{digest}"


def test_the_chart_holds_no_secret_values():
    assert "password:" not in (CHART / "values.yaml").read_text()
