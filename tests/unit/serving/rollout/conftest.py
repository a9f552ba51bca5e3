from contextlib import closing

import pytest

from forecasting.adapters.registry.ledger import Ledger
from tests.unit.serving.rollout import release


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock of every module of the package."""
    clock = release.Clock()
    modules = (
        "rollout",
        "progress",
        "weights",
        "evidence",
        "shadow",
        "shadow_report",
        "restoration",
    )
    for module in modules:
        monkeypatch.setattr(f"serving.rollout.{module}.time", clock)
    return clock


@pytest.fixture
def client(monkeypatch, clock):
    """What the evidence asks forecasts with; its `cluster` is set by the test."""
    client = type("Client", (release.Client,), {"clock": clock})
    monkeypatch.setattr("serving.rollout.evidence.InferenceClient", client)
    return client


@pytest.fixture
def lines():
    """What a rollout logs."""
    return []


@pytest.fixture
def ledger(tmp_path):
    """Version 1 was champion, version 2 is."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        for before, after in (("", "1"), ("1", "2")):
            row = ledger.claim("bellwether", expected=before, to_version=after, who="us", why="")
            ledger.settle(row)
        yield ledger
