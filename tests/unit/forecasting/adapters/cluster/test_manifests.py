"""What a rollout writes of a version, from what Helm says: its service and disruption budget."""

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given

from forecasting.adapters.cluster.manifests import (
    RolloutConfig,
    VersionSpec,
    disruption_budget,
    inference_service,
    read_version_spec,
    storage_uri,
)
from forecasting.errors import BundleRejected, InvalidSettings
from forecasting.path_names import is_plain_name
from tests.hostile_names import HOSTILE_NAMES

SAID = {
    "route": "bellwether-forecast",
    "grpcRoute": "bellwether-forecast-grpc",
    "model": "bellwether",
    "artifactStore": "s3://bellwether/mlflow",
    "steps": [10, 25, 50, 100],
    "minutesPerStep": 5,
    "prometheusUrl": "http://prometheus.monitoring:9090",
    "pushgatewayUrl": "",
    "servicePort": 80,
    "grpcPort": 8081,
    "registryService": "bellwether-mlflow",
    "registryPort": 5000,
}
TEMPLATE = {
    "metadata": {"labels": {"networking.kserve.io/visibility": "cluster-local"}},
    "spec": {
        "predictor": {
            "minReplicas": 1,
            "model": {"runtime": "bellwether", "env": [{"name": "OTHER", "value": "kept"}]},
        }
    },
}
BUDGET = {"spec": {"minAvailable": 1}}
SPEC = VersionSpec(7, "s3://bellwether/mlflow/1/abc/artifacts/bundle", "d" * 64, "ridge")


def data(**changes):
    return {
        "rollout.json": json.dumps({**SAID, **changes}),
        "inferenceservice.yaml": yaml.safe_dump(TEMPLATE),
        "poddisruptionbudget.yaml": yaml.safe_dump(BUDGET),
    }


CONFIG = RolloutConfig.parse("bellwether-rollout", data())


def test_a_config_map_that_lacks_a_part_is_refused_by_name():
    with pytest.raises(InvalidSettings, match=r"bellwether-rollout: KeyError\('rollout.json'\)"):
        RolloutConfig.parse("bellwether-rollout", {})
    with pytest.raises(InvalidSettings, match="a mapping is needed"):
        RolloutConfig.parse("x", {**data(), "inferenceservice.yaml": "- a list"})


@pytest.mark.parametrize(
    ("artifact_uri", "found"),
    [
        ("mlflow-artifacts:/1/abc/artifacts", "s3://bellwether/mlflow/1/abc/artifacts/bundle"),
        (
            "mlflow-artifacts://host:5000/1/abc/artifacts",
            "s3://bellwether/mlflow/1/abc/artifacts/bundle",
        ),
        (
            "s3://bellwether/mlflow/1/abc/artifacts/",
            "s3://bellwether/mlflow/1/abc/artifacts/bundle",
        ),
    ],
)
def test_a_bundle_is_found_where_the_registry_put_it(artifact_uri, found):
    assert storage_uri(artifact_uri, "s3://bellwether/mlflow") == found


@pytest.mark.parametrize(
    "artifact_uri",
    [
        *("/home/me/mlruns/1/abc/artifacts", "file:///home/me", "", "s3://bellwether/lake"),
        *(
            "s3://else/where/1/abc/artifacts",
            "s3://bellwether/mlflow",
            "s3://bellwether/mlflow-2/1",
        ),
        *("s3://bellwether/mlflow/../lake", "mlflow-artifacts:/../lake", "mlflow-artifacts:/"),
        *("s3://bellwether/mlflow/1//lake", "mlflow-artifacts://host:5000/1/%2e%2e/lake"),
    ],
)
def test_a_bundle_outside_the_artifact_store_is_refused(artifact_uri):
    with pytest.raises(InvalidSettings, match="must lie in the artifact store"):
        storage_uri(artifact_uri, "s3://bellwether/mlflow")


@given(HOSTILE_NAMES)
def test_whatever_the_registry_answers_a_bundle_is_below_the_artifact_store(name):
    store = "s3://bellwether/mlflow"
    for artifact_uri in (name, f"mlflow-artifacts:/{name}", f"{store}/{name}"):
        try:
            found = storage_uri(artifact_uri, store)
        except InvalidSettings:
            continue
        assert all(map(is_plain_name, found.removeprefix(f"{store}/").split("/")))


@given(HOSTILE_NAMES)
def test_a_version_without_a_digest_is_never_run(name):
    with pytest.raises(BundleRejected, match="64 lower-case hexadecimal digits"):
        inference_service(CONFIG, replace(SPEC, digest=name), "here")


def test_a_version_is_the_template_and_what_makes_it_this_version():
    made = inference_service(CONFIG, SPEC, "here")
    assert made["metadata"]["name"] == "bellwether-v7"
    assert made["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    model = made["spec"]["predictor"]["model"]
    assert model["storageUri"] == SPEC.storage_uri
    assert {one["name"]: one["value"] for one in model["env"]} == {
        "OTHER": "kept",
        "BELLWETHER_MODEL_VERSION": "7",
        "BELLWETHER_BUNDLE_DIGEST": "d" * 64,
    }
    assert "name" not in CONFIG.inference_service["metadata"]  # the template is left alone


def test_a_running_version_can_be_read_back():
    assert read_version_spec(inference_service(CONFIG, SPEC, "here")) == SPEC


SIGNED = replace(SPEC, signature='{"key":"e"}')


def test_where_versions_are_signed_a_pod_can_verify_its_own():
    config = RolloutConfig.parse("x", {**data(), "trusted-keys.pem": "PEM"})
    made = inference_service(config, SIGNED, "here")
    variables = {one["name"]: one["value"] for one in made["spec"]["predictor"]["model"]["env"]}
    assert variables["BELLWETHER_BUNDLE_SIGNATURE"] == SIGNED.signature
    assert variables["BELLWETHER_TRUSTED_KEYS"] == "PEM"
    assert read_version_spec(made) == SIGNED


def test_another_signature_or_another_key_renews_the_pods():
    key = "bellwether.io/template"
    digests = set()
    for pem, wanted in (("", SPEC), ("PEM", SPEC), ("PEM", SIGNED), ("OTHER", SIGNED)):
        config = RolloutConfig.parse("x", {**data(), "trusted-keys.pem": pem})
        digests.add(inference_service(config, wanted, "here")["metadata"]["annotations"][key])
    assert len(digests) == 4


def test_where_versions_are_not_signed_nothing_changes_for_running_pods():
    config = RolloutConfig.parse("x", {**data(), "trusted-keys.pem": ""})
    assert inference_service(config, SIGNED, "here") == inference_service(CONFIG, SPEC, "here")


def test_pods_carry_the_templates_digest_and_it_changes_with_the_template():
    key = "bellwether.io/template"
    one = inference_service(CONFIG, SPEC, "here")
    other = RolloutConfig.parse(
        "x", {**data(), "inferenceservice.yaml": "spec: {predictor: {minReplicas: 2}}"}
    )
    two = inference_service(other, SPEC, "here")
    assert one["metadata"]["annotations"][key] == one["spec"]["predictor"]["annotations"][key]
    assert one["metadata"]["annotations"][key] != two["metadata"]["annotations"][key]


def test_a_disruption_budget_goes_with_its_version():
    service = inference_service(CONFIG, SPEC, "here")
    service["metadata"]["uid"] = "u-1"
    budget = disruption_budget(CONFIG, service)
    assert budget["metadata"]["name"] == "bellwether-v7"
    assert budget["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    selector = {"matchLabels": {"serving.kserve.io/inferenceservice": "bellwether-v7"}}
    assert budget["spec"] == {"minAvailable": 1, "selector": selector}


def test_without_a_template_no_budget_goes_with_a_version():
    config = RolloutConfig.parse("x", {**data(), "poddisruptionbudget.yaml": ""})
    assert disruption_budget(config, inference_service(config, SPEC, "here")) is None
