"""The actions of a rollout, each from what the cluster has."""

import pytest

from forecasting.errors import (
    BundleRejected,
    InvalidSettings,
    NotReady,
    RolloutConflict,
    UnknownVersion,
)
from forecasting.rollout.canary import Judgement
from forecasting.rollout.rules import Finding, Outcome, Policy
from serving.rollout.due import nothing_to_do
from serving.rollout.progress import Pace, Progress
from serving.rollout.rollout import MAX_LIVE, Rollout
from tests.unit.serving.rollout.release import Cluster, Connections, State, manifest

PACE = Pace(steps=(10, 50, 100), step_seconds=1, hold_seconds=0)


@pytest.fixture
def rollout(client, lines):
    def make(cluster, **connections):
        client.cluster = cluster
        return Rollout(cluster, Connections(**connections), lines.append)

    return make


@pytest.fixture
def judged(monkeypatch):
    """Judgements of steps, by weight; a step without one goes well."""
    outcomes = {}

    def watch(self, version, weight, pace, policy, weights, asking):
        outcome = outcomes.get(weight, Outcome.GO_ON)
        return Judgement((Finding("errors", outcome, "few 5xx", f"at {weight}"),))

    monkeypatch.setattr(Progress, "watch", watch)
    return outcomes


def weights(cluster):
    return [written for written, _ in cluster.written]


def test_a_version_is_named_by_its_number_or_alias(rollout):
    named = rollout(Cluster(), champion="3")
    assert [named.number(name) for name in ("7", "v7", "champion")] == [7, 7, 3]
    with pytest.raises(InvalidSettings, match="number, champion or challenger"):
        named.number("newest")
    with pytest.raises(UnknownVersion, match="must have a challenger"):
        named.number("challenger")


def test_the_first_version_gets_everything(rollout):
    cluster = Cluster()
    assert rollout(cluster).start("1") == 1
    assert weights(cluster) == [{1: 0}, {1: 100}]


def test_a_second_version_starts_with_the_first_step(rollout):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    started = rollout(cluster)
    started.start("2")
    assert cluster.traffic.weights == {1: 90, 2: 10}
    assert started.connections.known.tags["2"]["rollout_reason"] == "10 % of the requests"
    started.start("2")
    assert cluster.traffic.weights == {1: 90, 2: 10}


def test_a_version_may_be_started_without_weight(rollout):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    rollout(cluster).start("2", 0)
    assert cluster.traffic.weights == {1: 100, 2: 0}


def test_two_canaries_at_a_time_are_refused(rollout):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    with pytest.raises(RolloutConflict, match="one version is rolled out at a time"):
        rollout(cluster).start("3")
    assert cluster.traffic.weights[3] == 0


def test_a_version_that_runs_with_another_digest_is_refused(rollout):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    cluster.states[1] = State(manifest(1, "e" * 64))
    with pytest.raises(BundleRejected, match="a version never changes"):
        rollout(cluster).start("1")


def test_a_version_without_a_digest_is_refused(rollout):
    refused = rollout(Cluster())
    refused.connections.known.digests["1"] = ""
    with pytest.raises(BundleRejected, match="bundle_digest"):
        refused.start("1")


def test_more_versions_than_a_route_holds_are_refused(rollout):
    running = range(11, 11 + MAX_LIVE)
    with pytest.raises(InvalidSettings, match="at most 10 versions"):
        rollout(Cluster(*running)).start("1")


def test_a_weight_for_a_version_off_the_route_is_refused(rollout):
    with pytest.raises(UnknownVersion, match="must be started"):
        rollout(Cluster(1, weights={1: 100})).weight(2, 10)


def test_promoting_gives_everything_and_sees_it_answer(rollout, lines):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    rollout(cluster).promote(2)
    assert cluster.traffic.weights == {1: 0, 2: 100}
    assert lines[-1] == "version 2 answers everything"


def test_a_rollback_is_one_write_and_is_tagged(rollout):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    back = rollout(cluster)
    assert back.rollback(why="skill") == 1
    assert weights(cluster) == [{1: 100, 2: 0}]
    tags = back.connections.known.tags
    assert (tags["2"]["rollout"], tags["2"]["rollout_reason"]) == ("rolled back", "skill")
    assert tags["1"]["rollout"] == "serving"


def test_a_deleted_version_leaves_the_route_first(rollout):
    cluster = Cluster(1, 2, weights={1: 100, 2: 0}, stable_history=(1,))
    deleting = rollout(cluster)
    deleting.delete(2)
    assert (weights(cluster), cluster.deleted) == ([{1: 100}], [2])
    assert deleting.connections.known.tags["2"]["rollout"] == "retired"
    with pytest.raises(InvalidSettings, match="no requests go to it"):
        deleting.delete(1)
    with pytest.raises(UnknownVersion, match="must run to be deleted"):
        deleting.delete(3)


def test_a_version_that_was_rolled_back_stays_so_when_it_is_deleted(rollout):
    deleting = rollout(Cluster(1, 2, weights={1: 100, 2: 0}, stable_history=(1,)))
    deleting.connections.known.tags["2"]["rollout"] = "rolled back"
    deleting.delete(2)
    assert deleting.connections.known.tags["2"]["rollout"] == "rolled back"


def test_every_live_version_is_brought_in_step_the_newest_first(rollout):
    assert rollout(Cluster(1, 3, 2)).sync() == [3, 2, 1]


def test_a_version_that_does_not_get_ready_keeps_no_other_from_the_new_template(
    rollout, monkeypatch
):
    waited_for = []

    def wait_ready(self, version):
        waited_for.append(version)
        if version == 3:
            raise NotReady("a version must get ready", "version 3 does not")

    monkeypatch.setattr(Progress, "wait_ready", wait_ready)
    with pytest.raises(NotReady, match="version 3 does not"):
        rollout(Cluster(1, 3, 2)).sync()
    assert waited_for == [3, 2, 1]


def test_a_run_takes_every_step_and_serves(rollout, judged):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    result = rollout(cluster).run("2", PACE, Policy())
    assert (result.version, result.serving) == (2, True)
    assert [written.get(2) for written in weights(cluster)] == [0, 10, 50, 100]


def test_a_restart_between_a_weight_and_the_first_look_at_its_step_withdraws_the_canary(
    rollout, monkeypatch
):
    cluster = Cluster(1, 2, weights={1: 100, 2: 0}, stable_history=(1,))
    write = cluster.write_route

    def restarted(config, route, new, changed):
        cluster.states[2].restarts += bool(new.weights.get(2))
        return write(config, route, new, changed)

    monkeypatch.setattr(cluster, "write_route", restarted)
    result = rollout(cluster).run("2", PACE, Policy())
    assert not result.serving
    assert "its pods must not restart: 1 restart" in result.reason


def test_a_run_whose_canary_is_worse_gives_everything_back(rollout, judged):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    judged[50] = Outcome.WITHDRAW
    result = rollout(cluster).run("2", PACE, Policy())
    assert (result.serving, result.reason) == (False, "few 5xx: at 50")
    assert cluster.traffic.weights == {1: 100, 2: 0}


def test_a_canary_that_is_worse_in_its_first_questions_never_gets_weight(rollout, judged, client):
    client.delays = {"2": 0.2}
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    run = rollout(cluster, champion="2")
    result = run.run("champion", PACE, Policy())
    assert not result.serving
    assert "it must not answer later than stable" in result.reason
    assert weights(cluster) == [{1: 100, 2: 0}]
    assert run.connections.known.tags["2"]["rollout"] == "rolled back"
    assert "before it had weight" in run.connections.known.tags["2"]["rollout_reason"]


def test_a_canary_that_could_not_be_judged_is_withdrawn_and_not_called_worse(rollout, judged):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    judged[50] = Outcome.HOLD
    interrupted = rollout(cluster, champion="2")
    result = interrupted.run("2", PACE, Policy())
    assert (result.serving, cluster.traffic.weights) == (False, {1: 100, 2: 0})
    assert interrupted.connections.known.tags["2"]["rollout"] == "interrupted"
    assert nothing_to_do(interrupted) == ""


def test_a_run_goes_on_from_the_weight_it_finds(rollout, judged):
    cluster = Cluster(1, 2, weights={1: 50, 2: 50}, stable_history=(1,))
    rollout(cluster).run("2", PACE, Policy())
    assert [written[2] for written in weights(cluster)] == [100]


def test_a_run_ends_where_somebody_else_changes_the_weights(rollout, monkeypatch):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))

    def watch(self, version, weight, pace, policy, weights, asking):
        cluster.traffic = cluster.traffic.give(2, 30, {1, 2})
        return Judgement(())

    monkeypatch.setattr(Progress, "watch", watch)
    with pytest.raises(
        RolloutConflict, match=r"version 2 10 %, now: version 1 70 %, version 2 30 %"
    ):
        rollout(cluster).run("2", PACE, Policy())
    assert cluster.traffic.weights == {1: 70, 2: 30}


def test_a_version_that_is_not_ready_gets_nothing(rollout):
    cluster = Cluster(1, 2, weights={1: 100, 2: 0}, stable_history=(1,))
    cluster.states[2].ready_endpoints = 0
    with pytest.raises(NotReady):
        rollout(cluster).weight(2, 10)
    assert cluster.written == []
