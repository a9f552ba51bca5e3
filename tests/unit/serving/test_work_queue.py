"""Long requests: how many may wait, and work that never ends."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from forecasting.errors import NotReady
from serving.work_queue import Busy, WorkQueue
from tests.time_limits import seconds, wait_until


@pytest.fixture
def queue():
    made = WorkQueue(threads=1, limit=2)
    yield made
    made.stop()


def test_work_returns_what_it_makes_and_raises_what_it_raises(queue):
    async def run():
        assert await queue.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await queue.run(divmod, 7, 0)

    asyncio.run(run())


def test_an_error_goes_with_its_caller_and_does_not_wait_for_the_collector(queue):
    async def run():
        with contextlib.suppress(Failure):
            await queue.run(fail)

    class Failure(Exception):
        def __init__(self):
            made.append(weakref.ref(self))

    def fail():
        raise Failure

    made = []
    gc.disable()
    try:
        asyncio.run(run())
        assert made[0]() is None
    finally:
        gc.enable()


def test_more_than_may_wait_is_refused_until_work_has_ended(queue):
    async def run():
        released = threading.Event()
        under_way = [asyncio.create_task(queue.run(released.wait, seconds(20))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="2 are under way") as caught:
            await queue.run(int)
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
        released.set()
        assert await asyncio.gather(*under_way) == [True, True]
        assert await queue.run(int) == 0

    asyncio.run(run())


def test_callers_who_leave_do_not_make_room_before_their_work_has_ended(queue):
    async def run():
        released = threading.Event()
        for _ in range(2):
            task = asyncio.create_task(queue.run(released.wait, seconds(20)))
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await queue.run(int)
        released.set()

    asyncio.run(run())


def test_a_busy_queue_lives_and_one_whose_work_never_ends_does_not(queue, monkeypatch):
    async def run():
        released = threading.Event()
        task = asyncio.create_task(queue.run(released.wait, seconds(20)))
        await asyncio.sleep(0)
        queue.check_moving()
        monkeypatch.setattr("serving.work_queue.STUCK_SECONDS", 0.0)
        await asyncio.to_thread(wait_until, lambda: queue._begun, 10)
        with pytest.raises(NotReady, match="Restart"):
            queue.check_moving()
        released.set()
        await task
        queue.check_moving()

    asyncio.run(asyncio.wait_for(run(), seconds(20)))


def test_waiting_work_is_not_begun_when_the_server_stops(queue):
    others = set(threading.enumerate())  # of servers that other tests have left running

    async def run():
        begun, released = threading.Event(), threading.Event()

        def work():
            begun.set()
            released.wait(seconds(20))

        tasks = [asyncio.create_task(queue.run(work)) for _ in range(2)]
        await asyncio.sleep(0)
        assert begun.wait(seconds(10))
        queue.stop()
        released.set()
        await tasks[0]
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]

    asyncio.run(run())
    wait_until(
        lambda: (
            not [t for t in threading.enumerate() if t.name.startswith("work") and t not in others]
        ),
        10,
    )
