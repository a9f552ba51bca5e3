"""A Service of the cluster on a free local port, through `kubectl port-forward`."""

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Final, Self

from forecasting.adapters.http_client import Closing
from forecasting.errors import Unavailable

START_SECONDS: Final = 20.0
POD_SECONDS: Final = 5
_WITH_US: Final = """
import os, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (os.read(0, 1), child.terminate()), daemon=True).start()
sys.exit(child.wait())
"""
"""Runs a command that ends when our side of its standard input closes: also when we are killed."""

_FORWARDING: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass
class PortForward(Closing):
    """A forward that ends with its context, and is opened again when its pod went away.

    Attributes:
        namespace: of the Service.
        service: its name.
        port: one of its ports.
        context: of the kubeconfig; "" for the current one.
    """

    namespace: str
    service: str
    port: int
    context: str = ""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _local: int = 0

    def __enter__(self) -> Self:
        self.address()
        return super().__enter__()

    def address(self) -> str:
        """The local address, e.g. http://127.0.0.1:41234; opens the forward when it is not open.

        Raises:
            Unavailable: there is no kubectl, or it cannot forward; its own words are in it.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._open()
        return f"http://127.0.0.1:{self._local}"

    def close(self) -> None:
        """End kubectl."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # kubectl, too
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _open(self) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise self._failed("kubectl is not on the PATH")
        command = [
            *(sys.executable, "-I", "-S", "-c", _WITH_US),
            *(kubectl, *(("--context", self.context) if self.context else ())),
            *("--namespace", self.namespace, "port-forward", "--address", "127.0.0.1"),
            # kubectl waits in silence, a minute by default, for a pod to forward to.
            f"--pod-running-timeout={POD_SECONDS}s",
            *(f"service/{self.service}", f":{self.port}"),
        ]
        with tempfile.TemporaryFile() as complaints:
            # A session of its own: Ctrl-C must reach us first, who may still need the forward.
            process = subprocess.Popen(  # noqa: S603 - a list, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
            )
            self._process = process
            first = _first_line(process, time.monotonic() + START_SECONDS)
            match = _FORWARDING.match(first)
            if match is None:
                self.close()
                complaints.seek(0)
                complaint = complaints.read(2_000).decode(errors="replace").strip()
                if complaint.endswith("timed out waiting for the condition"):
                    complaint = f"no pod behind it runs, waited {POD_SECONDS} s"
                raise self._failed(complaint or first.decode(errors="replace") or "it said nothing")
            self._local = int(match[1])

    def _failed(self, found: str) -> Unavailable:
        return Unavailable(
            "kubectl must forward a port to a Service",
            f"service/{self.service} in {self.namespace}, port {self.port}: {found}",
            "Check the context and your rights, or set the service's address: "
            "BELLWETHER_REGISTRY_URL, BELLWETHER_INFERENCE_URL",
        )


def _first_line(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What it says first; "" when it ends or the time is over."""
    stream: IO[bytes] | None = process.stdout
    assert stream is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(timeout=left):
                return stream.readline()
    return b""
