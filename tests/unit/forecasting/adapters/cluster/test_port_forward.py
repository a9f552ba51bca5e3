"""A forward that cannot be opened says why, and none outlives whoever opened it."""

import os
import signal
import subprocess
import sys

import pytest

from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.errors import Unavailable
from tests.time_limits import wait_until


def test_a_machine_without_kubectl_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="kubectl is not on the PATH"):
        PortForward("bellwether", "bellwether-mlflow", 5000).address()


def test_a_service_without_pods_is_said(monkeypatch, tmp_path):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho error: timed out waiting for the condition >&2\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"service/bellwether-mlflow .* no pod behind it runs"):
        PortForward("bellwether", "bellwether-mlflow", 5000).address()


@pytest.fixture
def forwarding(monkeypatch, tmp_path):
    """A kubectl that forwards until it is ended; its process id is in the file."""
    kubectl, process = tmp_path / "kubectl", tmp_path / "pid"
    kubectl.write_text(
        f"#!/bin/sh\necho $$ > {process}\n"
        "echo 'Forwarding from 127.0.0.1:41234 -> 5000'\nexec sleep 600\n"
    )
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return process


def runs(process):
    try:
        os.kill(int(process.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_forward_ends_with_its_context(forwarding):
    with PortForward("bellwether", "bellwether-mlflow", 5000) as forward:
        assert forward.address() == "http://127.0.0.1:41234"
        assert runs(forwarding)
    wait_until(lambda: not runs(forwarding), 10)


def test_a_forward_ends_with_a_command_that_is_killed(forwarding):
    words = (
        "import time; from forecasting.adapters.cluster.port_forward import PortForward; "
        "print(PortForward('bellwether', 'bellwether-mlflow', 5000).address(), flush=True); "
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE) as command:
        assert command.stdout.readline() == b"http://127.0.0.1:41234\n"
        command.send_signal(signal.SIGKILL)
    wait_until(lambda: not runs(forwarding), 10)
