"""Batch metrics in a real Pushgateway: one group per job."""

import json
import urllib.request

import pytest

from forecasting import prometheus_metrics
from forecasting.adapters.monitoring.pushed import Sample, publish
from tests.ports import free_port
from tests.programs import program
from tests.servers import serving
from tests.time_limits import seconds

pytestmark = pytest.mark.integration


@pytest.fixture
def gateway(tmp_path):
    """A real Pushgateway."""
    binary = program("prometheus-pushgateway")
    port = free_port()
    command = [binary, f"--web.listen-address=127.0.0.1:{port}"]
    with serving(command, f"http://127.0.0.1:{port}", tmp_path / "pushgateway.log") as url:
        yield url


def scrape(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=seconds(5)) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith("bellwether_")]


def groups(url):
    with urllib.request.urlopen(f"{url}/api/v1/metrics", timeout=seconds(5)) as answer:
        return [group["labels"] for group in json.load(answer)["data"]]


def share(value, scope="features"):
    return Sample(prometheus_metrics.DRIFT_SHARE, (scope,), value)


def test_a_push_holds_the_values_and_the_time_of_success(gateway, tmp_path):
    where = publish(
        "drift", [share(0.25)], gateway_url=gateway, file=tmp_path / "x.prom", succeeded_at=1e9
    )
    lines = scrape(gateway)
    assert where == gateway
    assert 'bellwether_drift_share{instance="",job="drift",scope="features"} 0.25' in lines
    success = 'bellwether_job_last_success_timestamp_seconds{instance="",job="drift",job_name='
    assert f'{success}"drift"}} 1e+09' in lines
    assert not (tmp_path / "x.prom").exists()


def test_each_push_replaces_the_jobs_only_group(gateway, tmp_path):
    for scope in ("features", "predictions"):
        publish(
            "drift",
            [share(0.5, scope)],
            gateway_url=gateway,
            file=tmp_path / "x.prom",
            succeeded_at=1e9,
        )
    assert groups(gateway) == [{"job": "drift"}]
    shares = [line for line in scrape(gateway) if line.startswith("bellwether_drift_share")]
    assert len(shares) == 1
    assert 'scope="predictions"' in shares[0]
