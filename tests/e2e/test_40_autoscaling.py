"""Every version has an autoscaler, and pods leave without losing a request."""

import json

import pytest

from tests.e2e.cluster import NAMESPACE, eventually
from tests.e2e.faults import evict, kill
from tests.e2e.installation import memory_mib
from tests.e2e.load import Load
from tests.e2e.stage import both, pods_of


@pytest.fixture
def served(cluster, versions):
    """The stable version, with everything."""
    both(cluster, versions)
    return versions.stable


def test_every_version_has_an_autoscaler_on_cpu(cluster, versions):
    both(cluster, versions)
    for version in (versions.stable, versions.candidate):
        spec = cluster.get("hpa", f"bellwether-v{version}-predictor")["spec"]
        (metric,) = spec["metrics"]
        assert metric["resource"]["name"] == "cpu"
        assert metric["resource"]["target"]["averageUtilization"] == 70
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
        budgets = cluster.get("poddisruptionbudgets")
        assert any(f"bellwether-v{version}" in json.dumps(one["spec"]) for one in budgets)


def test_what_two_versions_and_their_platform_cost_in_memory(cluster, served, figures):
    used = memory_mib(cluster)
    figures.record("memory", "ours: MLflow, page, 2 versions x 2 pods", used[NAMESPACE], "MiB")
    figures.record("memory", "with gateway, KServe, stores, Prometheus", sum(used.values()), "MiB")
    assert used[NAMESPACE] > 0


def test_deleting_a_pod_fails_no_request(cluster, served, figures):
    with Load(cluster.forecasts) as load:
        (pod, *_) = cluster.ready_pods(pods_of(served))
        cluster.delete("pod", pod, "--wait=true")
        eventually(
            "two pods are ready",
            lambda: len(cluster.ready_pods(pods_of(served))) >= 2,
            seconds=60,
        )
    figures.record("drain", "failed when a pod was deleted", load.report.failed, wanted="0")
    assert load.report.failed == 0, str(load.report)


def test_draining_the_node_of_our_pods_keeps_one_and_fails_no_request(cluster, served, figures):
    with Load(cluster.forecasts) as load:
        first, second, *_ = cluster.ready_pods(pods_of(served))
        assert evict(cluster, first).code == 0
        refused = evict(cluster, second)
        assert refused.code != 0, "the budget lets both pods go at once"
        assert "disruption budget" in refused.output
        eventually(
            "the drain goes on when another pod is ready",
            lambda: evict(cluster, second).code == 0,
            seconds=60,
        )
        eventually(
            "two pods are ready", lambda: len(cluster.ready_pods(pods_of(served))) >= 2, seconds=60
        )
    figures.record("drain", "failed when pods were evicted", load.report.failed, wanted="0")
    assert load.report.failed == 0, str(load.report)


def test_a_killed_server_costs_at_most_one_request_in_a_thousand(cluster, served, figures):
    if cluster.node is None:
        pytest.skip("SIGKILL needs the machine under the cluster; here is none")
    with Load(cluster.forecasts) as load:
        (pod, *_) = cluster.ready_pods(pods_of(served))
        kill(cluster, pod, "kserve-container")
        load.watch("after", 5)
    share = 100 * load.report.failed / load.report.sent
    figures.record("drain", "failed when a server was killed", share, "%", wanted="<= 0.1")
    assert share <= 0.1, str(load.report)
