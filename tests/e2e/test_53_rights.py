"""What may run in our namespace, and who may do what."""

import json

import pytest

from tests.chart.restricted import own_violations, violations
from tests.e2e.cluster import ROLLOUT

OURS = "app.kubernetes.io/part-of=bellwether"


def test_the_namespace_lets_only_restricted_pods_in(cluster):
    labels = cluster.get("namespace", cluster.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = cluster.get("pods")
    components = {p["metadata"]["labels"].get("app.kubernetes.io/component") for p in pods}
    assert {"page", "mlflow", "model"} <= components
    assert {p["metadata"]["name"]: list(violations(p["spec"])) for p in pods} == {
        pod["metadata"]["name"]: [] for pod in pods
    }
    initializers = [
        container
        for pod in pods
        for container in pod["spec"].get("initContainers", [])
        if container["name"] == "storage-initializer"
    ]
    assert initializers, "no model pod has KServe's init container"


def test_pods_that_the_chart_describes_meet_our_own_rules_too(cluster):
    described = [
        pod
        for pod in cluster.pods(OURS)
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in {"page", "mlflow"}
    ]
    assert len(described) >= 2
    for pod in described:
        assert list(own_violations(pod["spec"])) == [], pod["metadata"]["name"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"securityContext": {"privileged": True}},
        {"securityContext": {"runAsUser": 0}},
        {},
    ],
    ids=["privileged", "root", "says nothing"],
)
def test_a_pod_that_asks_for_more_is_refused(cluster, spoiled):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "e2e-intruder"},
        "spec": {"containers": [{"name": "intruder", "image": "intruder", **spoiled}]},
    }
    tried = cluster.run(
        *("kubectl", "--namespace", cluster.namespace, "create", "--filename", "-"),
        text=json.dumps(pod),
    )
    assert tried.code != 0
    assert 'violates PodSecurity "restricted' in tried.output
    assert not cluster.exists("pod", "e2e-intruder")


def test_no_right_of_ours_is_a_wildcard_or_reaches_beyond_the_namespace(cluster):
    roles = cluster.get("roles", labels=OURS)
    assert roles
    for role in roles:
        for rule in role["rules"]:
            named = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not any("*" in one for one in named), role["metadata"]["name"]
            assert "secrets" not in rule["resources"]
    everywhere = [
        binding["metadata"]["name"]
        for binding in cluster.get("clusterrolebindings")
        for subject in binding.get("subjects") or []
        if subject.get("namespace") == cluster.namespace
    ]
    assert everywhere == []
    subjects = [
        (binding["roleRef"]["kind"], binding["roleRef"]["name"], subject["name"])
        for binding in cluster.get("rolebindings")
        for subject in binding.get("subjects") or []
    ]
    assert subjects == [("Role", "bellwether-rollout", "bellwether-rollout")]


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (("patch", "httproutes/bellwether-forecast"), True),
        (("create", "inferenceservices.serving.kserve.io"), True),
        (("get", "configmaps/bellwether-rollout"), True),
        (("patch", "httproutes/bellwether-page"), False),
        (("get", "secrets/bellwether-database"), False),
        (("get", "configmaps/bellwether-settings"), False),
        (("create", "pods"), False),
        (("create", "pods", "--subresource=exec"), False),
        (("create", "rolebindings"), False),
        (("list", "horizontalpodautoscalers"), False),
        (("delete", "poddisruptionbudgets"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "may" if value else "no",
)
def test_the_rollout_may_do_its_work_and_no_more(cluster, asked, allowed):
    words = ("auth", "can-i", *asked, f"--as={ROLLOUT}", "--namespace", cluster.namespace)
    answer = cluster.run("kubectl", *words)
    assert answer.output.splitlines()[-1] == ("yes" if allowed else "no"), answer.output
