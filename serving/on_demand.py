"""Versions that callers ask for by number: each is loaded once however many ask, and few are kept.

Callers wait on the event loop, one thread loads. What may wait, what is kept and what is remembered
of refusals are bounded, so that nobody fills the memory by asking for one version after another.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Final

from forecasting.errors import BellwetherError, NotReady
from serving.state import ON_DEMAND, ServingState, Version
from serving.work_queue import Busy

MAX_WAITING: Final = 32
"""Callers that may wait for versions to be loaded; each holds a body of at most 1 MiB."""

REFUSED_SECONDS: Final = 30.0
"""How long a version that could not be loaded is not tried again: its bundle may be large."""

_REMEMBERED: Final = 64


class OnDemand:
    """What is waited for, what was refused, and how lately each version was asked for.

    Args:
        capacity: versions kept beside champion and challenger; 0 loads none.
        clock: seconds that only rise.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._futures: dict[str, Future[Version]] = {}
        self._refused: dict[str, tuple[float, BellwetherError]] = {}
        self._asked: dict[str, int] = {}
        self._turns = itertools.count()
        self._waiting = 0
        self._stopped = False

    # for callers, on the event loop

    async def find(self, number: str, state: ServingState) -> Version:
        """The version of a number: at once when the state holds it, else when it is loaded.

        Raises:
            UnknownVersion: there is none of that number.
            Busy: too many callers wait already.
            BundleRejected, NotReady, RegistryUnavailable: it cannot be loaded; says why.
        """
        if number in state.versions or number not in state.registered or not self.capacity:
            version = state.find(number)
            if version.alias == ON_DEMAND:
                self._asked[number] = next(self._turns)
            return version
        if self._waiting >= MAX_WAITING:
            raise Busy(
                "the server takes no more callers than it can load versions for",
                f"{self._waiting} wait",
                "Ask again after a second",
            )
        future = self._future(number)
        self._waiting += 1
        try:
            # A caller who leaves takes the version from nobody else who waits for it.
            return await asyncio.shield(asyncio.wrap_future(future))
        finally:
            self._waiting -= 1

    def _future(self, number: str) -> "Future[Version]":
        with self._lock:
            self._asked[number] = next(self._turns)
            if self._stopped:
                raise NotReady(
                    "the server takes no new work", "it is stopping", "Ask another replica"
                )
            until, error = self._refused.get(number, (0.0, None))
            if error is not None and self._clock() < until:
                raise error.with_traceback(None)
            future = self._futures.get(number)
            if future is None:
                future = self._futures[number] = Future()
                future.set_running_or_notify_cancel()  # from now on nobody can cancel it
                self._queue.put(number)
        return future

    # for the thread that loads

    def next(self, seconds: float) -> str | None:
        """The next number to be loaded, or None when nobody asks within so many seconds."""
        try:
            return self._queue.get(timeout=max(seconds, 0.0)) or None
        except Empty:
            return None

    def kept(self, versions: Iterable[Version]) -> set[str]:
        """Numbers of the versions on demand that stay when one more comes: those asked for last."""
        held = [version.number for version in versions if version.alias == ON_DEMAND]
        held.sort(key=lambda number: self._asked.get(number, -1))
        return set(held[max(len(held) - self.capacity + 1, 0) :])

    def loaded(self, version: Version) -> None:
        """Hand a version to all who wait for it."""
        with self._lock:
            self._refused.pop(version.number, None)
            future = self._futures.pop(version.number, None)
        if future is not None:
            future.set_result(version)

    def refuse(self, number: str, error: BellwetherError) -> None:
        """Tell all who wait for a version why it cannot be loaded, and who asks soon again."""
        with self._lock:
            self._refused.pop(number, None)
            self._refused[number] = (self._clock() + REFUSED_SECONDS, error)
            while len(self._refused) > _REMEMBERED:
                del self._refused[next(iter(self._refused))]
            future = self._futures.pop(number, None)
        if future is not None:
            future.set_exception(error)

    def stop(self) -> None:
        """Load nothing more; who waits is told."""
        with self._lock:
            self._stopped = True
            futures, self._futures = list(self._futures.values()), {}
        self._queue.put("")
        for future in futures:
            future.set_exception(
                NotReady("the server takes no new work", "it is stopping", "Ask again")
            )
