"""Ends gRPC calls whose message does not come: one that never ends would hold its place for ever.

gRPC's library reads a unary call's message before it calls the method, without a limit, and a task
that is cancelled there sends no status, so the call stays open. A method of the stream kind reads
for itself; on the wire the two are the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc

MESSAGE_SECONDS: Final = 20.0
"""From a call's metadata to the end of its message: as for a body over HTTP."""

LOOK_SECONDS: Final = 0.5
"""How often calls that wait are looked at: a timer for each would cost more."""

Method = Callable[[bytes, Any], Awaitable[bytes]]


class MessageTime:
    """How long the messages of calls may take to come; one for each server.

    Args:
        count: told the reason of each call that is ended.
        seconds: how long a message may take.
    """

    def __init__(self, count: Callable[[str], None], seconds: float = MESSAGE_SECONDS) -> None:
        self._count = count
        self._seconds = seconds
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looks = False

    @property
    def waiting(self) -> int:
        """Calls whose message has not come yet."""
        return len(self._waiting)

    def service(self, name: str, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
        """A service whose calls end when their message does not come, for a server to register.

        Args:
            name: of the service.
            methods: by name; each takes a message's bytes.
        """
        handlers = {
            method: grpc.stream_unary_rpc_method_handler(self._timed(call))
            for method, call in methods.items()
        }
        return grpc.method_handlers_generic_handler(name, handlers)

    def _timed(self, method: Method) -> Method:
        async def handle(_: object, context: Any) -> bytes:
            message = await self._message(context)
            return await method(message, context)

        return handle

    async def _message(self, context: Any) -> bytes:
        """The call's message; one that does not come ends the call with DEADLINE_EXCEEDED."""
        task = asyncio.current_task()
        assert task is not None  # gRPC runs every call as a task
        loop = asyncio.get_running_loop()
        self._waiting[task] = loop.time()
        if not self._looks:
            self._looks = True
            loop.call_later(LOOK_SECONDS, self._look)
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if task not in self._late:
                raise  # the caller has left
            self._late.discard(task)
            task.uncancel()
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"a call's message must come within {self._seconds:g} s, and it did not. Send it "
                "whole, or in smaller parts of fewer symbols",
            )
        finally:
            self._waiting.pop(task, None)
        if message is grpc.aio.EOF:  # no message, or one that is longer than the limit
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a call must have a message")
        return bytes(message)

    def _look(self) -> None:
        """Cancel the reading of what has waited too long."""
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._seconds
        for task, since in list(self._waiting.items()):
            if since <= latest:
                del self._waiting[task]
                self._late.add(task)
                self._count("too_slow")
                task.cancel()
        self._looks = bool(self._waiting)
        if self._looks:
            loop.call_later(LOOK_SECONDS, self._look)
