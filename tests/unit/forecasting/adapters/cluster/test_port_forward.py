"""A forward that cannot be opened says why."""

import pytest

from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.errors import Unavailable


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
