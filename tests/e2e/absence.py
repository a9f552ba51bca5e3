"""KServe's controller is away for five minutes, while everything that needs none goes on."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.e2e.cluster import Cluster
from tests.e2e.faults import gone
from tests.e2e.installation import install
from tests.e2e.load import Load
from tests.e2e.stage import Versions, both
from tests.e2e.testbed import Images

SECONDS = 300.0
"""How long it is away, at least."""

RATE = 20
"""Requests a second all the while."""

CANARY = 25
"""Per cent that the candidate has meanwhile."""

ALLOWED_AGE = 90
"""Seconds a drift job's success may be old meanwhile: a run every minute is younger, and hours are
not waited for."""

CHANGES = (
    "--set-string=drift.schedule=* * * * *",
    f"--set=monitoring.thresholds.driftAgeSeconds={ALLOWED_AGE}",
    "--set-string=monitoring.thresholds.jobStaleFor=5s",
)
"""What the release is given for this time; Helm itself cannot work in it, because the webhook of
ServingRuntimes is away, too."""


@dataclass(frozen=True)
class Absence:
    """The time without KServe's controller.

    Attributes:
        load: what goes on through it.
        opened: when it began, monotonic seconds.
        close: ends it: the load, then the absence.
    """

    load: Load
    opened: float
    close: Callable[[], None]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.opened


@contextlib.contextmanager
def without_controller(cluster: Cluster, images: Images, versions: Versions) -> Iterator[Absence]:
    """KServe's controller is away until the block or `close` ends it, and a canary has weight."""
    both(cluster, versions, weight=CANARY)
    install(cluster, images, *CHANGES)
    with contextlib.ExitStack() as stack:
        stack.callback(install, cluster, images)
        stack.enter_context(gone(cluster, "kserve-controller-manager", namespace="kserve"))
        load = stack.enter_context(Load(cluster.forecasts, rate=RATE, connections=8))
        yield Absence(load, time.monotonic(), stack.close)
