"""The version that grew under load is as small as before, though KServe's controller is away."""

from datetime import datetime

from tests.e2e.cluster import eventually
from tests.e2e.stage import pods_of


def test_when_the_load_is_over_two_pods_are_enough_again(cluster, versions, busy, absence, figures):
    eventually(
        "two pods are enough again",
        lambda: len(cluster.pods(pods_of(versions.stable))) == 2,
        seconds=240,
    )
    status = cluster.get("hpa", f"bellwether-v{versions.stable}-predictor")["status"]
    last = datetime.fromisoformat(status["lastScaleTime"]).timestamp()
    assert last > busy.ended
    figures.record("autoscaling", "calm to two pods", last - busy.ended, "s")
