"""A release that is installed again over the same data serves what served last."""

from contextlib import closing

import pytest

from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.errors import NotReady, RegistryUnavailable, ServerUnavailable, Unavailable
from forecasting.rollout.traffic import Traffic
from serving.rollout.restoration import restore, restore_within
from serving.rollout.rollout import Rollout
from tests.unit.serving.rollout.release import DIGEST, Cluster, Connections


@pytest.fixture
def history(tmp_path):
    with closing(RolloutHistory(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as history:
        yield history


@pytest.fixture
def release(client, lines, history):
    """A release whose cluster is empty; what it served before is in the history."""

    def make(cluster=None, history=history, **connections):
        client.cluster = cluster = cluster or Cluster()
        connected = Connections(**connections)
        return Rollout(cluster, connected, lines.append, history=history, who="ada")

    return make


def test_weights_are_recorded_as_they_are_written_with_who_and_why(release, history):
    before = release()
    before.start("1")
    before.start("2")
    newest, *_ = history.changes("bellwether")
    assert (newest.traffic.weights, newest.who) == ({1: 90, 2: 10}, "ada")
    assert (newest.why, newest.digests) == ("started with 10 %", {1: DIGEST, 2: DIGEST})
    before.rollback(why="skill")
    newest, *_ = history.changes("bellwether")
    assert (newest.traffic.weights, newest.why) == ({1: 100, 2: 0}, "skill")


def test_a_new_installation_serves_what_served_last_and_can_go_back(release):
    before = release()
    before.start("1")
    before.start("2", 100)
    after = release()
    said = restore(after)
    assert said == "version 2 has all requests again; version 1 is there to roll back to"
    assert after.cluster.traffic == before.cluster.traffic
    assert after.rollback() == 1
    written = len(after.cluster.written)
    assert restore(after) == "nothing to restore: version 1 100 %"
    assert len(after.cluster.written) == written


def test_a_canary_under_way_does_not_come_back_and_it_is_said(release):
    before = release()
    before.start("1")
    before.start("2", 25)
    after = release(champion="2")
    said = restore(after)
    assert "version 2 was being rolled out at 25 % and gets no requests" in said
    assert after.cluster.traffic.weights == {1: 100}
    assert set(after.cluster.states) == {1}


def test_a_version_that_changed_meanwhile_gives_way_to_the_one_before(release, lines):
    before = release()
    before.start("1")
    before.start("2", 100)
    after = release()
    after.connections.known.digests["2"] = "e" * 64
    said = restore(after)
    assert said.startswith("version 1 has all requests again; version 2, which served last, cannot")
    assert "served with digest dddddddddddddddd, and the registry promises eeeeeeeeeeeeeeee" in said
    assert after.cluster.traffic.weights == {1: 100}


def test_where_no_version_of_before_is_left_it_is_said_and_nothing_is_served(release):
    release().start("1")
    after = release(versions=("2", "3"))
    with pytest.raises(NotReady, match="must be there to serve again: version 1: a version must"):
        restore(after)
    assert after.cluster.traffic.weights == {}


def test_a_first_installation_has_nothing_to_restore(release):
    assert restore(release()) == "nothing to restore: no version has served before"
    assert restore(release(history=None)).endswith("not known here: nothing is restored")


def test_weights_that_somebody_wrote_by_hand_are_recorded_once(release, history):
    serving = release(Cluster(1, weights={1: 100}, stable_history=(1,)))
    assert restore(serving) == restore(serving) == "nothing to restore: version 1 100 %"
    assert [change.traffic for change in history.changes("bellwether")] == [Traffic({1: 100}, (1,))]


def test_a_registry_that_comes_up_late_is_waited_for(release, monkeypatch, lines, clock):
    release().start("1")
    after = release()
    known = after.connections.registry
    away = iter([True, True])

    def registry():
        if next(away, False):
            raise RegistryUnavailable("MLflow must be reachable", "it is away")
        return known()

    monkeypatch.setattr(after.connections, "registry", registry)
    with pytest.raises(RegistryUnavailable):
        restore_within(after, 0)
    assert restore_within(after, 60).startswith("version 1 has all requests again")
    assert lines.count("waiting, 60 s at most: it is away") == 1


def test_a_gateway_that_is_not_up_is_waited_for_and_not_held_against_a_version(release, client):
    before = release()
    before.start("1")
    before.start("2", 100)
    after = release()
    client.away = True
    with pytest.raises(ServerUnavailable, match="the gateway must be up"):
        restore_within(after, 30)
    assert after.cluster.states == {}
    client.away = False
    assert restore_within(after, 30).startswith("version 2 has all requests again")


def test_a_history_that_cannot_be_written_stops_no_rollout(release, history, monkeypatch, lines):
    def refuse(*_, **__):
        raise Unavailable("the database must answer", "it is away")

    monkeypatch.setattr(history, "add", refuse)
    monkeypatch.setattr(history, "changes", refuse)
    serving = release()
    serving.start("1")
    assert serving.cluster.traffic.weights == {1: 100}
    assert any("the rollout history does not have these weights" in line for line in lines)
    for made in (serving, release()):
        with pytest.raises(Unavailable):
            restore(made)
