"""How often a provider may be asked: one budget a provider, shared by every thread of a process."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from forecasting.errors import RateLimited
from forecasting.prices.quality.catalogue import FAULTS


class Budget:
    """So many requests in any span of so many seconds, whoever makes them.

    A sliding window rather than a bucket of tokens that refills: a full bucket and its refill
    together let nearly twice the documented limit through in one span.

    A request that weighs more than the whole budget waits until nothing else is in the window, and
    stays in it for as many spans as it weighs budgets.

    Args:
        provider: whose limit it is, for the error.
        amount: weight that may fall into one span.
        seconds: length of the span.
        sleep: waits for some seconds.
        clock: seconds, rising.
    """

    def __init__(
        self,
        provider: str,
        amount: float,
        seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider, self.amount, self.seconds = provider, amount, seconds
        self._sleep, self._clock = sleep, clock
        self._spent: deque[tuple[float, float]] = deque()  # (when it leaves the window, weight)
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def take(self, *, until: float, weight: float = 1.0) -> None:
        """Wait until a request may be made, and count it.

        Args:
            until: reading of the clock after which it is not worth waiting.
            weight: what the request costs.

        Raises:
            RateLimited: the wait would not end in time; nothing is counted.
        """
        while True:
            with self._lock:
                now = self._clock()
                wait = self._wait(now, weight)
                if wait <= 0:
                    spans = max(1.0, weight / self.amount)
                    self._spent.append((now + spans * self.seconds, weight))
                    return
            if now + wait >= until:
                raise RateLimited(
                    FAULTS["rate_limited"].rule,
                    f"{self.provider} allows {self.amount:g} requests in {self.seconds:g} s, and "
                    f"the next is due in {wait:.1f} s (rate_limited)",
                    "Ask for fewer symbols, wait, or raise BELLWETHER_SOURCE_DEADLINE_SECONDS",
                    retry_after=wait,
                )
            self._sleep(wait)

    def close_for(self, seconds: float) -> None:
        """Let nobody through for a while, because the provider asked for that."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _wait(self, now: float, weight: float) -> float:
        """Seconds until a request of this weight may be made, as far as can be said now."""
        self._spent = deque((leaves, spent) for leaves, spent in self._spent if leaves > now)
        if now < self._closed_until:
            return self._closed_until - now
        total = sum(spent for _, spent in self._spent) + weight
        if self._spent and total > self.amount * (1 + 1e-9):
            return min(leaves for leaves, _ in self._spent) - now
        return 0.0


def shared_budget(
    provider: str, address: str, amount: float, seconds: float, *, processes: int = 1
) -> Budget:
    """The budget of a provider at an address, one for all threads of this process.

    A provider counts an account's requests, not a process's: where several processes fetch at the
    same time, each keeps to its part of the limit.

    Args:
        provider: whose limit it is.
        address: where it is asked; a stand-in of the provider has limits of its own.
        amount: weight that all processes together may spend in one span.
        seconds: length of the span.
        processes: how many processes fetch at the same time.
    """
    return _budget(provider, address, amount / processes, seconds)


@lru_cache(maxsize=64)
def _budget(provider: str, address: str, amount: float, seconds: float) -> Budget:
    del address  # part of the key
    return Budget(provider, amount, seconds)
