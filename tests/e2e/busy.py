"""A load that two pods are not enough for: the version it asks grows, and shrinks when it is over."""

import time
from dataclasses import dataclass

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.load import Load, Report
from tests.e2e.stage import Versions, both, pods_of

BUSY = 900.0
"""Requests a second that are more than two pods of 100m want at 70 %."""


@dataclass(frozen=True)
class BusyTime:
    """A load that made the stable version grow.

    Attributes:
        seconds: from its start until a third pod was ready.
        ended: when it ended, Unix seconds.
        report: what became of its requests.
    """

    seconds: float
    ended: float
    report: Report


def busy_time(cluster: Cluster, versions: Versions) -> BusyTime:
    """Ask the stable version until it has a third pod, and five seconds more."""
    both(cluster, versions)
    with Load(cluster.forecasts, rate=BUSY) as load:
        start = time.monotonic()
        eventually(
            "a third pod is ready",
            lambda: len(cluster.ready_pods(pods_of(versions.stable))) > 2,
            seconds=150,
        )
        seconds = time.monotonic() - start
        load.watch("with three", 5)
    return BusyTime(seconds, time.time(), load.report)
