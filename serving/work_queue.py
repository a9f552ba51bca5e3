"""Runs long requests in threads beside the event loop, and refuses them when too many wait.

The loop only reads, writes and answers what takes less than a millisecond, health among it. So a
server that is busy says that it lives; one whose work never ends says that it does not.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from forecasting.errors import NotReady, Unavailable

Result = TypeVar("Result")

THREADS: Final = max(2, min(4, os.cpu_count() or 1))

MAX_UNDER_WAY: Final = 32
"""Long requests that may be computed or wait; each holds a body of at most 1 MiB."""

STUCK_SECONDS: Final = 60.0
"""The longest request takes less than a second: work that goes on so long never ends."""


class Busy(Unavailable):
    """Too much waits already; ask again after a moment.

    Attributes:
        retry_after: seconds to wait.
    """

    retry_after = 1


class WorkQueue:
    """A bounded queue in front of a few threads.

    Args:
        threads: how many requests are computed at a time.
        limit: how many may be computed or wait.
    """

    def __init__(self, threads: int = THREADS, limit: int = MAX_UNDER_WAY) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._limit = limit
        self._under_way = 0
        self._begun: dict[object, float] = {}

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the work returns, or raises.

        Raises:
            Busy: as much as may wait waits already.
        """
        if self._under_way >= self._limit:
            raise Busy(
                "the server takes no more long requests than it can answer soon",
                f"{self._under_way} are under way",
                "Ask again after a second",
            )
        self._under_way += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._timed, work, arguments)
        future.add_done_callback(self._ended)
        try:
            # Work whose caller has left still takes its place: callers who leave could fill memory.
            return await asyncio.shield(future)
        finally:
            del future  # else an error and this frame hold each other, and with them the body

    def _timed(self, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        token = object()
        self._begun[token] = time.monotonic()
        try:
            return work(*arguments)
        finally:
            del self._begun[token]

    def _ended(self, future: "asyncio.Future[Any]") -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # its caller may have left: nobody else asks

    def check_moving(self) -> None:
        """Whether work that was begun ends.

        Raises:
            NotReady: some has gone on for longer than any request can take.
        """
        longest = time.monotonic() - min(list(self._begun.values()), default=float("inf"))
        if longest > STUCK_SECONDS:
            raise NotReady(
                f"a request is answered within {STUCK_SECONDS:g} s",
                f"one has been computed for {longest:.0f} s",
                "Restart the server",
            )

    def stop(self) -> None:
        """Begin nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
