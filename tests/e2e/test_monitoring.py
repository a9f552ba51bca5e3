"""Monitoring on the cluster: Prometheus has every rule, and every panel has something to show."""

import json
import re
import time

import httpx
import pytest

from tests.e2e.absence import Absence
from tests.e2e.cluster import PROMETHEUS_ADDRESS, Cluster, eventually
from tests.monitoring.expressions import Expression, expressions, rules
from tests.time_limits import seconds

YOUNG = re.compile(
    r"bellwether_(realised_\w+|matured_forecasts|quality_\w+|drift_\w+\{[^}]*scope=\"(error|coverage|variance)\"[^}]*\})"
)
"""Made by the drift job only when a forecast's horizon has elapsed, which a young installation waits for, and by
the hourly look at realised forecasts, which test_38_quality starts."""

COMPARED = re.compile(r"bellwether_provider_\w+")
"""Made where a second provider is named (BELLWETHER_FALLBACK_SOURCE), which needs a network."""

FAILURES = {"Bellwether: Rollouts"}
"""Without data unless something happened: the annotation marks changes of weights."""

pytestmark = pytest.mark.usefixtures("stuck_drift")  # an alert on that takes its time: test_58


@pytest.fixture(scope="module")
def installed(cluster: Cluster):
    """What the release has put on the cluster, read back from it."""
    objects = cluster.get("prometheusrule", labels="app.kubernetes.io/part-of=bellwether")
    objects += cluster.get("configmap", labels="grafana_dashboard=1")
    return [*objects]


@pytest.fixture(scope="module")
def asked(cluster: Cluster, installed) -> list[Expression]:
    """Everything that dashboards and rules ask, for the symbols that are served."""
    held = eventually(
        "symbols are served",
        lambda: cluster.prometheus_query(
            f'bellwether_bars_held{{namespace="{cluster.namespace}"}}'
        ),
        seconds=60,
    )
    symbols = sorted({labels["symbol"] for labels, _ in held})
    return expressions(installed, namespace=cluster.namespace, symbols=symbols)


@pytest.fixture(scope="module")
def traffic(cluster: Cluster, absence: Absence) -> None:
    """Forecasts over three scrapes, so that rates have something to count."""
    target = cluster.forecasts
    with httpx.Client(
        base_url=f"http://127.0.0.1:{target.port}", headers={"host": target.host}
    ) as client:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            answer = client.post(target.path, content=target.body)
            assert answer.status_code == 200, answer.text
            time.sleep(0.1)


def test_prometheus_evaluates_every_rule_without_error(cluster, installed):
    wanted = {rule.get("alert") or rule["record"] for rule in rules(installed)}
    assert len(wanted) > 30

    def healthy():
        answer = httpx.get(f"{PROMETHEUS_ADDRESS}/api/v1/rules", timeout=seconds(10)).json()
        ours = [
            rule
            for group in answer["data"]["groups"]
            for rule in group["rules"]
            if rule["labels"].get("namespace") == cluster.namespace
        ]
        ill = {rule["name"]: rule.get("lastError") for rule in ours if rule["health"] != "ok"}
        assert not ill, ill
        assert {rule["name"] for rule in ours} >= wanted
        return True

    assert eventually("every rule is evaluated", healthy, seconds=90)


def test_every_panel_and_recording_rule_has_data(cluster, asked, traffic):
    wanted = [
        one
        for one in asked
        if one.kind in {"panel", "record", "variable", "annotation"} and one.where not in FAILURES
    ]

    def empty():
        return [
            f"{one.where}: {one.text}"
            for one in wanted
            if not cluster.prometheus_query(one.text) and not YOUNG.search(one.text)
        ]

    def all_have_data():
        missing = empty()
        assert not missing, "\n".join(missing)
        return True

    assert eventually("every expression has data", all_have_data, seconds=90, every=5)


def test_every_metric_an_alert_reads_is_there(cluster, asked, traffic):
    """An alert is silent when all is well; what it reads has to be there all the same."""
    missing = {
        f"{one.where}: {name}"
        for one in asked
        if one.kind == "alert"
        for name in one.metrics | one.recorded
        if not cluster.prometheus_query(name)
        and not YOUNG.fullmatch(name)
        and not COMPARED.fullmatch(name)
    }
    assert not missing, missing


def test_the_prediction_log_answers_grafanas_reader(cluster, asked, traffic):
    (query,) = (one.text for one in asked if one.kind == "sql")
    rows = eventually(
        "the log has rows",
        lambda: cluster.database_query(f"SET ROLE bellwether_reader; {query}"),
        seconds=30,
    )
    newest = rows[0]
    assert {"made", "symbol", "version", "horizon", "p50", "processing time"} <= set(newest)
    assert float(newest["p05"]) <= float(newest["p50"]) <= float(newest["p95"])
    assert 0 < float(newest["processing time"]) < 60


def test_the_dashboards_are_json_that_grafana_would_load(installed):
    found = [one for one in installed if "-dashboard-" in one["metadata"]["name"]]
    assert len(found) == 2
    for one in found:
        (text,) = one["data"].values()
        assert json.loads(text)["panels"]
        assert not re.search(r"@[a-zA-Z]+@", text)
