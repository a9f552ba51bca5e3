import pytest

from tests.unit.serving.rollout import release


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock of every module of the package."""
    clock = release.Clock()
    for module in ("rollout", "progress", "weights", "evidence"):
        monkeypatch.setattr(f"serving.rollout.{module}.time", clock)
    return clock


@pytest.fixture
def client(monkeypatch):
    """What the evidence asks forecasts with; its `cluster` is set by the test."""
    client = type("Client", (release.Client,), {})
    monkeypatch.setattr("serving.rollout.evidence.InferenceClient", client)
    return client


@pytest.fixture
def lines():
    """What a rollout logs."""
    return []
