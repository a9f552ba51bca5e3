"""Starts the demo's servers, waits until they answer, starts those again that end, and stops them all."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from forecasting.errors import Unavailable

GRACE_SECONDS = 12.0

RESTARTS = 3
"""How often a server is started again within `RESTART_SECONDS`."""

RESTART_SECONDS = 60.0


@dataclass
class Service:
    """A server process of the demo: its name, address, log, command and the process itself.

    Attributes:
        again: when it was started again, by `time.monotonic()`.
    """

    name: str
    url: str
    log: Path
    command: Sequence[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes]
    again: list[float] = field(default_factory=list)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the server's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def end(self) -> str:
        """How its process ended."""
        code = self.process.poll()
        how = f"with exit code {code}"
        if code is not None and code < 0:
            how = f"by {signal.Signals(-code).name}"
        return f"it ended {how}"

    def how_it_ended(self) -> str:
        """How its process ended, and its last words, if any."""
        words = self.tail()
        return self.end() + (f"; its log says:\n{words}\n" if words else ", without a word")


@dataclass
class Supervisor:
    """Context manager: what is started inside is stopped at its end, in reverse order.

    Children run in sessions of their own, so that Ctrl-C reaches them only through the supervisor
    and they can finish what they are answering.
    """

    logs: Path
    services: list[Service] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def start(
        self, name: str, url: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> Service:
        """Start one server; its output goes to <logs>/<name>.log."""
        log = self.logs / f"{name}.log"
        log.write_bytes(b"")
        env = env or {}
        service = Service(name, url, log, command, env, _launched(command, env, log))
        self.services.append(service)
        return service

    def wait_ready(
        self,
        service: Service,
        path: str,
        timeout: float,
        tick: Callable[[], None] | None = None,
    ) -> float:
        """Wait until GET <url><path> answers 200; return the seconds it took.

        Raises:
            Unavailable: the process ended, or did not answer in time; holds its last log lines.
        """
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            if service.process.poll() is not None:
                raise ended_error(service)
            if answers(service.url + path):
                return time.monotonic() - began
            if tick:
                tick()
            time.sleep(0.1)
        raise Unavailable(
            f"{service.name} must answer {path} within {timeout:.0f} s",
            f"it did not; its log says:\n{service.tail()}\n",
            f"The whole log is {service.log}",
        )

    def first_ended(self) -> Service | None:
        """A server that has ended by itself, if any."""
        return next((s for s in self.services if s.process.poll() is not None), None)

    def keep_up(self, say: Callable[[str], None]) -> None:
        """Start servers again that have ended.

        Args:
            say: told of each.

        Raises:
            Unavailable: one has ended more than `RESTARTS` times within `RESTART_SECONDS`.
        """
        now = time.monotonic()
        while (service := self.first_ended()) is not None:
            lately = [at for at in service.again if now - at < RESTART_SECONDS]
            if len(lately) >= RESTARTS:
                raise ended_error(service)
            say(f"The {service.name} is started again: {service.end()}")
            service.again = [*lately, now]
            service.process = _launched(service.command, service.env, service.log)

    def close(self) -> None:
        """Ask every server to end, in reverse order of start; end those that do not."""
        for service in reversed(self.services):
            if service.process.poll() is None:
                _signal_group(service.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for service in reversed(self.services):
            try:
                service.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(service.process, signal.SIGKILL)
                service.process.wait()
        self.services.clear()


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that nothing outlives the terminal."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupt) for s in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended_error(service: Service) -> Unavailable:
    """The error for a server that does not stay up, with its last words."""
    often = f"it was started again {len(service.again)} times; " if service.again else ""
    return Unavailable(
        f"the {service.name} must stay up",
        often + service.how_it_ended(),
        f"The whole log is {service.log}",
    )


def _launched(command: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the commands are our own
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **env},
            start_new_session=True,
        )


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether GET url answers 200 right now."""
    try:
        with urlopen(url, timeout=timeout) as response:  # noqa: S310 - addresses are our own
            return bool(response.status == 200)
    except (HTTPError, URLError, OSError):
        return False


def free_port(preferred: int) -> int:
    """The preferred loopback port, or the next free one above it.

    Raises:
        Unavailable: a hundred ports in a row are taken.
    """
    for port in range(preferred, min(preferred + 100, 65_536)):
        if is_free(port):
            return port
    raise Unavailable(
        "the demo needs free ports on 127.0.0.1",
        f"{preferred} to {preferred + 99} are all taken",
        "Stop what listens there",
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
