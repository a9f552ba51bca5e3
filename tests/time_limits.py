"""Time limits of the tests, which follow the machine: one measurement at the start scales them all.

A limit is written as it is right for a quiet machine of the reference's class, and said through
`seconds` or `milliseconds`. One that is meant to pass, because the test is about what happens
then, is said through `expires` and stays as short as it is written.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

VARIABLE = "BELLWETHER_TEST_SLOWNESS"
"""Holds the measured factor, for worker processes and for what they start."""

REFERENCE_SECONDS = 0.75
"""What the workload takes on two quiet cores of a virtual server (AMD EPYC, 2026)."""

MARGIN = 2.0
"""Test processes, the servers and the browsers they start share the cores, which the measurement
before them has for itself; and work of others may begin after it."""

LARGEST = 12.0
"""So much slower a machine is waited for; what takes longer hangs."""

_WORK = "total = 0\nfor number in range(6_000_000): total += number * number % 7"


def seconds(limit: float) -> float:
    """A time limit, scaled to this machine."""
    return limit * factor()


def milliseconds(limit: float) -> float:
    """As `seconds`; for what counts in milliseconds."""
    return seconds(limit)


def expires(limit: float) -> float:
    """A time limit that passes in the test: short on every machine."""
    return limit


def factor() -> float:
    """By how much limits are longer here than they are written; measured once, never below 1."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{scaled(measured()):.2f}"
    return float(os.environ[VARIABLE])


def scaled(taken: float) -> float:
    """The factor of a machine on which the workload takes so many seconds."""
    return min(LARGEST, MARGIN * max(1.0, taken / REFERENCE_SECONDS))


def measured() -> float:
    """Seconds the workload takes when every core has one: a busy machine is a slow one."""
    begun = time.monotonic()
    command = [sys.executable, "-I", "-S", "-c", _WORK]
    running = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    for process in running:
        process.wait()
    return time.monotonic() - begun


def wait_until(
    condition: Callable[[], object],
    limit: float,
    said: Callable[[], object] = lambda: "",
    every: float = 0.05,
) -> None:
    """Wait until the condition holds.

    Args:
        condition: asked again and again.
        limit: seconds on a quiet machine, scaled here.
        said: what the failure tells, such as a server's log.
        every: seconds between two looks.
    """
    end = time.monotonic() + seconds(limit)
    while not condition():
        assert time.monotonic() < end, f"not within {seconds(limit):.0f} s: {said()}"
        time.sleep(every)


def pytest_configure(config: pytest.Config) -> None:
    """Measure before the tests are collected and before there are other processes of theirs."""
    from hypothesis import settings

    factor()
    # A slow example is no fault; what hangs is ended by the limits of what it waits for.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


def pytest_report_header() -> str:
    """Say the factor in the first lines."""
    return f"time limits: {factor():.1f} times those of a quiet reference machine"
