"""Two versions side by side: what they are made of, and what their weights give them."""

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.load import ask
from tests.e2e.stage import both, inference_services, pods_of

pytestmark = pytest.mark.usefixtures("canary")


@pytest.fixture
def canary(cluster, versions):
    """The stable version has everything, the candidate runs beside it."""
    both(cluster, versions)
    return versions


def test_a_version_has_an_inference_service_that_reads_its_bundle_from_the_store(cluster, versions):
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


def test_status_says_what_the_route_says(cluster, versions):
    told = {one["version"]: one["weight"] for one in cluster.status()["versions"]}
    assert told == cluster.weights()
    assert inference_services(cluster) == sorted([versions.stable, versions.candidate])
