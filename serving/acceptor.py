"""Accepts connections a few at a time, between the work for those there are.

uvloop accepts until nobody waits any more. A caller who connects faster than that would keep the
loop accepting, and all others without an answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import uvicorn

AT_A_TIME: Final = 8

BACKLOG: Final = 256
"""Connections that may wait to be accepted."""

PAUSE_SECONDS: Final = 0.1
"""How long nothing is accepted when the process has no file left."""


class Acceptor:
    """A listening socket; looks like an asyncio server to Uvicorn.

    Args:
        listener: bound; it is the caller's to close.
        make_protocol: gives each connection's protocol.
    """

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # for those accepted, too
        listener.listen(BACKLOG)
        self._resume()

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listener)
                self._timer = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the caller is gone already
            await self._loop.connect_accepted_socket(self._make_protocol, connection)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listener)
        if self._timer is not None:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for: Uvicorn waits for the connections."""


class QuietUvicorn(uvicorn.Server):
    """Uvicorn that leaves signals to the server around it, and accepts through `Acceptor`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on the sockets."""
        await self.lifespan.startup()
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        make_protocol = partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=asyncio.get_running_loop(),
        )
        self.servers = [Acceptor(listener, make_protocol) for listener in sockets or []]  # type: ignore[misc]
        self.started = True
