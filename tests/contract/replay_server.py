"""A local server that replays a provider's answers, faults included; tests only."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, object]
    at: float
    method: str = "GET"
    form: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What to send: `missing` bytes fewer than its Content-Length promises, after `wait` seconds.

    From the part of it named by `drips` on, "headers" or "body", a byte comes every 0.2 seconds.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    missing: int = 0
    drips: str = ""


def data(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


HTML = Answer(200, b"<!DOCTYPE html><html><body>Just a moment...</body></html>")
BROKEN = Answer(500, b"Internal Server Error")
AWAY = Answer(503, b"")
NOTHING = Answer(200, b"")
LIMITED = Answer(429, b"Too Many Requests")


def limited(**headers: str) -> Answer:
    return Answer(429, b"Too Many Requests", {k.replace("_", "-"): v for k, v in headers.items()})


def truncated(answer: Answer) -> Answer:
    """The connection ends before the body does."""
    half = len(answer.body) // 2
    return Answer(answer.status, answer.body[:half], answer.headers, missing=half)


def cut(answer: Answer) -> Answer:
    """A proxy in between cut the body and mended the length."""
    return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)


def late(answer: Answer, seconds: float) -> Answer:
    return Answer(answer.status, answer.body, answer.headers, wait=seconds)


def dripping(answer: Answer, part: str) -> Answer:
    return Answer(answer.status, answer.body, answer.headers, drips=part)


class Replay:
    """A server whose answers a test decides.

    Attributes:
        answer: gives the answer to a request, when no fault is queued.
        faults: answers to give first, in this order.
        asked: every request so far.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Answer] = lambda asked: Answer(404, b"{}")
        self.faults: list[Answer] = []
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                sent = self.rfile.read(length)
                form = self.headers.get("Content-Type", "").startswith("multipart/")
                body = json.loads(sent) if sent and not form else {}
                asked = Asked(
                    parts.path, query, dict(self.headers), body, time.monotonic(),
                    self.command, sent if form else b"",
                )  # fmt: skip
                answer = replay._next(asked)
                time.sleep(answer.wait)
                try:
                    self.send_response_only(answer.status)
                    if "Date" not in answer.headers:
                        self.send_header("Date", self.date_time_string())
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body) + answer.missing))
                    if answer.drips == "headers":
                        self._drip(b"".join(self._headers_buffer) + b"\r\n" + answer.body)
                        return
                    self.end_headers()
                    if answer.drips:
                        self._drip(answer.body)
                    else:
                        self.wfile.write(answer.body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client hung up, as it may

            do_POST = do_DELETE = do_GET

            def _drip(self, content: bytes) -> None:
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.2)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def _next(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            if self.faults:
                return self.faults.pop(0)
        return self.answer(asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def replaying() -> Iterator[Replay]:
    server = Replay()
    try:
        yield server
    finally:
        server.close()
