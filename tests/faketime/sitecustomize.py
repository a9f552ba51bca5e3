"""Lets Python sleep under libfaketime: on the path of `tests/dates.py` only.

libfaketime 0.9.10 leaves the monotonic clock alone when asked to, but still shifts what a process
sleeps until by that clock, which is how `time.sleep` sleeps (wolfcw/libfaketime's clock_nanosleep).
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
