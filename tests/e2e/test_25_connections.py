"""Running containers from inside: who they are, what they may change, and whom they speak to."""

import base64

import pytest

from forecasting.adapters.database_roles import GRAFANA, NAMES
from tests.e2e.installation import STORE_ACCOUNTS
from tests.e2e.network import Policies

PASSWORDS = {
    ("bellwether-objectstore", ""): ("AWS_SECRET_ACCESS_KEY",),
    ("bellwether-database", ""): ("password", "readerPassword"),
    **{
        (f"bellwether-objectstore-{name}", ""): ("AWS_SECRET_ACCESS_KEY",)
        for name in STORE_ACCOUNTS
    },
    **{(f"bellwether-database-{name}", ""): ("password",) for name in NAMES if name != GRAFANA},
    ("bellwether-login", ""): ("password",),
    ("postgresql", "bellwether-data"): ("POSTGRES_PASSWORD",),
}
SEEN_FLOWS = {
    ("envoy-gateway-system", "page", 7860),
    ("envoy-gateway-system", "model", 8080),
    ("envoy-gateway-system", "model", 8081),
    ("monitoring", "model", 8080),
    ("page", "mlflow", 5000),
    ("page", "minio", 9000),
    ("page", "envoy-gateway-system", 10080),
    ("page", "bellwether-data", 5432),
    ("mlflow", "bellwether-data", 5432),
    ("mlflow", "minio", 9000),
    ("model", "bellwether-data", 5432),
    ("model", "minio", 9000),
    ("training", "mlflow", 5000),
    ("training", "minio", 9000),
    ("refresh", "minio", 9000),
    ("drift", "mlflow", 5000),
    ("drift", "minio", 9000),
    ("drift", "bellwether-data", 5432),
}
"""Connections that surely happen: a watch that misses one of them has not looked. What jobs
do last is not among them (they push, and the rollout asks): their pods end within moments of it."""


@pytest.fixture(scope="module")
def seen(at_work):
    """What was seen of everything at work."""
    return at_work.seen


def test_forecasts_were_answered_meanwhile(at_work):
    assert at_work.answers.sent > 0
    assert at_work.answers.failed == 0, str(at_work.answers)


@pytest.fixture(scope="module")
def passwords(cluster):
    """Every secret value of ours, as it is and as Kubernetes writes it."""
    values = [
        cluster.secret(name, namespace=namespace)[key]
        for (name, namespace), keys in PASSWORDS.items()
        for key in keys
    ]
    assert all(len(value) >= 12 for value in values)
    return values + [base64.b64encode(value.encode()).decode() for value in values]


def test_no_secret_value_stands_in_an_object_a_log_or_the_release(cluster, at_work, passwords):
    kinds = (
        "configmaps,pods,jobs,cronjobs,deployments,replicasets,events,services,endpointslices,"
        "inferenceservices.serving.kserve.io,servingruntimes.serving.kserve.io,httproutes,"
        "grpcroutes,gateways,envoyproxies,podmonitors,prometheusrules,networkpolicies,roles"
    )
    texts = {"objects": cluster.kubectl("get", kinds, "--output=yaml")}
    for pod in cluster.get("pods"):
        name = pod["metadata"]["name"]
        words = ("logs", name, "--all-containers", "--tail=-1")
        texts[f"log of {name}"] = cluster.run(
            "kubectl", "--namespace", cluster.namespace, *words
        ).output
    for what in (("values", "--all"), ("manifest",), ("hooks",), ("notes",)):
        said = cluster.helm("get", what[0], "bellwether", *what[1:]).expect().output
        texts[f"release's {what[0]}"] = said
    assert len(texts["objects"]) > 10_000
    assert any(len(text) > 1_000 for name, text in texts.items() if name.startswith("log"))
    found = [name for name, text in texts.items() if any(one in text for one in passwords)]
    assert found == []


def test_tokens_are_where_the_rollout_is_and_nowhere_else(cluster, seen):
    looked_into = {inside.name: inside.facts for inside in seen.insides if inside.facts}
    with_token = {name.rpartition("/")[2] for name, facts in looked_into.items() if facts["token"]}
    assert with_token == {"rollout"}
    mounting = {
        container["name"]
        for pod in seen.network.pods.values()
        if pod["metadata"]["namespace"] == cluster.namespace
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        for mount in container.get("volumeMounts", [])
        if "serviceaccount" in mount["mountPath"]
    }
    assert {"rollout"} <= mounting <= {"rollout", "quality"}


def test_running_containers_are_nobody_and_can_change_nothing_of_themselves(seen, figures):
    looked_into = [inside for inside in seen.insides if inside.facts]
    parts = {inside.name.rpartition("/")[2] for inside in looked_into}
    assert {"mlflow", "page", "kserve-container", "train", "rollout", "drift", "refresh"} <= parts
    for inside in looked_into:
        facts = inside.facts
        assert facts["user"] == 10001, inside.name
        assert facts["capabilities"] == 0, inside.name
        assert facts["no_new_privileges"], inside.name
        assert facts["filtered"], inside.name
        if inside.container != "storage-initializer":  # KServe's own, which has to write
            assert facts["writable"] == [], inside.name
    figures.record("security", "containers looked into", len(looked_into))


def test_no_secret_value_is_an_argument_of_a_process(seen, passwords):
    for inside in seen.insides:
        for command in inside.facts.get("commands", []):
            assert not any(one in command for one in passwords), inside.name


def test_no_connection_is_one_that_no_policy_allows(cluster, seen, figures):
    found = cluster.get("networkpolicies")
    policies = Policies(found)
    assert any(policy["spec"]["podSelector"] == {} for policy in found), "no default-deny"
    connections = seen.connections()
    refused = seen.refused(policies)
    figures.record("network", "distinct connections of our pods", len(connections))
    figures.record("network", "of them allowed by no policy", len(refused), wanted="0")
    assert refused == [], "\n".join(refused)
    flows = {one.flow for one in connections}
    figures.record("network", "kinds of connections (who, whom, port)", len(flows))
    assert SEEN_FLOWS - flows == set(), sorted(flows)


def test_the_evaluation_is_not_asleep(cluster, seen):
    """Without the policies that allow, default-deny alone refuses nearly everything."""
    deny = [p for p in cluster.get("networkpolicies") if p["spec"]["podSelector"] == {}]
    assert len(seen.refused(Policies(deny))) >= len(SEEN_FLOWS)
