"""What a rollout writes, from what Helm says: versions, disruption budgets, route rules."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forecasting.adapters.cluster.manifests import (
    RolloutConfig,
    Wanted,
    disruption_budget,
    grpc_rules,
    http_rules,
    inference_service,
    read_traffic,
    read_wanted,
    storage_uri,
)
from forecasting.errors import InvalidSettings
from forecasting.rollout.traffic import Traffic

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
WANTED = Wanted(7, "s3://bellwether/mlflow/1/abc/artifacts/bundle", "d" * 64, "ridge")


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
        ("s3://else/where/1/abc/artifacts", "s3://else/where/1/abc/artifacts/bundle"),
    ],
)
def test_a_bundle_is_found_where_the_registry_put_it(artifact_uri, found):
    assert storage_uri(artifact_uri, "s3://bellwether/mlflow") == found


def test_a_bundle_on_somebodys_disk_is_refused():
    with pytest.raises(InvalidSettings, match="must lie in the object store"):
        storage_uri("/home/me/mlruns/1/abc/artifacts", "s3://bellwether/mlflow")


def test_a_version_is_the_template_and_what_makes_it_this_version():
    made = inference_service(CONFIG, WANTED, "here")
    assert made["metadata"]["name"] == "bellwether-v7"
    assert made["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    model = made["spec"]["predictor"]["model"]
    assert model["storageUri"] == WANTED.storage_uri
    assert {one["name"]: one["value"] for one in model["env"]} == {
        "OTHER": "kept",
        "BELLWETHER_MODEL_VERSION": "7",
        "BELLWETHER_BUNDLE_DIGEST": "d" * 64,
    }
    assert "name" not in CONFIG.inference_service["metadata"]  # the template is left alone


def test_a_running_version_can_be_read_back():
    assert read_wanted(inference_service(CONFIG, WANTED, "here")) == WANTED


def test_pods_carry_the_templates_digest_and_it_changes_with_the_template():
    key = "bellwether.io/template"
    one = inference_service(CONFIG, WANTED, "here")
    other = RolloutConfig.parse(
        "x", {**data(), "inferenceservice.yaml": "spec: {predictor: {minReplicas: 2}}"}
    )
    two = inference_service(other, WANTED, "here")
    assert one["metadata"]["annotations"][key] == one["spec"]["predictor"]["annotations"][key]
    assert one["metadata"]["annotations"][key] != two["metadata"]["annotations"][key]


def test_a_disruption_budget_goes_with_its_version():
    service = inference_service(CONFIG, WANTED, "here")
    service["metadata"]["uid"] = "u-1"
    budget = disruption_budget(CONFIG, service)
    assert budget["metadata"]["name"] == "bellwether-v7"
    assert budget["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    selector = {"matchLabels": {"serving.kserve.io/inferenceservice": "bellwether-v7"}}
    assert budget["spec"] == {"minAvailable": 1, "selector": selector}


def test_without_a_template_no_budget_goes_with_a_version():
    config = RolloutConfig.parse("x", {**data(), "poddisruptionbudget.yaml": ""})
    assert disruption_budget(config, inference_service(config, WANTED, "here")) is None


def test_every_version_can_be_asked_by_its_number_and_the_first_rule_splits_and_never_moves():
    rules = http_rules(Traffic({4: 10, 3: 90}, (3,)), "bellwether", 80)
    pins = [rule["backendRefs"][0]["name"] for rule in rules[1:]]
    assert pins == ["bellwether-v3-predictor", "bellwether-v4-predictor"]
    header, path = rules[-1]["matches"]
    assert header["headers"][0] == {
        "type": "Exact",
        "name": "bellwether-model-version",
        "value": "4",
    }
    # As long as the split's path: a longer path would win over any header.
    assert header["path"] == rules[0]["matches"][0]["path"]
    assert path["path"]["value"] == "/v2/models/bellwether/versions/4"
    assert {one["name"]: one["weight"] for one in rules[0]["backendRefs"]} == {
        "bellwether-v4-predictor": 10,
        "bellwether-v3-predictor": 90,
    }


def test_grpc_has_the_same_split_and_pins_by_header_alone():
    rules = grpc_rules(Traffic({4: 10, 3: 90}, (3,)), "bellwether", 8081)
    assert [one["weight"] for one in rules[0]["backendRefs"]] == [10, 90]
    assert "matches" not in rules[0]
    assert {one["port"] for rule in rules for one in rule["backendRefs"]} == {8081}


@given(st.dictionaries(st.integers(1, 999), st.integers(0, 100), min_size=1), st.randoms())
def test_what_is_written_is_what_is_read(weights, random):
    held = random.sample(sorted(weights), k=random.randint(0, len(weights)))
    traffic = Traffic(dict(sorted(weights.items(), reverse=True)), tuple(held))
    route = {
        "metadata": {"annotations": {"bellwether.io/held": ",".join(map(str, held))}},
        "spec": {"rules": http_rules(traffic, "bellwether", 80)},
    }
    assert read_traffic(route, "bellwether") == traffic


def test_a_route_as_the_api_server_makes_it_without_rules_holds_nothing():
    defaulted = {"metadata": {}, "spec": {"rules": [{"matches": [{"path": {"value": "/"}}]}]}}
    assert read_traffic(defaulted, "bellwether") == Traffic()
    assert read_traffic({"metadata": {}, "spec": {}}, "bellwether") == Traffic()
