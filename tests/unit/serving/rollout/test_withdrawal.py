"""A champion that is withdrawn is champion no more: what the route serves is what counts."""

import pytest

from forecasting.adapters.registry.ledger import DONE
from forecasting.errors import RegistryUnavailable
from forecasting.rollout.canary import Judgement
from forecasting.rollout.rules import Finding, Outcome, Policy
from serving.rollout.progress import Pace, Progress
from serving.rollout.rollout import Rollout
from tests.unit.serving.rollout.release import DIGEST, Cluster, Connections


@pytest.fixture
def rollout(client, lines, ledger):
    """Version 2, the champion, has 10 % beside version 1."""

    def make(ledger=ledger):
        client.cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
        return Rollout(client.cluster, Connections("2"), lines.append, ledger=ledger)

    return make


def test_a_rollback_makes_the_version_that_serves_champion_and_the_ledger_says_why(rollout, ledger):
    back = rollout()
    back.rollback(why="coverage fell")
    head = ledger.head("bellwether")
    assert (head.from_version, head.to_version, head.state) == ("2", "1", DONE)
    assert (head.who, head.why) == ("rollout", "version 2 withdrawn: coverage fell")
    assert head.bundle_digest == DIGEST
    assert back.connections.known.aliases()["champion"] == "1"


@pytest.mark.parametrize(("outcome", "champion"), [(Outcome.WITHDRAW, "1"), (Outcome.HOLD, "2")])
def test_a_run_withdraws_a_worse_champion_and_leaves_one_that_could_not_be_judged(
    rollout, ledger, monkeypatch, outcome, champion
):
    judged = Judgement((Finding("errors", outcome, "few 5xx", "many"),))
    monkeypatch.setattr(Progress, "watch", lambda *_: judged)
    rollout().run("2", Pace((10, 100), 1, 0), Policy())
    assert ledger.head("bellwether").to_version == champion


def test_a_challenger_that_is_withdrawn_changes_no_champion(rollout, ledger):
    ledger.claim("bellwether", expected="2", to_version="1", who="us", why="")
    rollout().rollback()
    assert [row.who for row in ledger.history("bellwether")] == ["us", "us", "us"]


def test_without_the_ledger_it_is_said_who_is_still_champion(rollout, lines):
    rollout(ledger=None).rollback()
    assert "version 2 is still champion, though users get version 1" in lines[-1]


def test_a_registry_that_is_away_does_not_keep_users_from_the_rollback(rollout, lines, ledger):
    back = rollout()
    set_champion = back.connections.known.set_champion

    def away(_):
        raise RegistryUnavailable("MLflow must be reachable", "it is away")

    back.connections.known.set_champion = away
    assert back.rollback() == 1
    assert back.cluster.traffic.weights == {1: 100, 2: 0}
    assert "Repeat: bellwether rollout rollback --to 1" in lines[-1]
    back.connections.known.set_champion = set_champion
    back.rollback(1)
    assert back.connections.known.aliases()["champion"] == "1"
    assert len(ledger.history("bellwether")) == 3
