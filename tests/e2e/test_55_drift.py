"""Drift, measured by the clock: from the object store to Prometheus, the page, and an alert.

Nothing of it needs KServe's controller, so all of it happens while that is away.
"""

import json
from datetime import datetime

import pytest

from forecasting.drift.config import CHANGE_OF
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.drift_schedule import CRONJOB, EVERY_MINUTE, LAST_SUCCESS

RUNS = "bellwether/lake/drift"
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@pytest.fixture(scope="module")
def scheduled(cluster, every_minute):
    """A job that the schedule started, nobody else, and that is complete."""

    def complete():
        jobs = [
            job
            for job in cluster.get("jobs", labels="app.kubernetes.io/component=drift")
            if SCHEDULED_AT in job["metadata"].get("annotations", {})
            and job["status"].get("succeeded")
        ]
        return sorted(jobs, key=lambda job: job["metadata"]["annotations"][SCHEDULED_AT])

    return eventually("a scheduled drift job is complete", complete, seconds=150, every=2)[-1]


def newest_run(cluster: Cluster) -> str:
    """Folder of the newest whole run in the object store."""
    whole = [path for path in cluster.s3.find(RUNS) if path.endswith("/summary.json")]
    return max(whole).removesuffix("/summary.json")


def summary_of(cluster: Cluster, run: str):
    return json.loads(cluster.s3.cat(f"{run}/summary.json"))


def seconds_between(earlier: str, later: str) -> float:
    """Between two instants as Kubernetes writes them."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def seconds_of(summary) -> float:
    return datetime.fromisoformat(summary["measured_at"]).timestamp()


def test_the_job_s_schedule_is_exact_and_its_runs_never_overlap(cluster, every_minute):
    spec = cluster.get("cronjob", CRONJOB)["spec"]
    assert spec["schedule"] == EVERY_MINUTE
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["startingDeadlineSeconds"] == 300
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["suspend"] is False
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 900


def test_the_clock_starts_it_within_seconds(cluster, scheduled, figures):
    meta = scheduled["metadata"]
    assert meta["ownerReferences"][0]["name"] == CRONJOB
    jobs = cluster.get("jobs", labels="app.kubernetes.io/component=drift")
    late = [
        seconds_between(
            one["metadata"]["annotations"][SCHEDULED_AT], one["metadata"]["creationTimestamp"]
        )
        for one in jobs
        if SCHEDULED_AT in one["metadata"].get("annotations", {})
    ]
    took = seconds_between(meta["creationTimestamp"], scheduled["status"]["completionTime"])
    figures.record("drift", "scheduled time to start", min(late), "s")
    figures.record("drift", "scheduled job, start to end", took, "s")
    # When a schedule is changed, the run that the new one would have had is started late, once.
    assert 0 <= min(late) < 5


def test_it_compares_what_was_trained_with_what_is_served(cluster, versions, scheduled):
    summary = summary_of(cluster, newest_run(cluster))
    latest = json.loads(cluster.s3.cat(f"bellwether/lake/prices/{summary['dataset']}/latest.json"))
    assert summary["snapshot"] in json.dumps(latest)
    assert summary["model_version"] == str(versions.stable)
    features = next(one for one in summary["scopes"] if one["scope"] == "features")
    assert features["reference_rows"] > features["current_rows"] > 0
    assert features["columns"]
    assert all(one["score"] >= 0 and one["threshold"] > 0 for one in features["columns"])
    assert 0 < features["false_alarms"] < 0.2


def test_its_report_is_in_the_object_store_and_on_the_page(cluster, scheduled):
    def same():
        run = newest_run(cluster)
        stored = cluster.s3.cat(f"{run}/report.html")
        (features,) = (
            one for one in summary_of(cluster, run)["scopes"] if one["scope"] == "features"
        )
        columns = {one["column"] for one in features["columns"]}
        # Evidently's page: what draws it, and a graph for every column; changes have another page.
        columns = {one for one in columns if not one.startswith(CHANGE_OF)}
        assert columns
        assert b"window.drawDashboard(" in stored
        assert not {one for one in columns if one.encode() not in stored}
        shown = cluster.page_request("/reports/drift/features")
        assert shown.status_code == 200, shown.text[:500]
        assert shown.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        return shown.content == stored

    # A run that ends between the two readings is read again.
    assert eventually("the page shows the newest report", same, seconds=20)


def test_its_figures_are_in_prometheus(cluster, scheduled):
    def told():
        summary = summary_of(cluster, newest_run(cluster))
        assert [value for _, value in cluster.prometheus_query(LAST_SUCCESS)] == [
            pytest.approx(seconds_of(summary), abs=1)
        ]
        features = next(one for one in summary["scopes"] if one["scope"] == "features")
        of_features = '{job="drift", scope="features"}'
        for metric, figure in (("drift_score", "score"), ("drift_threshold", "threshold")):
            found = cluster.prometheus_query(f"bellwether_{metric}{of_features}")
            assert {labels["column"]: value for labels, value in found} == {
                one["column"]: pytest.approx(one[figure]) for one in features["columns"]
            }
        ((_, detected),) = cluster.prometheus_query(f"bellwether_drift_detected{of_features}")
        assert detected == features["drifted"]
        return True

    eventually("Prometheus has what the newest run found", told, seconds=40, every=1)


def test_a_store_that_cannot_be_reached_fails_the_job_in_words(cluster, every_minute):
    def lose_the_store(job):
        job["spec"]["backoffLimit"] = 0
        (container,) = job["spec"]["template"]["spec"]["containers"]
        (address,) = (one for one in container["env"] if one["name"] == "AWS_ENDPOINT_URL")
        address["value"] = "http://minio.minio:9"

    name = "e2e-drift-without-store"
    before = set(cluster.s3.find(RUNS))
    cluster.start_job(CRONJOB, name, change=lose_the_store)
    ended = eventually("the job ends", lambda: cluster.job_outcome(name), seconds=120, every=1)
    said = cluster.job_logs(name)
    assert ended == "Failed", said
    (pod,) = cluster.get("pods", labels=f"job-name={name}")
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3, said
    assert "Traceback" not in said
    assert "s3://bellwether/lake" in said
    stamps = {path.split("/")[3] for path in set(cluster.s3.find(RUNS)) - before}
    assert len(stamps) <= 2, "only the schedule's own runs may have written meanwhile"
    cluster.delete("job", name, "--cascade=foreground")
