"""KServe's controller is away for five minutes, while everything that needs none goes on."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.e2e.cluster import Cluster
from tests.e2e.faults import gone
from tests.e2e.load import Load
from tests.e2e.stage import Versions, both

SECONDS = 300.0
"""How long it is away, at least."""

RATE = 20
"""Requests a second all the while."""

CANARY = 25
"""Per cent that the candidate has meanwhile."""


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
def without_controller(cluster: Cluster, versions: Versions) -> Iterator[Absence]:
    """KServe's controller is away until the block or `close` ends it, and a canary has weight.

    Helm cannot work meanwhile: the webhook of ServingRuntimes is away, too.
    """
    both(cluster, versions, weight=CANARY)
    with contextlib.ExitStack() as stack:
        stack.enter_context(gone(cluster, "kserve-controller-manager", namespace="kserve"))
        load = stack.enter_context(Load(cluster.forecasts, rate=RATE, connections=8))
        yield Absence(load, time.monotonic(), stack.close)
