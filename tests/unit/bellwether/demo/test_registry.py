"""The demo's MLflow: its address, and that one of somebody else's is neither started nor stopped.

Started, used and left alone for real: tests/integration/test_demo.py and test_own_demo.py.
"""

import socket

import pytest

from bellwether.demo.demo import _on_free_ports
from bellwether.demo.registry import registry_host_and_port, registry_to_use, run_registry
from bellwether.demo.supervisor import Supervisor
from forecasting.errors import InvalidSettings, RegistryUnavailable
from forecasting.settings import Settings
from tests.ports import free_port


def test_an_address_has_a_host_and_a_port():
    assert registry_host_and_port("http://127.0.0.1:5001") == ("127.0.0.1", 5001)
    for url in ("http://127.0.0.1", "nonsense", "http://["):
        with pytest.raises(InvalidSettings, match="must have a host and a port"):
            registry_host_and_port(url)


def test_a_registry_starts_on_a_free_port_of_this_machine_only(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for url in (f"http://127.0.0.1:{taken.getsockname()[1]}", "http://elsewhere:5000"):
            with pytest.raises(InvalidSettings, match="a free port of this machine"):
                run_registry(Settings(state_dir=tmp_path, registry_url=url))


def test_a_registry_that_the_settings_name_keeps_its_address_and_is_not_started(tmp_path):
    named = Settings(state_dir=tmp_path, registry_url=f"http://127.0.0.1:{free_port()}")
    assert _on_free_ports(named, own_registry=False).registry_url == named.registry_url
    with (
        Supervisor(tmp_path / "logs") as supervisor,
        pytest.raises(RegistryUnavailable, match="bellwether registry"),
    ):
        registry_to_use(supervisor, named, own=False)
    assert supervisor.services == []
