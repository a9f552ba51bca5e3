"""Callers who hold a server up: how long health and other users' forecasts take meanwhile, and its memory.

Each load is bounded, runs in a process of its own on the loopback, and goes on while two users
measure: one asks for health on a new connection each time, one for forecasts on one connection.
Ratios are to the same users before the load, in the same run. Load, users and server share the
machine's cores, which is in the numbers.
"""

import argparse
import contextlib
import http.client
import multiprocessing
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.contenders import PORT, READY, ROOT, bellwether
from benchmarks.processes import Server, launch, memory_mb
from benchmarks.results import add_option, machine, markdown, write
from benchmarks.serving import prepare

INFER_PATH: Final = "/v2/models/bellwether/infer"

Load = Callable[[int], None]


def connect(port: int) -> socket.socket:
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def send_until_refused(port: int, head: bytes, part: bytes, parts: int) -> None:
    """Send one request until the server hangs up, or all of it."""
    with contextlib.closing(connect(port)) as connection, contextlib.suppress(OSError):
        connection.sendall(head)
        for _ in range(parts):
            connection.sendall(part)


def giant_header(port: int) -> None:
    """One header of 80 MB."""
    head = b"GET /v2/health/live HTTP/1.1\r\nX: "
    send_until_refused(port, head, b"v" * 1_000_000, 80)


def endless_headers(port: int) -> None:
    """Two million short headers."""
    send_until_refused(port, b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100_000, 20)


def giant_trailer(port: int) -> None:
    """40 MB behind the end of a chunked body."""
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    send_until_refused(port, head, b"v" * 1_000_000, 40)


def requests_in_advance(port: int) -> None:
    """40,000 requests without reading one answer."""
    request = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    send_until_refused(port, b"", request * 20_000, 2)


def half_heads(port: int) -> None:
    """More connections than the server holds, each with nearly as much of a head as may come."""
    lines = b"".join(b"X-%d: " % number + b"v" * 320 + b"\r\n" for number in range(95))
    _hold(port, 600, b"GET / HTTP/1.1\r\n" + lines, pause=0.001)


def half_bodies(port: int) -> None:
    """Bodies of which the last part does not come."""
    head = f"POST {INFER_PATH} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
    _hold(port, 100, head.encode() + b"[" * 900_000, pause=0.01)


def _hold(port: int, connections: int, data: bytes, pause: float) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(connections):
            time.sleep(pause)
            connection = stack.enter_context(contextlib.closing(connect(port)))
            with contextlib.suppress(OSError):
                connection.sendall(data)


def empty_connections(port: int) -> None:
    """A thousand connections that send nothing and go."""
    for _ in range(1_000):
        connect(port).close()
        time.sleep(0.001)


def large_bodies(port: int) -> None:
    """Bodies of 1 MB that are not what the protocol asks for."""
    head = f"POST {INFER_PATH} HTTP/1.1\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    for _ in range(20):
        with contextlib.closing(connect(port)) as connection, contextlib.suppress(OSError):
            connection.sendall(head.encode() + b"[" * 1_000_000)
            connection.recv(65_536)


LOADS: Final[tuple[Load, ...]] = (
    giant_header,
    endless_headers,
    giant_trailer,
    requests_in_advance,
    half_heads,
    half_bodies,
    empty_connections,
    large_bodies,
)


class Row(NamedTuple):
    """What users saw under one load: milliseconds, and the server's memory above that before it."""

    load: str
    health_p99: float
    forecast_p50: float
    forecast_p99: float
    asked: int
    failed: int
    memory_mb: float


def repeat(load: Load, seconds: float) -> None:
    """Begin the load again until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            load(PORT)
        time.sleep(0.01)


class User:
    """Asks one question again and again, and notes how long each answer took."""

    def __init__(self, method: str, path: str, body: bytes | None, *, keep: bool) -> None:
        self.question = (method, path, body)
        self.keep = keep
        self.seconds: list[float] = []
        self.failed = 0

    def run(self, until: float) -> None:
        """Ask until the time comes, some 200 times a second."""
        connection = None
        while (began := time.monotonic()) < until:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
                connection.request(*self.question)
                answer = connection.getresponse()
                answer.read()
                self.failed += answer.status != 200
            except (OSError, http.client.HTTPException):
                self.failed += 1
                connection = None
            self.seconds.append(time.monotonic() - began)
            if connection is not None and not self.keep:
                connection.close()
                connection = None
            time.sleep(0.005)

    def milliseconds(self, share: float) -> float:
        """A quantile of the answers' times."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


def measure(server: Server, body: bytes, load: Load | None, seconds: float) -> Row:
    """Let two users ask, with or without a load beside them."""
    before = highest = memory_mb(server.process.pid)
    attack = None
    if load is not None:
        context = multiprocessing.get_context("spawn")
        attack = context.Process(target=repeat, args=(load, seconds))
        attack.start()
        time.sleep(0.5)  # until it has begun
    users = (
        User("GET", "/v2/health/live", None, keep=False),
        User("POST", INFER_PATH, body, keep=True),
    )
    until = time.monotonic() + seconds - 0.5
    threads = [threading.Thread(target=user.run, args=(until,)) for user in users]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        highest = max(highest, memory_mb(server.process.pid))
    if attack is not None:
        attack.join()
    health, forecasts = users
    return Row(
        load.__name__.replace("_", " ") if load is not None else "none",
        health.milliseconds(0.99),
        forecasts.milliseconds(0.5),
        forecasts.milliseconds(0.99),
        len(health.seconds) + len(forecasts.seconds),
        health.failed + forecasts.failed,
        highest - before,
    )


def main() -> None:
    """Measure every load, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="time of each load")
    parser.add_argument("--only", default="", help="loads whose name contains this")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout whose server is measured")
    add_option(parser)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = bellwether("Bellwether", prepare(folder))
        env = {**ours.env, "PYTHONPATH": str(arguments.root)}
        command = [sys.executable, *ours.command[1:]]
        server = launch("held-up", command, READY, cwd=folder, env=env)
        try:
            measure(server, ours.body, None, 3)  # warm
            for load in (None, *LOADS):
                if load is not None and arguments.only not in load.__name__:
                    continue
                rows.append(measure(server, ours.body, load, arguments.seconds))
                print(rows[-1], flush=True)
        finally:
            server.stop()
    report(rows, arguments.out)


def report(rows: list[Row], out: Path) -> None:
    """Write held_up.md and held_up.json."""
    quiet = rows[0]
    lines = [
        (
            row.load,
            f"{row.health_p99:.1f}",
            f"{row.forecast_p50:.1f}",
            f"{row.forecast_p99:.1f}",
            f"{row.forecast_p99 / quiet.forecast_p99:.1f}",
            f"{row.memory_mb:+.0f}",
            f"{row.asked:,}",
            str(row.failed),
        )
        for row in rows
    ]
    heads = (
        *("load", ">health p99 ms", ">forecast p50 ms", ">forecast p99 ms", ">ratio to none"),
        *(">memory MB", ">asked", ">failed"),
    )
    text = "\n\n".join(
        ["# Callers who hold the server up", machine(), __doc__ or "", markdown(heads, lines)]
    )
    write("held_up", text, [row._asdict() for row in rows], out)


if __name__ == "__main__":
    main()
