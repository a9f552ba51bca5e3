"""What the API server lets the rollout's account write: versions of its model, and nothing else."""

import copy
import json

import pytest

from forecasting.adapters.cluster.manifests import RolloutConfig, VersionSpec, inference_service
from tests.e2e.cluster import ROLLOUT


def asked_by_the_rollout(cluster, verb, *words, text=""):
    """What the API server says to the rollout's account; nothing is written."""
    return cluster.run(
        *("kubectl", "--namespace", cluster.namespace, f"--as={ROLLOUT}", verb),
        *(*words, "--dry-run=server"),
        text=text,
    )


@pytest.fixture
def version(cluster):
    """A version as the rollout writes it."""
    data = cluster.get("configmap", "bellwether-rollout")["data"]
    config = RolloutConfig.parse("bellwether-rollout", data)
    spec = VersionSpec(9999, f"{config.artifact_store}/1/e2e/artifacts/bundle", "0" * 64, "ridge")
    return inference_service(config, spec, cluster.namespace)


def test_the_rollout_may_run_a_version_of_ours(cluster, version):
    made = asked_by_the_rollout(cluster, "create", "--filename=-", text=json.dumps(version))
    assert made.code == 0, made.output


def other_secret(version):
    (digest,) = (
        variable
        for variable in version["spec"]["predictor"]["model"]["env"]
        if variable["name"] == "BELLWETHER_BUNDLE_DIGEST"
    )
    del digest["value"]
    digest["valueFrom"] = {"secretKeyRef": {"name": "bellwether-database", "key": "password"}}


def other_volume(version):
    secret = {"name": "other", "secret": {"secretName": "bellwether-database"}}
    version["spec"]["predictor"]["volumes"] = [secret]


def other_name(version):
    version["metadata"]["name"] = "intruder"


def other_account(version):
    version["spec"]["predictor"]["serviceAccountName"] = "bellwether-rollout"


def other_runtime(version):
    version["spec"]["predictor"]["model"]["runtime"] = "another"


def other_bundle(version):
    version["spec"]["predictor"]["model"]["storageUri"] = "s3://bellwether/lake/"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_secret, "may not add containers, volumes or variables from elsewhere"),
        (other_volume, "may not add containers, volumes or variables from elsewhere"),
        (other_name, "may only write versions of its model"),
        (other_account, "may only run the ServingRuntime bellwether"),
        (other_runtime, "ServingRuntime"),
        (other_bundle, "may only serve bundles below s3://bellwether/mlflow"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_rollout_may_run_nothing_else(cluster, version, spoil, says):
    spoiled = copy.deepcopy(version)
    spoil(spoiled)
    made = asked_by_the_rollout(cluster, "create", "--filename=-", text=json.dumps(spoiled))
    assert made.code != 0
    # KServe's own webhook may refuse a runtime that is not there first.
    assert says in made.output or spoil is other_runtime, made.output


@pytest.fixture
def autoscaler(cluster):
    """Of somebody else, for nothing that is there."""
    name = "e2e-autoscaler"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "maxReplicas": 1},
    }
    cluster.apply(json.dumps(made))
    yield name
    cluster.delete("horizontalpodautoscaler", name)


def test_the_rollout_may_not_delete_an_autoscaler_of_others(cluster, autoscaler):
    tried = asked_by_the_rollout(cluster, "delete", "horizontalpodautoscaler", autoscaler)
    assert tried.code != 0
    assert "the rollout may only delete autoscalers of versions of its model" in tried.output


def test_the_rollout_may_not_lead_requests_elsewhere(cluster):
    elsewhere = {
        "spec": {"rules": [{"backendRefs": [{"name": "bellwether-mlflow", "port": 5000}]}]}
    }
    words = ("httproute", "bellwether-forecast", "--type=merge", f"--patch={json.dumps(elsewhere)}")
    tried = asked_by_the_rollout(cluster, "patch", *words)
    assert tried.code != 0
    assert "the rollout may only lead requests to versions of its model" in tried.output
