"""A forward that cannot be opened says why."""

import pytest

from forecasting.adapters.port_forward import PortForward
from forecasting.errors import Unavailable


def test_a_machine_without_kubectl_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="kubectl is not on the PATH"):
        PortForward("bellwether", "bellwether-mlflow", 5000).address()
