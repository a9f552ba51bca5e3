"""A version that its evaluation refused gets requests only for a reason, which is kept."""

import pytest

from forecasting.errors import InvalidSettings
from serving.rollout.rollout import Rollout
from serving.rollout.verdict import DESPITE_TAG
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def rollout(client, lines):
    """Version 1 is champion and serves; version 2 was refused and does not run yet."""

    def make(verdict="refuse", despite=""):
        client.cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
        connections = Connections()
        connections.known.tags["2"] = {"verdict": verdict, "verdict_reason": "no better than luck"}
        made = Rollout(client.cluster, connections, lines.append)
        made.despite_verdict = despite
        return made

    return make


def test_a_refused_version_is_not_even_started_with_weight_and_the_reason_is_told(rollout):
    refused = rollout()
    with pytest.raises(InvalidSettings, match="says refuse: no better than luck") as told:
        refused.start("2")
    assert "--despite-verdict" in str(told.value)
    assert 2 not in refused.cluster.states


@pytest.mark.parametrize("act", [lambda it: it.weight(2, 10), lambda it: it.promote(2)])
def test_one_that_runs_without_weight_is_given_none(rollout, act):
    refused = rollout()
    refused.start("2", 0)
    with pytest.raises(InvalidSettings, match="must have earned it"):
        act(refused)
    assert refused.cluster.traffic.weights == {1: 100, 2: 0}


def test_a_reason_is_kept_with_the_version_and_counts_from_then_on(rollout):
    rollout = rollout(despite="ann: to compare")
    rollout.start("2", 0)
    assert rollout.connections.known.tags["2"][DESPITE_TAG] == "ann: to compare"
    rollout.despite_verdict = ""
    rollout.weight(2, 10)
    assert rollout.cluster.traffic.weights == {1: 90, 2: 10}


@pytest.mark.parametrize("verdict", ["promote", "default"])
def test_a_version_that_the_evidence_chose_needs_no_reason(rollout, verdict):
    chosen = rollout(verdict)
    chosen.start("2")
    assert DESPITE_TAG not in chosen.connections.known.tags["2"]


def test_the_champion_needs_none_for_how_it_became_so_stands_in_the_ledger(rollout):
    champion = rollout()
    champion.connections.known.aliases()["champion"] = "2"
    champion.start("2")
    assert champion.cluster.traffic.weights == {1: 90, 2: 10}
