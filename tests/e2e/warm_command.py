"""The `bellwether` command from a process that has imported it: a fork a call, not a start of Python.

What is tested is what the command does; a second of imports for each of sixty commands, on two
cores that carry the cluster as well, is not. Arguments, environment, output and exit code go the
ways they always go.

    python -m tests.e2e.warm_command SOCKET
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

LONGEST_START = 60.0
COMMANDS = (
    "bellwether.cli",
    "bellwether.commands.rollout",
    "bellwether.cluster.connections",
    "serving.rollout.rollout",
)


class WarmCommand:
    """The process, from its start until `close`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._address = folder / "bellwether.sock"
        self._process = subprocess.Popen(
            # An operator's laptop is another machine: what the command costs is not the cluster's.
            ["nice", "-n", "10", sys.executable, "-m", "tests.e2e.warm_command", self._address],
            # Width, colours and the kubeconfig's place are read at import.
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )

    def run(
        self, words: tuple[str, ...], *, environment: dict[str, str], seconds: float
    ) -> tuple[int, str]:
        """Exit code and output of `bellwether WORDS`.

        Raises:
            TimeoutError: it took longer; it was ended.
        """
        with socket.socket(socket.AF_UNIX) as asked:
            self._connect(asked)
            end = time.monotonic() + seconds
            request = {"words": words, "environment": environment}
            asked.sendall(json.dumps(request).encode() + b"\n")
            said = b""
            try:
                while part := self._more(asked, end):
                    said += part
            except TimeoutError:
                identity, _, _ = said.partition(b"\0")
                if identity:
                    os.killpg(int(identity), signal.SIGKILL)
                raise
        _, output, code = said.decode(errors="replace").split("\0")
        return int(code), output

    @staticmethod
    def _more(asked: socket.socket, end: float) -> bytes:
        asked.settimeout(max(end - time.monotonic(), 0.001))
        return asked.recv(65_536)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def _connect(self, asked: socket.socket) -> None:
        end = time.monotonic() + LONGEST_START
        while True:
            try:
                return asked.connect(str(self._address))
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._process.poll() is None, "the warm command ended"
                assert time.monotonic() < end, "the warm command does not start"
                time.sleep(0.1)


def serve(address: str) -> None:
    """Import the command, then fork for every request."""
    for module in (*COMMANDS, "kubernetes.client", "kubernetes.config", "httpx"):
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        while True:
            asked, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(asked)
            asked.close()


def answer(asked: socket.socket) -> None:
    """Run one command in a child of its own, whose end closes its output; then say its code."""
    with asked.makefile("rb") as lines:
        request = json.loads(lines.readline())
    child = os.fork()
    if child == 0:
        become(request, asked.fileno())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        asked.sendall(f"\0{os.waitstatus_to_exitcode(status)}".encode())
    os._exit(0)


def become(request: Any, output: int) -> None:
    """Be the command, after saying which process that is."""
    os.setsid()
    os.write(output, f"{os.getpid()}\0".encode())
    os.environ.clear()
    os.environ.update(request["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(theirs, ours)
    sys.argv = ["bellwether", *request["words"]]
    code: Any = 1
    main = importlib.import_module("bellwether.cli").main
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - told, and the exit code stays 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(sys.argv[1])
