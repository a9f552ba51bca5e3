"""A provider's limit holds in every span of time, whoever asks and however they arrive."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.adapters.market.http.budget import Budget, shared_budget
from forecasting.errors import RateLimited
from tests.time_limits import seconds


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def budget(amount: float, seconds: float) -> tuple[Budget, Clock]:
    clock = Clock()
    return Budget("them", amount, seconds, sleep=clock.sleep, clock=clock), clock


@given(
    amount=st.integers(1, 8),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_span_ever_holds_more_requests_than_the_limit(amount: int, pauses: list[float]) -> None:
    held, clock = budget(amount, 10.0)
    made = []
    for pause in pauses:
        clock.now += pause
        held.take(until=1e9)
        made.append(clock.now)
    for i, first in enumerate(made):
        assert sum(first <= moment < first + 10.0 - 1e-6 for moment in made[i:]) <= amount


def test_a_whole_budget_may_be_spent_at_once_and_no_request_waits_longer_than_it_must() -> None:
    held, clock = budget(3, 60.0)
    moments = []
    for _ in range(7):
        held.take(until=1e9)
        moments.append(clock.now)
    assert moments == [0, 0, 0, 60, 60, 60, 120]


def test_a_heavy_request_holds_the_others_up_as_long_as_it_weighs() -> None:
    held, clock = budget(1, 0.05)  # an exchange's pace: one unit in 50 ms
    held.take(until=1e9, weight=4.0)
    held.take(until=1e9, weight=0.4)
    assert clock.now == pytest.approx(0.2)
    held.take(until=1e9, weight=0.4)
    assert clock.now == pytest.approx(0.2)
    held.take(until=1e9, weight=0.4)
    assert clock.now == pytest.approx(0.25)


def test_a_wait_past_the_deadline_is_refused_at_once_and_costs_nothing() -> None:
    held, clock = budget(1, 60.0)
    held.take(until=10.0)
    for _ in range(3):
        with pytest.raises(RateLimited, match=r"them allows 1 requests in 60 s") as caught:
            held.take(until=10.0)
    assert caught.value.retry_after == 60.0
    assert clock.now == 0.0
    held.take(until=61.0)
    assert clock.now == 60.0


def test_nobody_gets_through_while_the_provider_wants_quiet() -> None:
    held, clock = budget(100, 60.0)
    held.close_for(30.0)
    held.close_for(5.0)  # an earlier end does not shorten it
    with pytest.raises(RateLimited):
        held.take(until=20.0)
    held.take(until=40.0)
    assert clock.now == 30.0


def test_threads_and_sources_of_one_process_share_a_budget() -> None:
    span = seconds(0.4)
    first = shared_budget("them", "http://here", 5, span)
    assert shared_budget("them", "http://here", 5, span) is first
    assert shared_budget("them", "http://there", 5, span) is not first
    made: list[float] = []

    def ask() -> None:
        for _ in range(5):
            shared_budget("them", "http://here", 5, span).take(until=time.monotonic() + seconds(30))
            made.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.sort()
    assert len(made) == 15
    # The sixth from any request on comes a span later, but for the time between take and note.
    assert min(late - early for early, late in zip(made, made[5:], strict=False)) > 0.75 * span
