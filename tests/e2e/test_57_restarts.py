"""The database, the page, the registry and a pod of the gateway end and come back, and no forecast fails."""

import time

import pytest

from tests.e2e.cluster import DATA_NAMESPACE, eventually
from tests.e2e.faults import evict_all, kill, labels_of
from tests.e2e.load import Load
from tests.e2e.outages import registered


def test_while_the_database_restarts_no_forecast_fails_and_afterwards_they_are_logged(
    cluster, absence, figures
):
    def rows() -> int:
        return int(cluster.database_query("select count(*) as n from predictions")[0]["n"])

    before = rows()
    with Load(cluster.forecasts) as load:
        load.watch("before", 3)
        assert rows() > before
        start = time.monotonic()
        (pod,) = cluster.ready_pods("app=postgresql", namespace=DATA_NAMESPACE)
        cluster.delete("pod", pod, "--wait=true", namespace=DATA_NAMESPACE)
        cluster.wait_for_rollout("deployment", "postgresql", namespace=DATA_NAMESPACE)
        figures.record("faults", "database: gone until ready", time.monotonic() - start, "s")
        kept = rows()
        eventually("forecasts are logged again", lambda: rows() > kept, seconds=30)
        figures.record("faults", "database: gone until logged again", time.monotonic() - start, "s")
        eventually("the registry answers again", lambda: registered(cluster), seconds=60)
        figures.record("faults", "database: gone until MLflow", time.monotonic() - start, "s")
    figures.record("faults", "database: failed forecasts", load.report.failed, wanted="0")
    assert kept > before
    assert load.report.failed == 0, str(load.report)


def test_a_page_killed_for_its_memory_comes_back_and_no_forecast_fails(cluster, absence, figures):
    if cluster.node is None:
        pytest.skip("SIGKILL needs the machine under the cluster; here is none")
    with Load(cluster.forecasts) as load:
        (pod,) = cluster.ready_pods(labels_of(cluster, "bellwether-page"))
        start = time.monotonic()
        state = kill(cluster, pod, "page")
        assert state["lastState"]["terminated"]["exitCode"] == 137
        eventually("the page answers", lambda: cluster.page_request().is_success, seconds=30)
        figures.record("faults", "page: killed until it answers", time.monotonic() - start, "s")
    assert load.report.failed == 0, str(load.report)


def test_an_evicted_page_and_registry_come_back_and_no_forecast_fails(cluster, absence, figures):
    with Load(cluster.forecasts) as load:
        start = time.monotonic()
        for one in ("bellwether-page", "bellwether-mlflow"):
            evict_all(cluster, labels_of(cluster, one))
        assert cluster.page_request().is_success
        eventually("the registry answers again", lambda: registered(cluster), seconds=60)
        figures.record("faults", "page, registry evicted until back", time.monotonic() - start, "s")
    assert load.report.failed == 0, str(load.report)


def test_a_gateways_pod_that_is_deleted_fails_no_forecast(cluster, absence, figures):
    place = {"namespace": "envoy-gateway-system"}
    of_ours = "gateway.envoyproxy.io/owning-gateway-name=bellwether"
    pods = cluster.ready_pods(of_ours, **place)
    assert len(pods) == 2
    with Load(cluster.forecasts) as load:
        load.watch("before", 3)
        start = time.monotonic()
        cluster.delete("pod", pods[0], "--wait=true", **place)
        eventually(
            "two pods of the gateway are ready again",
            lambda: len(set(cluster.ready_pods(of_ours, **place)) - {pods[0]}) == 2,
            seconds=60,
        )
        figures.record("faults", "gateway's pod: gone until ready", time.monotonic() - start, "s")
    figures.record("faults", "gateway's pod: failed forecasts", load.report.failed, wanted="0")
    assert load.report.failed == 0, str(load.report)
