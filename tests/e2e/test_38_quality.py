"""A version whose forecasts come out badly is stepped back from, on outcomes that are replayed, not waited for."""

from datetime import timedelta

import pytest

from forecasting.adapters.inference import InferenceClient
from forecasting.errors import EXIT_ROLLED_BACK
from tests.e2e.cluster import eventually
from tests.e2e.stage import DESPITE, both

CRONJOB = "bellwether-quality"
ASKED = "e2e-quality"
DAYS = 40

# Five quantiles within a hair of the median: almost no outcome is between them.
NARROWED = f"""
UPDATE predictions SET quantiles = (
  SELECT json_agg(json_build_array(m * 0.9998, m * 0.9999, m, m * 1.0001, m * 1.0002) ORDER BY n)::text
  FROM (SELECT (bar->>2)::float8 AS m, n
        FROM json_array_elements(quantiles::json) WITH ORDINALITY AS bars (bar, n)) AS medians
) WHERE request_id = '{ASKED}'
"""


@pytest.fixture
def promoted(cluster, versions):
    """The candidate has every request, the stable version runs beside it; as it was, afterwards."""
    both(cluster, versions)
    cluster.rollout("promote", str(versions.candidate), *DESPITE).expect()
    learned = cluster.versions()[versions.candidate]["tags"]["trained_until"]
    yield versions
    tag(cluster, versions.candidate, learned)
    cluster.database_query(f"DELETE FROM predictions WHERE request_id = '{ASKED}'")
    if cluster.weights().get(versions.stable) != 100:
        cluster.rollout("promote", str(versions.stable)).expect()
    # The metrics are then about the stable version, and no alert on the other one is left.
    cluster.start_job(CRONJOB, "e2e-quality-after")
    cluster.finish_job("e2e-quality-after")


def tag(cluster, version, until):
    """Say until when a version learned."""
    body = {"name": "bellwether", "version": str(version), "key": "trained_until", "value": until}
    cluster.change_registry("POST", "model-versions/set-tag", body)


def ask_the_past(cluster, version):
    """Have a version forecast as of each of the last days; the symbols, and the newest bar."""
    target = cluster.forecasts.pinned(version)
    headers = {"host": target.host, **target.headers}
    url = f"http://127.0.0.1:{target.port}"
    with InferenceClient(url, "bellwether", headers=headers) as client:
        symbols = client.symbols()
        newest = client.forecast(symbols[:1])[0].as_of
        for days in range(DAYS, 0, -1):
            client.forecast(symbols, as_of=newest - timedelta(days=days), request_id=ASKED)
    return symbols, newest


def test_the_job_steps_back_from_narrow_intervals_and_says_why(cluster, promoted):
    candidate, stable = promoted.candidate, promoted.stable
    cluster.start_job(CRONJOB, "e2e-quality-calm")
    assert f"Version {candidate}: " in cluster.finish_job("e2e-quality-calm")
    assert cluster.serving() == candidate

    symbols, newest = ask_the_past(cluster, candidate)
    tag(cluster, candidate, (newest - timedelta(days=2 * DAYS)).isoformat())
    counted = f"SELECT count(*) AS n FROM predictions WHERE request_id = '{ASKED}'"
    eventually(
        "all answers are in the log",
        lambda: int(cluster.database_query(counted)[0]["n"]) == DAYS * len(symbols),
        seconds=30,
    )
    cluster.database_query(NARROWED)

    cluster.start_job(CRONJOB, "e2e-quality-narrow")
    ended = eventually(
        "the job ends", lambda: cluster.job_outcome("e2e-quality-narrow"), seconds=120, every=1
    )
    said = cluster.job_logs("e2e-quality-narrow")
    assert ended == "Failed", said
    assert f"Version {stable} serves in its place" in said
    assert cluster.serving() == stable
    (pod,) = cluster.pods("job-name=e2e-quality-narrow")
    (container,) = pod["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] == EXIT_ROLLED_BACK
    tags = cluster.versions()[candidate]["tags"]
    assert tags["rollout"] == "rolled back"
    assert "intervals too narrow" in tags["rollout_reason"]
    degraded = f'bellwether_quality_degraded{{model_version="{candidate}"}} == 1'
    eventually("Prometheus knows", lambda: cluster.prometheus_query(degraded), seconds=60)
