"""A drift job that is stuck is noticed, and one good run ends the alert.

It has been stuck since monitoring was looked at: an alert takes its time.
"""

import yaml

from tests.e2e.cluster import ROOT, Cluster, eventually
from tests.e2e.drift_schedule import CRONJOB, LAST_SUCCESS
from tests.e2e.installation import VALUES

FIRING = 'ALERTS{alertstate="firing", job_name="drift"}'
ACTIVE_SINCE = 'ALERTS_FOR_STATE{alertname="BellwetherJobStale", job_name="drift"}'


def live_alerts(cluster: Cluster) -> set[str]:
    """Alerts about the drift job that fire now."""
    return {labels["alertname"] for labels, _ in cluster.prometheus_query(FIRING)}


def limits(file):
    """Thresholds of the alerts that a values file sets."""
    return yaml.safe_load(file.read_text())["monitoring"]["thresholds"]


def test_a_job_that_is_stuck_raises_an_alert_and_one_good_run_ends_it(
    cluster, stuck_drift, figures
):
    allowed = limits(VALUES)["driftAgeSeconds"]
    firing = eventually("the alert fires", lambda: live_alerts(cluster), seconds=180, every=1)
    assert firing == {"BellwetherJobStale"}
    ((_, since),) = cluster.prometheus_query(ACTIVE_SINCE)
    pending = float(limits(VALUES)["jobStaleFor"].removesuffix("s"))
    took = since + pending - stuck_drift.since.timestamp()
    ((_, age),) = cluster.prometheus_query(f"time() - {LAST_SUCCESS}")
    assert age > allowed
    waiting = [
        pod
        for pod in cluster.pods("app.kubernetes.io/component=drift")
        if pod["status"]["phase"] == "Pending"
    ]
    assert len(waiting) == 1, "Forbid keeps one waiting pod from becoming many"
    figures.record("drift", "stuck job to alert", took, "s", wanted="<= 120")
    figures.record("drift", "age of the last success when seen", age, "s", wanted=f"> {allowed}")
    assert 0 < took <= 120
    stuck_drift.close()
    cluster.start_job(CRONJOB, "e2e-drift-again")
    cluster.finish_job("e2e-drift-again", seconds=90)
    eventually("the alert ends", lambda: not live_alerts(cluster), seconds=60, every=1)
    cluster.delete("job", "e2e-drift-again", "--cascade=foreground")


def test_the_chart_s_own_limits_allow_two_missed_runs():
    """What the tests lower is, as delivered, longer than the schedule by more than a run."""
    values = ROOT / "charts/bellwether/values.yaml"
    assert yaml.safe_load(values.read_text())["drift"]["schedule"] == "0 * * * *"
    assert limits(values)["driftAgeSeconds"] >= 3 * 3600
    assert limits(values)["jobStaleFor"] == "5m"
