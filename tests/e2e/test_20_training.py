"""From training to serving: a Job in the cluster, S3 and MLflow, an InferenceService, an answer."""

import json

from tests.e2e.cluster import eventually
from tests.e2e.load import ask
from tests.e2e.stage import Versions, alone, inference_services, pods_of, wait_for_answers


def test_a_training_leaves_a_champion_and_a_challenger_in_the_registry(cluster, versions):
    registered = cluster.versions()
    assert {versions.stable, versions.candidate} <= set(registered)
    assert versions.stable != versions.candidate
    for number in (versions.stable, versions.candidate):
        tags = registered[number]["tags"]
        assert len(tags["bundle_digest"]) == 64
        assert tags["data_snapshot"]
        assert tags["verdict"]


def test_bundles_and_prices_lie_in_the_object_store(cluster, versions):
    assert cluster.s3.find("bellwether/lake")
    bundles = [path for path in cluster.s3.find("bellwether/mlflow") if "/bundle/" in path]
    names = {path.rpartition("/")[2] for path in bundles}
    assert "manifest.json" in names
    assert not any(name.endswith((".pkl", ".pickle", ".joblib", ".skops")) for name in names)


def test_the_training_rolled_its_champion_out(cluster, versions):
    assert cluster.weights().get(versions.stable) == 100
    report = wait_for_answers(cluster, versions.stable)
    assert report.share(versions.stable) == 100


def test_start_makes_an_inference_service_that_reads_its_bundle_from_the_store(cluster, versions):
    said = cluster.rollout("start", str(versions.candidate), "--weight", "0").expect().output
    assert str(versions.candidate) in said
    one = cluster.get("inferenceservice", f"bellwether-v{versions.candidate}")
    model = one["spec"]["predictor"]["model"]
    source = cluster.versions()[versions.candidate]["source"]
    assert model["storageUri"].startswith("s3://bellwether/mlflow/")
    assert model["storageUri"].endswith("/artifacts/bundle")
    assert one["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert source
    pods = cluster.get("pods", labels=pods_of(versions.candidate))
    initialisers = {c["name"] for pod in pods for c in pod["spec"]["initContainers"]}
    assert "storage-initializer" in initialisers


def test_the_candidate_is_ready_and_unasked_until_it_gets_weight(cluster, versions):
    assert cluster.weights() == {versions.stable: 100, versions.candidate: 0}
    report = ask(cluster.forecasts, 300)
    assert report.failed == 0, report
    assert report.share(versions.candidate) == 0
    cluster.rollout("weight", str(versions.candidate), "50").expect()
    report = ask(cluster.forecasts, 600)
    assert report.failed == 0, report
    assert 35 < report.share(versions.candidate) < 65


def test_what_is_served_is_what_was_registered(cluster, versions):
    for number in (versions.stable, versions.candidate):
        (pod, *_) = cluster.ready_pods(pods_of(number))
        loaded = eventually(
            "the pod has been asked for its metrics",
            lambda pod=pod: cluster.prometheus_query(f'bellwether_model_info{{pod="{pod}"}}'),
            seconds=30,
        )
        digests = {labels["bundle_digest"] for labels, _ in loaded}
        assert digests
        whole = cluster.versions()[number]["tags"]["bundle_digest"]
        assert all(whole.startswith(digest) for digest in digests)


def test_answers_are_logged_with_the_version_that_gave_them(cluster, versions):
    rows = cluster.database_query("select count(*) as n from predictions")
    assert int(rows[0]["n"]) > 0


def test_status_says_what_the_route_says(cluster, versions):
    status = cluster.status()
    assert json.dumps(status)
    assert inference_services(cluster) == sorted([versions.stable, versions.candidate])


def test_afterwards_one_version_serves_alone(cluster, versions: Versions):
    alone(cluster, versions.stable)
    assert inference_services(cluster) == [versions.stable]
    assert cluster.weights() == {versions.stable: 100}
