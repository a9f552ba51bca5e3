"""What a process tree costs: CPU seconds, proportional memory, time until it answers."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    pids, queue = [], [pid]
    while queue:
        current = queue.pop()
        pids.append(current)
        queue.extend(children.get(current, []))
    return pids


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, ended children included."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15])
    return total / TICKS


def memory_mb(pid: int) -> float:
    """Proportional set size of the tree in MB, so that shared pages count once."""
    total = 0
    for member in tree(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


@dataclass
class Server:
    """A running server and what it took to become ready."""

    name: str
    process: subprocess.Popen[bytes]
    ready_wall: float
    ready_cpu: float
    log: Path

    def stop(self) -> None:
        """End the whole process group that `launch` made."""
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            pass


def launch(
    name: str,
    command: Sequence[str],
    ready_url: str,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Server:
    """Start a server and wait until ready_url answers 200.

    Raises:
        RuntimeError: it ended or stayed silent; holds the end of its log.
    """
    log = cwd / f"{name}.log"
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    while time.perf_counter() - began < timeout:
        if process.poll() is not None:
            break
        try:
            with urlopen(ready_url, timeout=1) as answer:
                if answer.status == 200:
                    wall = time.perf_counter() - began
                    return Server(name, process, wall, cpu_seconds(process.pid), log)
        except (URLError, OSError):
            pass
        time.sleep(0.02)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
    Server(name, process, 0, 0, log).stop()
    raise RuntimeError(f"{name} did not become ready at {ready_url}:\n{tail}")
