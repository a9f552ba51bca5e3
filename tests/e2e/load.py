"""A load that counts everything: requests at a fixed rate against the loopback, none retried.

    with Load(forecasts) as load:
        with load.window("promotion"):
            bellwether("rollout", "promote", "2")
    assert load.report.failed == 0

The load is open: a request is due at its time whether or not earlier ones were answered, and its
latency counts from the moment it was due. So a stall is seen by every request it delayed, not by
one. Whatever is not a 200 with a whole forecast in it has failed; so has a broken connection.

It runs in a process of its own (this module's main), so that what a test does meanwhile does not
spoil its clock, and writes one row a request.
"""

import asyncio
import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httptools
import orjson
import uvloop

MIN_LOAD = 120.0
"""Requests a second, unless a test says otherwise."""


@dataclass(frozen=True)
class Target:
    """What is asked, and where.

    Attributes:
        port: of 127.0.0.1.
        host: value of the Host header.
        path, body: of the POST.
        headers: further ones, e.g. the one that pins a version.
        patience: seconds after which an unanswered request has failed.
    """

    port: int
    host: str
    path: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    patience: float = 10.0

    def pinned(self, version: int | str) -> "Target":
        """The same question, to one model version."""
        return replace(self, headers={**self.headers, "bellwether-model-version": str(version)})

    def request(self) -> bytes:
        """The bytes of one request."""
        body = self.body.encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"host: {self.host}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Answer:
    """One request: when it was due (Unix seconds), how long it took, and what came back."""

    due: float
    seconds: float
    status: int
    version: str
    fault: str

    @property
    def failed(self) -> bool:
        return bool(self.fault)


@dataclass(frozen=True)
class Report:
    """What became of many requests.

    Attributes:
        answers: one for every request, in the order they were due.
        windows: named stretches of time, as (start, end) in Unix seconds.
        seconds: how long the load ran.
        cpu_seconds: what the load itself cost.
    """

    answers: tuple[Answer, ...]
    windows: dict[str, tuple[float, float]]
    seconds: float
    cpu_seconds: float

    @property
    def sent(self) -> int:
        return len(self.answers)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.sent / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        return sum(answer.failed for answer in self.answers)

    @property
    def faults(self) -> dict[str, int]:
        """How often each thing went wrong."""
        return dict(Counter(answer.fault for answer in self.answers if answer.failed).most_common())

    @property
    def versions(self) -> dict[str, int]:
        """Good answers by the model version that gave them."""
        return dict(Counter(answer.version for answer in self.answers if not answer.failed))

    def share(self, version: int | str) -> float:
        """Per cent of the good answers that this version gave."""
        answered = self.sent - self.failed
        return 100 * self.versions.get(str(version), 0) / answered if answered else 0.0

    def quantile(self, level: float) -> float:
        """Latency in seconds at this level, of all requests, failed ones too; nearest rank."""
        if not self.answers:
            return math.nan
        ordered = sorted(answer.seconds for answer in self.answers)
        return ordered[max(0, math.ceil(level * len(ordered)) - 1)]

    @property
    def p50(self) -> float:
        return self.quantile(0.50)

    @property
    def p99(self) -> float:
        return self.quantile(0.99)

    def within(self, window: str) -> "Report":
        """The requests that were due in this window."""
        start, end = self.windows[window]
        kept = tuple(answer for answer in self.answers if start <= answer.due <= end)
        return Report(kept, {}, end - start, 0.0)

    def last_answer_of(self, version: int | str) -> float:
        """When the last request was due that this version answered; 0 if it answered none."""
        return max((a.due for a in self.answers if a.version == str(version)), default=0.0)

    def __str__(self) -> str:
        return (
            f"{self.sent} sent in {self.seconds:.1f} s, {self.failed} failed {self.faults or ''}, "
            f"by version {self.versions}, p50 {1000 * self.p50:.1f} ms, "
            f"p99 {1000 * self.p99:.1f} ms, load's own CPU {self.cpu_seconds:.1f} s"
        )


class Load:
    """Requests at a fixed rate from entering until leaving the block.

    Args:
        target: what to ask.
        rate: requests a second.
        connections: most keep-alive connections; requests beyond wait, and their wait counts.
    """

    def __init__(
        self, target: Target, *, rate: float = MIN_LOAD, connections: int = 32, count: int = 0
    ) -> None:
        self._plan = {**asdict(target), "rate": rate, "connections": connections, "count": count}
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        self._rows = Path(self._folder.name) / "rows.json"
        self._process: subprocess.Popen[str] | None = None
        self._windows: dict[str, tuple[float, float]] = {}
        self._report: Report | None = None

    def __enter__(self) -> Self:
        plan = json.dumps({**self._plan, "rows": str(self._rows)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.load", plan],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n", "the load did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        try:
            self._process.communicate(timeout=float(self._plan["patience"]) + 20)
            self._report = self._read()
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[None]:
        """Name what happens in this block, to look at it alone later."""
        start = time.time()
        try:
            yield
        finally:
            self._windows[name] = (start, time.time())

    def watch(self, name: str, seconds: float) -> None:
        """Let this many seconds pass under a name, e.g. to know what is steady."""
        with self.window(name):
            time.sleep(seconds)

    def wait(self, patience: float) -> None:
        """Wait until a load of a given count has had its answers."""
        assert self._process is not None
        self._process.wait(timeout=patience)

    @property
    def report(self) -> Report:
        """What became of the requests; there once the block has been left."""
        assert self._report is not None, "a load reports when its block has been left"
        return self._report

    def _read(self) -> Report:
        written = orjson.loads(self._rows.read_bytes())
        answers = tuple(sorted((Answer(*row) for row in written["rows"]), key=lambda a: a.due))
        return Report(answers, dict(self._windows), written["seconds"], written["cpu"])


def ask(target: Target, count: int, *, concurrency: int = 16, patience: float = 300.0) -> Report:
    """Ask this often, as fast as answers come back, with so many requests under way."""
    with Load(target, rate=0, connections=concurrency, count=count) as load:
        load.wait(patience)
    return load.report


# the process that sends


def fault_of(status: int, body: bytes) -> tuple[str, str]:
    """(model version, what is wrong with this answer or "")."""
    if status != 200:
        return "", f"{status} {body[:160].decode(errors='replace').strip()}"
    try:
        answer = orjson.loads(body)
        version = str(answer["model_version"])
        tensors = {tensor["name"]: tensor["data"] for tensor in answer["outputs"]}
        quantiles = tensors["quantiles"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", f"no forecast in {body[:160].decode(errors='replace')!r}"
    if not quantiles or None in quantiles:
        return version, "the forecast has gaps"
    return version, ""


class _Connection(asyncio.Protocol):
    """One keep-alive connection; carries one request at a time."""

    def __init__(self, sender: "_Sender") -> None:
        self._sender = sender
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def carry(self, due: float) -> None:
        assert self.transport is not None
        self._due, self._body, self._last = due, bytearray(), False
        self._parser = httptools.HttpResponseParser(self)
        self._timer = self._sender.loop.call_later(self._sender.patience, self._give_up)
        self.transport.write(self._sender.request)

    def data_received(self, data: bytes) -> None:
        if self._due is None:
            self._break("bytes came that nobody asked for")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(f"not HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"connection" and value.lower() == b"close":
            self._last = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        version, fault = fault_of(status, bytes(self._body))
        self._finish(status, version, fault)
        assert self.transport is not None
        if self._last:
            self.transport.close()
        elif not self.transport.is_closing():
            self._sender.back(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._sender.gone(self)
        if self._due is not None:
            self._finish(0, "", f"connection lost: {error or 'closed by the other side'}")

    def _give_up(self) -> None:
        self._break(f"no answer within {self._sender.patience:g} s")

    def _break(self, fault: str) -> None:
        if self._due is not None:
            self._finish(0, "", fault)
        assert self.transport is not None
        self.transport.abort()

    def _finish(self, status: int, version: str, fault: str) -> None:
        assert self._due is not None
        assert self._timer is not None
        self._timer.cancel()
        due, self._due = self._due, None
        self._sender.record(due, status, version, fault)


class _Sender:
    """Keeps the clock, the connections and the rows."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.loop = asyncio.get_running_loop()
        fields = ("port", "host", "path", "body", "headers", "patience")
        target = Target(**{name: plan[name] for name in fields})
        self.request, self.patience, self._port = target.request(), target.patience, target.port
        self._rate, self._most, self._count = plan["rate"], plan["connections"], plan["count"]
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._open = 0
        self._due = 0
        self._under_way = 0
        # Not the loop's own clock, which uvloop keeps in whole milliseconds.
        self._start = time.monotonic()
        self._unix = time.time() - self._start
        self._rows: list[tuple[float, float, int, str, str]] = []
        self._ending = False
        self.done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        if self._rate:
            self._tick()
        else:
            for _ in range(min(self._most, self._count)):
                self._send(time.monotonic())

    def end(self) -> None:
        """Send nothing more; done when all that is under way has come to an end."""
        self._ending = True
        if not self._under_way:
            self.done.set()

    def _tick(self) -> None:
        """Send all that is due by now, and come back for the next."""
        now = time.monotonic()
        while not self._ending and (due := self._start + self._due / self._rate) <= now:
            self._send(due)
        if not self._ending:
            self.loop.call_later(self._start + self._due / self._rate - now, self._tick)

    def _send(self, due: float) -> None:
        self._due += 1
        self._under_way += 1
        if self._idle:
            self._idle.popleft().carry(due)
        elif self._open < self._most:
            self._connect(due)
        else:
            self._waiting.append(due)

    def _connect(self, due: float) -> None:
        self._open += 1
        task = self.loop.create_task(self._connected(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, due: float) -> None:
        try:
            async with asyncio.timeout(self.patience):
                _, connection = await self.loop.create_connection(
                    lambda: _Connection(self), "127.0.0.1", self._port
                )
        except OSError as error:  # TimeoutError is one
            self._open -= 1
            self.record(due, 0, "", f"no connection: {error}")
            self._serve_waiting()
        else:
            connection.carry(due)

    def back(self, connection: _Connection) -> None:
        """This connection has had its answer."""
        if self._waiting:
            connection.carry(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def gone(self, connection: _Connection) -> None:
        """This connection is closed."""
        self._open -= 1
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        if self._waiting and self._open < self._most:
            self._connect(self._waiting.popleft())

    def record(self, due: float, status: int, version: str, fault: str) -> None:
        now = time.monotonic()
        self._rows.append((self._unix + due, now - due, status, version, fault))
        self._under_way -= 1
        if self._ending or (self._count and self._due >= self._count):
            if not self._under_way:
                self.done.set()
        elif not self._rate:
            # From the loop, so that the connection that answered is free by then.
            self.loop.call_soon(self._next)

    def _next(self) -> None:
        if self._due < self._count and not self._ending:
            self._send(time.monotonic())

    def write(self, path: Path) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        written = {
            "rows": self._rows,
            "seconds": time.monotonic() - self._start,
            "cpu": usage.ru_utime + usage.ru_stime,
        }
        path.write_bytes(orjson.dumps(written))


async def _run(plan: dict[str, Any]) -> None:
    sender = _Sender(plan)

    def wait_for_the_end() -> None:
        os.read(0, 1)  # the parent closes our stdin when it has seen enough
        sender.loop.call_soon_threadsafe(sender.end)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    sender.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await sender.done.wait()
    sender.write(Path(plan["rows"]))


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.argv[1])))
