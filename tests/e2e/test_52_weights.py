"""What weights and pins do, and who knows of them. Nothing of it needs KServe's controller."""

import pytest

from tests.e2e.absence import CANARY
from tests.e2e.cluster import eventually
from tests.e2e.grpc_calls import versions_that_answer
from tests.e2e.load import ask
from tests.e2e.stage import both, inference_services

pytestmark = pytest.mark.usefixtures("every_minute")  # its first job takes its time: test_55


@pytest.fixture(scope="module", autouse=True)
def share_afterwards(cluster, versions, absence):
    """What comes next finds the canary with its share."""
    yield
    both(cluster, versions, weight=CANARY)


@pytest.fixture
def canary(cluster, versions):
    """The stable version has everything, the candidate runs beside it."""
    both(cluster, versions)
    return versions


def test_a_header_pins_a_request_to_a_version_whatever_the_weights(cluster, canary):
    for version in (canary.stable, canary.candidate):
        report = ask(cluster.forecasts.pinned(version), 500)
        assert report.failed == 0, str(report)
        assert report.versions == {str(version): 500}


def test_a_path_pins_a_request_to_a_version(cluster, canary):
    from dataclasses import replace

    path = f"/v2/models/bellwether/versions/{canary.candidate}/infer"
    report = ask(replace(cluster.forecasts, path=path), 200)
    assert report.versions == {str(canary.candidate): 200}


def test_a_version_with_weight_is_not_deleted(cluster, canary):
    refused = cluster.rollout("delete", str(canary.stable))
    assert refused.code == 2, refused.output
    assert f"version {canary.stable} has 100 %" in refused.output
    assert canary.stable in inference_services(cluster)


def test_weights_make_a_hundred_and_know_their_versions(cluster, canary):
    assert cluster.rollout("weight", "9999", "10").code != 0
    assert cluster.rollout("weight", str(canary.stable), "101").code == 2
    assert cluster.weights() == {canary.stable: 100, canary.candidate: 0}


def test_rollback_tells_the_registry_why(cluster, canary):
    both(cluster, canary, weight=50)
    cluster.rollout("rollback", "--why", "coverage fell to 71 %").expect()
    assert cluster.weights()[canary.stable] == 100
    tags = cluster.versions()[canary.candidate]["tags"]
    assert tags["rollout"] == "rolled back"
    assert tags["rollout_reason"] == "coverage fell to 71 %"


def test_prometheus_knows_wanted_and_observed_weights(cluster, canary):
    both(cluster, canary, weight=25)

    def told():
        found = cluster.prometheus_query("bellwether_route_weight")
        return {labels["model_version"]: value for labels, value in found}

    wanted = {str(canary.stable): 75, str(canary.candidate): 25}
    eventually("the weights are in Prometheus", lambda: told() == wanted, seconds=30)


def test_the_weights_hold_over_grpc_as_well(cluster, canary, figures):
    both(cluster, canary, weight=25)
    count = 2_000
    seen = versions_that_answer("AAPL", count)
    assert set(seen) == {str(canary.stable), str(canary.candidate)}
    share = 100 * seen[str(canary.candidate)] / count
    figures.record(
        "canary", f"observed share over gRPC at 25 % of {count:,}", share, "%", wanted="25 +- 4"
    )
    assert abs(share - 25) <= 4  # 4 sigma of so many answers
