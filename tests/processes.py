"""Server processes of the tests: with a log that a failure shows, and ended at the latest with the run."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import failure_artifacts
from tests.run_folder import run_folder
from tests.time_limits import seconds

# Python complains of a process that nobody holds any more while it runs.
_started: list[subprocess.Popen[bytes]] = []


@dataclass
class Server:
    """A process in a session of its own, and where it writes what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def up(self) -> bool:
        """True; fails the test if the process has ended."""
        assert self.process.poll() is None, self.said()
        return True

    def stop(self, number: int = signal.SIGTERM, limit: float = 15) -> int:
        """Ask the process and those it started to end, make them after a while; the exit code."""
        if self.process.poll() is None:
            signal_group(self.process.pid, number)
        try:
            return self.process.wait(seconds(limit))
        except subprocess.TimeoutExpired:
            signal_group(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            _note(self.process.pid).unlink(missing_ok=True)
            failure_artifacts.ended(self.log)


def start(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, **options: Any
) -> Server:
    """Start a server; whoever starts it stops it, or the end of the run does."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            **options,
        )
    _started.append(process)
    _note(process.pid).touch()
    failure_artifacts.watch(log)
    return Server(process, log)


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Server]:
    """A server until the end of the block."""
    server = start(command, log, env, **options)
    try:
        yield server
    finally:
        server.stop()


def signal_group(leader: int, number: int) -> None:
    """Signal a process and all that it started, if there are any."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _note(leader: int) -> Path:
    folder = run_folder() / "processes"
    folder.mkdir(exist_ok=True)
    return folder / str(leader)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what is left: servers that test processes share, and those of a process that died."""
    if not hasattr(config, "workerinput"):
        _end_all()
    for process in _started:
        if process.poll() is None:
            process.returncode = 0  # it outlives us on purpose, so Python need not complain


def _end_all() -> None:
    left = [int(note.name) for note in (run_folder() / "processes").glob("*")]
    for number, limit in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        for leader in left:
            signal_group(leader, number)
        end = time.monotonic() + seconds(limit)
        while left and time.monotonic() < end:
            left = [leader for leader in left if _runs(leader)]
            time.sleep(0.05)


def _runs(leader: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(leader, os.WNOHANG)
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(leader)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")
