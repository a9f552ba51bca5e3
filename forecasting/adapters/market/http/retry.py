"""Try again, a little later each time, until a deadline."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from forecasting.errors import RateLimited, SourceUnavailable

T = TypeVar("T")

FIRST_DELAY: Final = 0.5
"""Seconds before the second attempt; doubled for each one after."""

LIMITED_DELAY: Final = 2.0
"""The same after a rate limit that does not say how long to wait."""

LONGEST_DELAY: Final = 20.0
ATTEMPTS: Final = 5


def with_retries(
    call: Callable[[], T],
    *,
    deadline: float,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    jitter: random.Random | None = None,
) -> T:
    """Call until it answers, waiting exponentially longer with jitter in between.

    A rate limit is waited for as long as it asks. What the caller did wrong is not tried again.

    Args:
        call: what to do.
        deadline: reading of `clock` by which the last attempt must have begun.
        attempts: how often to try at most.
        sleep: waits for some seconds.
        clock: seconds, rising.
        jitter: takes up to half of every delay away, so that clients do not come back together.

    Raises:
        SourceUnavailable: the last failure, when no attempt or no time is left; the one before it
            when the deadline cut the last attempt short, which says nothing of the provider.
    """
    chance = jitter or random.Random()  # noqa: S311 - jitter, not a secret
    before: SourceUnavailable | None = None
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except SourceUnavailable as failure:
            if before is not None and clock() >= deadline:
                raise before from failure
            before = failure
            delay = _delay(failure, attempt) * (1 - chance.random() / 2)
            if isinstance(failure, RateLimited) and failure.retry_after is not None:
                delay = failure.retry_after
            if attempt == attempts or clock() + delay >= deadline:
                raise
            sleep(delay)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _delay(failure: SourceUnavailable, attempt: int) -> float:
    first = LIMITED_DELAY if isinstance(failure, RateLimited) else FIRST_DELAY
    return min(LONGEST_DELAY, first * 2.0 ** (attempt - 1))
