"""Starts the demo's servers, waits until they answer, and stops what it started."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from forecasting.errors import Unavailable

GRACE_SECONDS = 12.0


@dataclass
class Service:
    """A server process of the demo: its name, address, log and the process itself."""

    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def tail(self, lines: int = 15) -> str:
        """The last lines of the server's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


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
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the commands are our own
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        service = Service(name, url, log, process)
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
                raise Unavailable(
                    f"{service.name} must stay up",
                    f"it ended with exit code {service.process.returncode}; its log says:\n"
                    f"{service.tail()}\n",
                    f"The whole log is {service.log}",
                )
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
