"""The limits on heads, waiting and connections, on a real Uvicorn with an application that echoes."""

import asyncio
import contextlib
import http.client
import itertools
import json
import socket
import threading
import time

import pytest
import uvicorn
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.acceptor import QuietUvicorn
from serving.http_protocol import GAVE_WAY, LOOK_SECONDS, REASONS, Connections, Limits
from tests.time_limits import expires, seconds, wait_until

LARGE = 8_000_000


class Serving:
    """Uvicorn with our protocol in a thread of its own."""

    def __init__(self, **limits):
        self.released = threading.Event()
        self.arrived = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.refusals = []
        self.connections = Connections(Limits(**limits), self.refusals.append)
        config = uvicorn.Config(
            self.echo,
            interface="asgi3",
            http=self.connections.protocol,
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="off",
        )
        self.server = QuietUvicorn(config)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        async def serve():
            self.connections.watch()
            await self.server.serve(sockets=[self.listener])
            self.connections.stop()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    async def echo(self, scope, receive, send):
        """Answers path and body length; /work when released, /large at length, /early unread."""
        length, more = 0, scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            more = message["more_body"]
        if scope["path"] == "/work":
            self.arrived += 1
            await asyncio.to_thread(self.released.wait, seconds(30))
        body = f"{scope['path']} {length}".encode()
        if scope["path"] == "/large":
            body = b" " * LARGE
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def held(self):
        return len(self.server.server_state.connections)

    def connect(self):
        return contextlib.closing(Caller(self.port))

    def ask(self, data):
        """The answer to some bytes: status, body, headers."""
        with self.connect() as connection:
            connection.sendall(data)
            return connection.read()

    def get(self, path):
        return self.ask(head(path))


class Caller:
    """A connection, and the answers on it one after the other."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds(10))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.sendall = self.socket.sendall

    def read(self):
        """Status, body, headers."""
        line = self.file.readline()
        if not line:
            raise ConnectionResetError
        headers = http.client.parse_headers(self.file)
        body = self.file.read(int(headers["content-length"]))
        return int(line.split()[1]), body, headers

    def ended(self):
        """Waits until the server closes the connection."""
        return self.file.read(1) == b""

    def close(self):
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def serving(**limits):
    running = Serving(**limits)
    running.thread.start()
    wait_until(lambda: running.server.started, 10)
    try:
        yield running
    finally:
        running.released.set()
        running.server.should_exit = True
        running.thread.join(seconds(20))
        assert not running.thread.is_alive()


def head(path="/", *lines, method=b"GET"):
    return b"\r\n".join(
        [method + b" " + path.encode() + b" HTTP/1.1", b"Host: x", *lines, b"", b""]
    )


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def test_requests_within_the_limits_are_answered_one_after_the_other(server):
    lines = [b"X-%d: " % number + b"v" * 200 for number in range(90)]
    with server.connect() as connection:
        for number in range(3):
            connection.sendall(head(f"/{number}", *lines))
            assert connection.read()[:2] == (200, f"/{number} 0".encode())
            connection.sendall(
                head("/p", b"Content-Length: 200000", method=b"POST") + b"b" * 200_000
            )
            assert connection.read()[:2] == (200, b"/p 200000")


ONE_HEADER = head("/", b"X: " + b"v" * 40_000)
MANY_HEADERS = head("/", *[b"X: y"] * 200)
LONG_URL = head("/" + "u" * 9_000)
TRAILERS = head("/", b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\nb\r\n"


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (ONE_HEADER, 431, "headers must not be longer than 32768 bytes"),
        (ONE_HEADER[:-4], 431, "headers must not be longer than 32768 bytes"),
        (b"X" * 40_000, 400, "must be HTTP/1.1"),
        (MANY_HEADERS, 431, "more than 100 headers"),
        (MANY_HEADERS[:-2], 431, "more than 100 headers"),
        (LONG_URL, 414, "longer than 8192 bytes"),
        (LONG_URL[:9_000], 414, "longer than 8192 bytes"),
        (TRAILERS + b"0\r\nX: " + b"v" * 70_000, 431, "headers must not be longer"),
        (TRAILERS + b"1;" + b"e" * 70_000, 431, "headers must not be longer"),
        (b"GARBAGE\r\n\r\n", 400, "must be HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", 400, "must be HTTP/1.1"),
        (head("/", b"Content-Length: x"), 400, "must be HTTP/1.1"),
    ],
)
def test_a_head_that_breaks_a_limit_is_refused_in_words_and_complete_or_not(
    server, data, status, sentence
):
    found, body, headers = server.ask(data)
    assert found == status
    assert sentence in json.loads(body)["error"]
    assert headers["connection"] == "close"
    assert server.refusals[-1] == REASONS[status]
    assert server.get("/next")[0] == 200


def test_a_caller_who_goes_on_sending_can_read_why_he_is_refused(server):
    status, body, _ = server.ask(head("/", b"X: " + b"v" * 10_000_000))
    assert status == 431
    assert json.loads(body)["error"]


def test_a_caller_who_sends_without_end_is_not_listened_to(server):
    with server.connect() as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        connection.sendall(b"v" * 200_000_000)


def test_an_early_answer_can_be_read_and_the_connection_goes_on(server):
    with server.connect() as connection:
        connection.sendall(head("/early", b"Content-Length: 3000000", method=b"POST"))
        connection.sendall(b"b" * 3_000_000)
        assert connection.read()[:2] == (200, b"/early 0")
        connection.sendall(head("/next"))
        assert connection.read()[1] == b"/next 0"


def test_a_caller_who_was_not_told_to_go_on_finds_the_connection_closed_after_the_answer(server):
    with server.connect() as connection:
        lines = b"Content-Length: 9", b"Expect: 100-continue"
        connection.sendall(head("/early", *lines, method=b"POST"))
        assert connection.read()[1] == b"/early 0"
        assert connection.ended()


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=6))
def test_a_request_may_come_in_any_pieces(server, cuts):
    data = head("/a", b"Content-Length: 300", method=b"POST") + b"b" * 300 + head("/z")
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    with server.connect() as connection:
        for start, stop in itertools.pairwise(edges):
            connection.sendall(data[start:stop])
        assert connection.read()[1] == b"/a 300"
        assert connection.read()[1] == b"/z 0"


def test_requests_in_advance_are_answered_in_order_and_too_many_end_the_connection(server):
    with server.connect() as connection:
        connection.sendall(b"".join(head(f"/{number}") for number in range(10)))
        assert [connection.read()[1] for _ in range(10)] == [b"/%d 0" % n for n in range(10)]
    with server.connect() as connection, pytest.raises(ConnectionResetError):
        _ = connection.sendall(head() * 1_000), [connection.read() for _ in range(1_000)]


# time


@pytest.mark.parametrize(
    ("data", "limits", "sentence"),
    [
        (b"GET / HT", {"head_seconds": expires(0.1)}, "head must come within 0.1 s: 8 bytes"),
        (
            head("/", b"Content-Length: 5", method=b"POST"),
            {"body_seconds": expires(0.1)},
            "a body must come within 0.1 s",
        ),
        (
            head("/", b"Content-Length: 5", method=b"POST") + b"abc",
            {"body_seconds": expires(0.1)},
            "a body must come within 0.1 s",
        ),
    ],
)
def test_a_caller_who_stops_in_the_middle_is_told_so(data, limits, sentence):
    with serving(**limits) as server:
        status, body, _ = server.ask(data)
        assert status == 408
        assert server.refusals == ["too_slow"]
        assert sentence in json.loads(body)["error"]


@pytest.mark.parametrize("limits", [{"head_seconds": 0.1}, {"idle_seconds": 0.1}])
def test_a_connection_without_a_request_is_closed(limits):
    with serving(**limits) as server, server.connect() as connection:
        if "idle_seconds" in limits:
            connection.sendall(head())
            connection.read()
        assert connection.ended()
        wait_until(lambda: server.held() == 0, 5)


def test_a_second_request_has_the_whole_time_although_the_connection_idled():
    limit = seconds(0.75)
    limits = {"head_seconds": limit, "body_seconds": limit}
    with serving(**limits) as server, server.connect() as connection:
        connection.sendall(head())
        connection.read()
        time.sleep(limit)
        connection.sendall(head("/b", b"Content-Length: 1", method=b"POST"))
        time.sleep(2 * LOOK_SECONDS)
        connection.sendall(b"b")
        assert connection.read()[1] == b"/b 1"


def test_work_may_take_longer_than_callers_may_wait():
    limits = {"head_seconds": 0.1, "body_seconds": 0.1, "idle_seconds": 0.1}
    with serving(**limits) as server, server.connect() as connection:
        connection.sendall(head("/work"))
        wait_until(lambda: server.arrived == 1, 5)
        time.sleep(3 * LOOK_SECONDS)
        server.released.set()
        assert connection.read()[0] == 200


def test_a_caller_who_does_not_read_is_not_waited_for():
    with serving(answer_seconds=expires(0.1)) as server:
        with server.connect() as connection:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(head("/large") + head("/large"))
            wait_until(lambda: server.held() == 1, 5)
            wait_until(lambda: server.held() == 0, 10)
        assert server.get("/next")[0] == 200


# connections


def test_for_a_connection_too_many_the_one_that_waited_longest_is_closed():
    with serving(connections=4) as server, contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(server.connect()) for _ in range(4)]
        for number, connection in enumerate(waiting):
            connection.sendall(b"GET / HTTP/1.1\r\n")
            wait_until(lambda number=number: server.held() > number, 5)
        for _ in range(2):
            assert server.get("/new")[0] == 200
        assert waiting[0].ended()
        assert set(server.refusals) == {GAVE_WAY}
        waiting[3].sendall(b"Host: x\r\n\r\n")
        assert waiting[3].read()[0] == 200


def test_while_all_connections_are_at_work_health_is_answered_and_others_hear_why_not():
    with serving(connections=2, health_connections=1) as server, contextlib.ExitStack() as stack:
        working = [stack.enter_context(server.connect()) for _ in range(2)]
        for connection in working:
            connection.sendall(head("/work"))
        wait_until(lambda: server.arrived == 2, 5)
        assert server.get("/v2/health/live")[0] == 200
        status, body, headers = server.get("/other")
        assert (status, headers["retry-after"]) == (503, "1")
        assert server.refusals == ["no_room"]
        assert "has 2 connections already" in json.loads(body)["error"]
        server.released.set()
        assert [connection.read()[0] for connection in working] == [200, 200]


def test_any_number_of_connections_that_send_nothing_leaves_room_for_a_request():
    with serving(connections=8) as server, contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(server.connect())
        assert server.get("/new")[0] == 200
        assert server.held() <= 8
