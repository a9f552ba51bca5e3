"""A shadow comes and goes without a weight changing, and is seen when its command died."""

from datetime import UTC, datetime, timedelta

import pytest

from forecasting.errors import (
    ClusterUnavailable,
    InvalidSettings,
    NotReady,
    RolloutConflict,
)
from forecasting.rollout.traffic import Shadow
from serving.rollout.rollout import Rollout
from serving.rollout.shadow import Shadowing, check_minutes
from serving.rollout.status import read_status
from tests.unit.serving.rollout.release import Cluster, Connections

WEIGHTS = {1: 100, 2: 0, 3: 0}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LEFT_BEHIND = Shadow(2, 50, LONG_AGO, LONG_AGO + timedelta(minutes=10), "ann")


@pytest.fixture
def cluster():
    return Cluster(1, 2, 3, weights=WEIGHTS, stable_history=(1,))


@pytest.fixture
def shadowing(cluster, lines):
    return Shadowing(cluster, Connections(), lines.append)


def test_a_shadow_gets_copies_for_its_time_and_no_weight_changes(cluster, shadowing, lines):
    begun = shadowing.begin(2, 25, 10, "ann")
    assert cluster.traffic.shadow == begun
    assert (begun.version, begun.percent, begun.until - begun.since) == (
        2,
        25,
        timedelta(minutes=10),
    )
    assert shadowing.wait(begun, 10) == ""
    assert shadowing.end(begun) == begun
    assert cluster.traffic.shadow is None
    assert [weights for weights, _ in cluster.written] == [WEIGHTS, WEIGHTS]
    assert "version 2 gets copies of 25 % of the requests" in lines[0]
    assert lines[-1] == "version 2 gets no copies of requests any more"
    assert shadowing.end() is None


def test_a_shadow_that_somebody_else_ends_is_over(cluster, shadowing):
    begun = shadowing.begin(2, 100, 10, "ann")
    cluster.write_route(None, cluster.route(None), cluster.traffic.unmirrored(), {"why": "bob"})
    assert shadowing.wait(begun, 10) == "somebody else wrote the route: bob"
    assert shadowing.end(begun) is None


def test_a_cluster_that_is_away_for_a_while_does_not_end_a_shadow(
    cluster, shadowing, lines, monkeypatch
):
    begun = shadowing.begin(2, 100, 1, "ann")
    answers = iter([ClusterUnavailable("Kubernetes must be reachable", "it is away")])
    route = cluster.route

    def sometimes(config):
        error = next(answers, None)
        if error is not None:
            raise error
        return route(config)

    monkeypatch.setattr(cluster, "route", sometimes)
    assert shadowing.wait(begun, 1) == ""
    assert "the route is not seen: it is away" in lines


def test_copies_end_though_somebody_else_writes_the_route_meanwhile(
    cluster, shadowing, monkeypatch
):
    begun = shadowing.begin(2, 100, 1, "ann")
    write = cluster.write_route
    rivals = iter([True, True])

    def contested(*words):
        if next(rivals, False):
            cluster.revision += 1
        return write(*words)

    monkeypatch.setattr(cluster, "write_route", contested)
    assert shadowing.end(begun) == begun
    assert cluster.traffic.shadow is None


def test_a_gateway_that_copies_nothing_is_said_and_the_copies_are_off_the_route(
    cluster, shadowing, monkeypatch
):
    def refuses(config):
        if cluster.traffic.shadow is not None:
            raise NotReady("the gateway must take the route", "UnsupportedValue: RequestMirror")

    monkeypatch.setattr(cluster, "wait_routed", refuses)
    with pytest.raises(NotReady, match=r"able to copy requests.*UnsupportedValue"):
        shadowing.begin(2, 100, 1, "ann")
    assert cluster.traffic.shadow is None


def test_what_a_killed_command_left_is_seen_and_ended_by_the_next(cluster, shadowing, lines):
    cluster.traffic = cluster.traffic.mirrored(LEFT_BEHIND, {1, 2, 3})
    status = read_status(cluster, Connections(), lines.append)
    assert status.shadow == LEFT_BEHIND
    (remark,) = status.remarks
    assert "nobody ended them. End them: bellwether rollout shadow --stop" in remark
    shadowing.end_overdue()
    assert cluster.traffic.shadow is None
    assert "its command did not end it: version 2 gets copies of 50 %" in lines[0]
    shadowing.end_overdue()
    assert len(cluster.written) == 1


def test_a_new_shadow_takes_the_place_of_one_that_was_left_behind(cluster, shadowing, lines):
    cluster.traffic = cluster.traffic.mirrored(LEFT_BEHIND, {1, 2, 3})
    begun = shadowing.begin(3, 10, 5, "bob")
    assert cluster.traffic.shadow == begun
    assert "an earlier shadow was not ended by its command" in lines[0]
    with pytest.raises(RolloutConflict, match="one version is a shadow at a time"):
        shadowing.begin(2, 10, 5, "ann")


def test_a_rollout_keeps_the_copies_of_others_and_takes_its_own_versions_away(
    cluster, shadowing, lines, client
):
    client.cluster = cluster
    rollout = Rollout(cluster, shadowing.connections, lines.append)
    begun = shadowing.begin(2, 10, 5, "ann")
    rollout.weight(3, 10)
    assert cluster.traffic.shadow == begun
    rollout.weight(3, 0)
    rollout.weight(2, 10)
    assert cluster.traffic.shadow is None
    assert cluster.traffic.weights == {1: 90, 2: 10, 3: 0}


def test_a_rollback_ends_the_copies_too(cluster, shadowing, lines):
    rollout = Rollout(cluster, shadowing.connections, lines.append)
    shadowing.begin(2, 10, 5, "ann")
    rollout.weight(3, 10)
    rollout.rollback()
    assert (cluster.traffic.weights, cluster.traffic.shadow) == (WEIGHTS, None)


def test_the_next_write_to_the_route_ends_what_a_killed_command_left(cluster, shadowing, lines):
    cluster.traffic = cluster.traffic.mirrored(LEFT_BEHIND, {1, 2, 3})
    Rollout(cluster, shadowing.connections, lines.append).weight(3, 10)
    assert cluster.traffic.shadow is None
    assert cluster.traffic.weights[3] == 10


@pytest.mark.parametrize("minutes", [0, -1, 7 * 24 * 60 + 1])
def test_a_time_that_is_none_is_refused(minutes):
    with pytest.raises(InvalidSettings, match="at most a week"):
        check_minutes(minutes)
