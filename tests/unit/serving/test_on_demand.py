"""Versions on demand: loaded once however many ask, few kept, refusals remembered, nobody in the way.

With a real registry and over the protocol: tests/integration/test_versions_on_demand.py.
"""

import asyncio
import threading

import pytest

from forecasting.errors import BundleRejected, NotReady, UnknownVersion
from serving import on_demand
from serving.on_demand import OnDemand
from serving.state import ON_DEMAND, ServingState, Version
from serving.work_queue import Busy


def version(number, alias=ON_DEMAND):
    return Version(number, alias, "default", None, None, "")


STATE = ServingState({"3": version("3", "champion")}, "3", "", ("1", "2", "3"))


async def asked(versions, *numbers):
    """Callers that wait for these numbers, each a task that has begun."""
    tasks = [asyncio.create_task(versions.find(number, STATE)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


def test_many_who_ask_at_once_make_one_load_and_all_get_it():
    async def ask():
        versions = OnDemand(2)
        tasks = await asked(versions, *["1"] * 20)
        assert versions.next(0) == "1"
        assert versions.next(0) is None
        threading.Thread(target=versions.loaded, args=[version("1")]).start()
        found = await asyncio.gather(*tasks)
        assert len(set(map(id, found))) == 1

    asyncio.run(ask())


def test_a_caller_who_leaves_takes_the_version_from_nobody():
    async def ask():
        versions = OnDemand(2)
        leaves, stays = await asked(versions, "1", "1")
        leaves.cancel()
        await asyncio.sleep(0)
        versions.loaded(version("1"))
        assert (await stays).number == "1"

    asyncio.run(ask())


def test_what_the_state_holds_is_found_at_once_and_what_nobody_registered_is_not():
    async def ask():
        versions = OnDemand(2)
        assert await versions.find("3", STATE) is STATE.versions["3"]
        with pytest.raises(UnknownVersion, match=r"must be registered: '9'\. Registered: 1, 2, 3"):
            await versions.find("9", STATE)
        assert versions.next(0) is None

    asyncio.run(ask())


def test_where_none_is_loaded_on_demand_only_what_is_served_is_found():
    async def ask():
        with pytest.raises(UnknownVersion, match=r"the server has loaded: '1'\. Loaded: 3"):
            await OnDemand(0).find("1", ServingState(STATE.versions, "3", ""))

    asyncio.run(ask())


def test_a_refused_version_is_not_tried_again_for_a_while():
    now = [100.0]

    async def ask():
        versions = OnDemand(2, clock=lambda: now[0])
        (waits,) = await asked(versions, "1")
        versions.refuse(versions.next(0), BundleRejected("a digest must fit", "it does not"))
        for again in (waits, versions.find("1", STATE)):
            with pytest.raises(BundleRejected, match="a digest must fit"):
                await again
        assert versions.next(0) is None
        now[0] += on_demand.REFUSED_SECONDS
        (waits,) = await asked(versions, "1")
        versions.loaded(version(versions.next(0)))
        assert (await waits).number == "1"

    asyncio.run(ask())


def test_no_more_callers_wait_than_the_memory_is_for():
    async def ask():
        versions = OnDemand(2)
        tasks = await asked(versions, *["1"] * on_demand.MAX_WAITING)
        with pytest.raises(Busy):
            await versions.find("2", STATE)
        versions.loaded(version("1"))
        await asyncio.gather(*tasks)
        (waits,) = await asked(versions, "2")
        versions.loaded(version("2"))
        assert (await waits).number == "2"

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("capacity", "kept"), [(1, set()), (2, {"1"}), (3, {"1", "2"}), (9, {"1", "2", "4"})]
)
def test_those_asked_for_last_are_kept_and_never_more_than_may_be(capacity, kept):
    held = {number: version(number) for number in ("1", "2", "4")}
    state = ServingState({**STATE.versions, **held}, "3", "", ("1", "2", "3", "4", "5"))
    versions = OnDemand(capacity)

    async def ask():
        for number in ("4", "2", "1"):
            await versions.find(number, state)

    asyncio.run(ask())
    assert versions.kept(state.versions.values()) == kept
    new = state.with_version(version("5"), versions.kept(state.versions.values()).__contains__)
    assert set(new.versions) == {"3", "5", *kept}


def test_who_waits_while_the_server_stops_is_told():
    async def ask():
        versions = OnDemand(2)
        (waits,) = await asked(versions, "1")
        versions.stop()
        for caller in (waits, versions.find("2", STATE)):
            with pytest.raises(NotReady, match="it is stopping"):
                await caller

    asyncio.run(ask())
