"""Connections are accepted a few at a time, and after a pause when there is no file left."""

import asyncio
import contextlib
import errno
import socket

import uvloop

from serving.acceptor import AT_A_TIME, Acceptor
from tests.time_limits import seconds, wait_until


class Listener(socket.socket):
    """A listening socket that can be out of files."""

    full = False

    def accept(self):
        if self.full:
            self.full = False
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


class Counting(asyncio.Protocol):
    def __init__(self, made):
        self.made = made

    def connection_made(self, transport):
        self.made.append(transport)


def accepting(check, *, callers):
    """Run a check with callers who wait for a listener already."""

    async def run():
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(Listener())
            listener.bind(("127.0.0.1", 0))
            listener.listen(callers)
            for _ in range(callers):
                address = listener.getsockname()
                stack.enter_context(contextlib.closing(socket.create_connection(address)))
            made = []
            await check(listener, made)
            for transport in made:
                transport.abort()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(run(), seconds(10)))


def test_between_a_few_connections_there_is_time_for_other_work():
    callers = 5 * AT_A_TIME

    async def check(listener, made):
        acceptor = Acceptor(listener, lambda: Counting(made))
        steps = []
        while len(made) < callers:
            steps.append(len(made))
            await asyncio.sleep(0)
        assert max(b - a for a, b in zip(steps, [*steps[1:], callers], strict=True)) <= AT_A_TIME
        acceptor.close()

    accepting(check, callers=callers)


def test_when_there_is_no_file_left_it_tries_again_after_a_pause():
    async def check(listener, made):
        listener.full = True
        acceptor = Acceptor(listener, lambda: Counting(made))
        await asyncio.to_thread(wait_until, lambda: len(made) == 3, 5)
        assert not listener.full
        acceptor.close()

    accepting(check, callers=3)


def test_nobody_is_accepted_after_the_end():
    async def check(listener, made):
        acceptor = Acceptor(listener, lambda: Counting(made))
        acceptor.close()
        await acceptor.wait_closed()
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert made == []

    accepting(check, callers=3)
