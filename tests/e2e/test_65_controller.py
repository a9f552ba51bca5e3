"""KServe's controller has been away for five minutes, while so much else was tested, and comes back."""

import time

from tests.e2e import absence as window
from tests.e2e.stage import DESPITE


def test_five_minutes_without_kserves_controller_fail_no_forecast(
    cluster, versions, absence, figures
):
    assert not cluster.get("pods", namespace="kserve")
    time.sleep(max(0.0, window.SECONDS - absence.seconds))
    assert not cluster.get("pods", namespace="kserve")
    away = absence.seconds
    absence.close()
    report = absence.load.report
    figures.record("faults", "KServe's controller away", away, "s", wanted=">= 300")
    figures.record("faults", "forecasts meanwhile", report.sent)
    figures.record("faults", "failed of them", report.failed, wanted="0")
    assert away >= window.SECONDS
    assert report.sent > 0.95 * window.RATE * window.SECONDS
    assert report.failed == 0, str(report)
    # It does its work again: its webhook lets a version through, whose status it writes.
    cluster.rollout("start", str(versions.candidate), "--weight", "0", *DESPITE).expect()
    assert cluster.weights() == {versions.stable: 100, versions.candidate: 0}
