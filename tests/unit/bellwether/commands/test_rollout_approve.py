"""An approval by command stands in the ledger with name and reason, and the wait is no failure."""

from contextlib import closing

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from forecasting.adapters.registry.approvals import Approvals
from tests.unit.serving.rollout import release


@pytest.fixture
def url(monkeypatch, tmp_path):
    """The ledger of a release that asks for approvals, whose champion has no requests yet."""
    cluster = release.Cluster(1, weights={1: 100}, stable_history=(1,))
    cluster.context, cluster.release, cluster.close = "here", "bellwether", lambda: None

    class Opened(release.Connections):
        def __init__(self, cluster):
            super().__init__(champion="2")
            self.config.approval_required, self.config.ledger_url = True, ""

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

    monkeypatch.setattr("bellwether.cluster.connections.Connections", Opened)
    monkeypatch.setattr("forecasting.adapters.cluster.cluster.Cluster", lambda *_, **__: cluster)
    made = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    monkeypatch.setenv("BELLWETHER_PREDICTION_LOG_URL", made)
    return made


def rollout(*words):
    return CliRunner().invoke(app, ["rollout", *words], env={"COLUMNS": "200"})


def test_a_scheduled_rollout_that_waits_has_not_failed(url):
    done = rollout("run", "champion", "--when-due")
    assert done.exit_code == 0, done.output
    assert "version 2 waits for a person's approval" in done.output
    assert 'bellwether rollout approve 2 --why "REASON"' in done.output


def test_a_rollout_by_hand_that_waits_is_refused(url):
    done = rollout("start", "2")
    assert done.exit_code == 2
    assert "after a person approved it" in done.output


def test_an_approval_stands_in_the_ledger_with_name_and_reason(url):
    done = rollout("approve", "champion", "--why", "read the report", "--who", "ann")
    assert done.exit_code == 0, done.output
    assert "is approved by ann" in done.output
    with closing(Approvals(url)) as approvals:
        (given,) = [approvals.find("bellwether", "2", release.DIGEST)]
    assert (given.who, given.why, given.via) == ("ann", "read the report", "command")
    assert "was approved by ann" in rollout("status").output


def test_a_reason_is_asked_for(url):
    assert rollout("approve", "2").exit_code == 2
    done = rollout("approve", "2", "--why", " ")
    assert done.exit_code == 2
    assert "needs a reason" in done.output


def test_without_the_ledgers_database_an_approval_is_refused_with_what_to_do(url, monkeypatch):
    monkeypatch.delenv("BELLWETHER_PREDICTION_LOG_URL")
    done = rollout("approve", "2", "--why", "good")
    assert done.exit_code == 2
    assert "BELLWETHER_PREDICTION_LOG_URL" in done.output
