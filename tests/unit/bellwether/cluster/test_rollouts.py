"""A rollout is opened with the history of its release, wherever the ledger's database is."""

from types import SimpleNamespace

import pytest

from bellwether.cluster.rollouts import opened_rollout


@pytest.fixture(autouse=True)
def release(monkeypatch):
    """A release that asks nobody for approval."""
    config = SimpleNamespace(approval_required=False)
    monkeypatch.setattr("bellwether.cluster.connections.Connections.config", config)


def test_the_ledger_of_a_release_is_looked_for_when_it_is_needed_and_not_before(
    monkeypatch, tmp_path
):
    asked = []

    def found(connections):
        asked.append((connections.cluster.namespace, connections.cluster.fullname))
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"

    monkeypatch.setattr("bellwether.cluster.connections.Connections.ledger", found)
    with opened_rollout("bw", "demo", "here") as rollout:
        assert (rollout.ledger, asked) == (None, [])
        assert rollout.history.changes("bellwether") == []
    assert asked == [("bw", "demo-bellwether")]


def test_in_a_pod_it_is_the_settings_and_a_reason_carries_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("BELLWETHER_PREDICTION_LOG_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    monkeypatch.setenv("LOGNAME", "ada")
    with opened_rollout("bw", "bellwether", "", despite_verdict="a test") as rollout:
        assert rollout.ledger is not None
        assert rollout.history.changes("bellwether") == []
        assert (rollout.who, rollout.despite_verdict) == ("ada", "ada: a test")
