"""Uvicorn's HTTP protocol with limits: on heads, on waiting, and on the number of connections.

Uvicorn on httptools takes heads of any length and waits for the rest of a request for ever. Here
a head is counted while it comes, and one timer looks at all connections that wait for their
caller. When there are too many connections, the one that has waited longest is closed for a new
one, so callers who open connections and send nothing cannot keep others out.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from forecasting.inference_protocol.messages import error_body

LOOK_SECONDS: Final = 0.5
"""How often connections that wait are looked at."""

HEALTH: Final = b"/v2/health/"


REASONS: Final = {
    400: "malformed",
    408: "too_slow",
    414: "url_too_long",
    431: "headers_too_long",
    503: "no_room",
}
"""What a refusal's status is called where refusals are counted."""

GAVE_WAY: Final = "gave_way"
"""And a connection that was closed for another one."""


class Limits(NamedTuple):
    """What callers may send, and how long they may take.

    Attributes:
        head_bytes: longest request line with headers; also of a chunked body's trailers.
        headers: most headers of a request.
        url_bytes: longest path with query.
        request_bytes: what is read, and thrown away, of a request that is refused.
        pipelined: requests that may wait on one connection for the answer to one before them.
        connections: most connections at a time.
        health_connections: how many more there may be, to ask for health only.
        head_seconds: from a connection, or from a head's first byte, to the head's last.
        body_seconds: from the head's end to the body's.
        answer_seconds: how long a caller may take to read an answer.
        idle_seconds: how long a connection stays open without a request.
        linger_seconds: how long a refused caller may go on sending, so that he can read why.
    """

    head_bytes: int = 32_768
    headers: int = 100
    url_bytes: int = 8_192
    request_bytes: int = 33_554_432
    pipelined: int = 16
    connections: int = 512
    health_connections: int = 16
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    answer_seconds: float = 30.0
    idle_seconds: float = 65.0
    linger_seconds: float = 2.0


class Connections:
    """The connections of a server that wait for their callers, longest first.

    Args:
        limits: for each connection, and for all.
        count: told the reason of each refusal.
    """

    def __init__(self, limits: Limits, count: Callable[[str], None] = lambda _: None) -> None:
        self.limits = limits
        self.count = count
        self._waiting: OrderedDict[LimitedProtocol, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def protocol(self, **options: Any) -> "LimitedProtocol":
        """A new connection's protocol; arguments are Uvicorn's."""
        return LimitedProtocol(self, **options)

    def waits(self, connection: "LimitedProtocol") -> None:
        """From now on the connection waits for its caller."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = connection.loop.time()

    def works(self, connection: "LimitedProtocol") -> None:
        """The connection does not wait for its caller any more."""
        self._waiting.pop(connection, None)

    def make_room(self) -> bool:
        """Close the connection that has waited longest; false if all are at work."""
        if not self._waiting:
            return False
        next(iter(self._waiting)).give_way()
        return True

    def watch(self) -> None:
        """Close, now and from now on, what waits too long."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_SECONDS, self.watch)
        now = loop.time()
        for connection, since in list(self._waiting.items()):
            connection.expire(now - since)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()


# What has come of the next request.
_NOTHING, _HEAD, _WHOLE_HEAD, _BODY = range(4)


class _Refused(Exception):
    """Ends the parsing of a request that was refused."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. It speaks HTTP/1.1 only: requests to upgrade are answered by it.

    Args:
        shared: all connections of the server.
        options: Uvicorn's arguments.
    """

    def __init__(self, shared: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.url = b""
        self.headers = []
        self._shared = shared
        self._limits = shared.limits
        self._stage = _HEAD  # the time for the first head begins with the connection
        self._timed_stage = _HEAD
        self._bare_bytes = 0  # since the head began, or since the last byte of the body
        self._request_bytes = 0
        self._health_only = False
        self._refusal: tuple[int, str] | None = None
        self._refused = False

    # the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, close another one for it, or refuse it."""
        super().connection_made(transport)
        self._shared.waits(self)
        excess = len(self.connections) - self._limits.connections
        if excess <= 0:
            return
        self._shared.works(self)
        if not self._shared.make_room():
            if excess > self._limits.health_connections:
                self._turn_away()
                return
            self._health_only = True
        self._shared.waits(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and what it still holds: the collector may come late."""
        self._shared.works(self)
        super().connection_lost(exc)
        self.pipeline.clear()
        self.cycle = self.scope = None  # type: ignore[assignment]
        self.headers = []

    def data_received(self, data: bytes) -> None:
        """Parse what came, in pieces that cannot hold more of a head than may come."""
        self._request_bytes += len(data)
        if self._request_bytes > self._limits.request_bytes:
            self.transport.abort()
            return
        if self._refused:
            return
        limit = self._limits.head_bytes
        length = len(data)
        start = 0
        while start < length:
            room = limit - self._bare_bytes
            piece = data if length <= room else data[start : start + room]
            start += len(piece)
            self._bare_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                pass  # no other protocol is spoken here, so HTTP goes on
            except httptools.HttpParserError:
                self._refuse(*(self._refusal or (400, "a request must be HTTP/1.1")))
                return
            if (self._stage or self._bare_bytes) and not self._goes_on():
                return

    def pause_writing(self) -> None:
        """The caller does not read."""
        super().pause_writing()
        self._shared.waits(self)

    def resume_writing(self) -> None:
        """The caller reads again."""
        super().resume_writing()
        if self.cycle is None or self.cycle.response_complete:
            self._shared.waits(self)
        else:
            self._shared.works(self)

    # the parser's calls

    def on_headers_complete(self) -> None:
        """Check the head and start the request."""
        self._stage = _WHOLE_HEAD
        self._bare_bytes = 0
        limits = self._limits
        if len(self.url) > limits.url_bytes or len(self.headers) > limits.headers:
            self._refusal = self._broken_limit()
            raise _Refused
        if self._health_only and not self.url.startswith(HEALTH):
            self._refusal = self._no_room()
            raise _Refused
        if self.pipeline and len(self.pipeline) >= limits.pipelined:
            raise _Refused
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._stage = _BODY
        self._bare_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """From here on it is the server that is waited for."""
        self._stage = self._timed_stage = _NOTHING
        self._bare_bytes = self._request_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            self._rest()
            return
        if not self.flow.write_paused:
            self._shared.works(self)
        cycle.more_body = False
        cycle.message_event.set()

    def on_response_complete(self) -> None:
        """As Uvicorn's, without a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._stage == _WHOLE_HEAD and self.expect_100_continue:
            # The caller was not told to go on: what he sends next may be a request or a body.
            self.transport.close()
        else:
            self._rest()

    # limits

    def _goes_on(self) -> bool:
        """Whether an unfinished request keeps the limits so far; if so, its time runs."""
        if self._refused or self.transport.is_closing():
            return False
        if self._stage == _NOTHING:
            self._stage = _HEAD
        broken = self._broken_limit()
        if broken is not None:
            self._refuse(*broken)
            return False
        at_work = self.cycle is not None and not self.cycle.response_complete
        if self._stage != self._timed_stage and not (self._stage == _HEAD and at_work):
            if self._timed_stage < _WHOLE_HEAD:
                self._shared.waits(self)
            self._timed_stage = self._stage
        return True

    def _broken_limit(self) -> tuple[int, str] | None:
        limits = self._limits
        if len(self.url) > limits.url_bytes:
            return 414, f"a URL must not be longer than {limits.url_bytes} bytes"
        if len(self.headers) > limits.headers:
            return 431, f"a request must not have more than {limits.headers} headers"
        if self._bare_bytes >= limits.head_bytes:
            return 431, f"headers must not be longer than {limits.head_bytes} bytes together"
        return None

    def _no_room(self) -> tuple[int, str]:
        return 503, f"the server has {self._limits.connections} connections already: try again"

    def _rest(self) -> None:
        self._timed_stage = self._stage
        self._shared.waits(self)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer, and read on for a while: closed at once, the answer would not be read."""
        self._refused = True
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or cycle.more_body is False or self.pipeline:
                self.transport.abort()  # another answer is due before this one
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self._write(status, sentence)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._shared.waits(self)

    def _turn_away(self) -> None:
        """Refuse a new connection, and close it at once: it must not count among the others."""
        self._refused = True
        self._write(*self._no_room())
        self.connections.discard(self)
        self.transport.close()

    def _write(self, status: int, sentence: str) -> None:
        self._shared.count(REASONS[status])
        body = error_body(sentence)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            + (b"retry-after: 1\r\n" if status == 503 else b"")
            + b"connection: close\r\n\r\n"
            + body
        )

    def expire(self, seconds: float) -> None:
        """Close the connection if it has waited too long.

        Args:
            seconds: how long it has waited.
        """
        limits = self._limits
        if self._refused:
            if seconds > limits.linger_seconds:
                self.transport.abort()
        elif self.transport.get_write_buffer_size():
            if seconds > limits.answer_seconds:
                self.transport.abort()
        elif self._stage >= _WHOLE_HEAD:
            if seconds > limits.body_seconds:
                self._too_slow(f"a body must come within {limits.body_seconds:g} s")
        elif self._stage == _HEAD:
            if seconds > limits.head_seconds:
                self._too_slow(f"a request's head must come within {limits.head_seconds:g} s")
        elif seconds > limits.idle_seconds:
            self.transport.close()

    def _too_slow(self, sentence: str) -> None:
        answered = self._stage >= _WHOLE_HEAD and self.cycle.response_complete
        if answered or not self._request_bytes:
            self.transport.close()
        else:
            self._refuse(408, f"{sentence}: {self._request_bytes} bytes of the request came")

    def give_way(self) -> None:
        """Close at once, for another connection."""
        self._shared.count(GAVE_WAY)
        self._shared.works(self)
        self.connections.discard(self)
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # to close, the caller would have to read
        else:
            self.transport.close()
