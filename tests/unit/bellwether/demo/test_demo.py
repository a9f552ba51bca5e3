"""The command that the demo proposes asks the demo, not whoever listens on the usual port."""

import pytest

from bellwether.demo.demo import _question
from forecasting.settings import Settings


@pytest.fixture(autouse=True)
def _no_address(monkeypatch):
    monkeypatch.delenv("BELLWETHER_INFERENCE_URL", raising=False)


def test_on_the_usual_port_the_command_needs_no_address():
    assert _question(Settings()).endswith("bellwether forecast")
    assert "BELLWETHER" not in _question(Settings())


def test_on_another_port_the_command_has_the_address():
    moved = Settings(inference_url="http://127.0.0.1:8081")
    assert _question(moved).startswith("BELLWETHER_INFERENCE_URL=http://127.0.0.1:8081 ")
    assert _question(moved).endswith("bellwether forecast")
