"""Weights are written against the route that was read, and the registry is told of them."""

import pytest

from forecasting.errors import RolloutConflict
from forecasting.rollout.traffic import Traffic
from serving.rollout.weights import RouteWeights
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def weights(lines):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    return RouteWeights(cluster, Connections(), lines.append)


def test_of_two_writers_at_once_one_is_refused(weights):
    first, second = weights.route(), weights.route()
    weights.write(first, first.traffic.give(2, 20, {1, 2}), "first")
    with pytest.raises(RolloutConflict):
        weights.write(second, second.traffic.give(2, 30, {1, 2}), "second")
    assert weights.cluster.traffic.weights == {1: 80, 2: 20}


def test_the_reason_is_written_beside_the_weights(weights):
    route = weights.route()
    weights.write(route, route.traffic.give(2, 20, {1, 2}), "a step")
    assert weights.route().changed["why"] == "a step"


def test_weights_that_were_changed_meanwhile_end_a_rollout(weights):
    assert weights.check_unchanged(2, {1: 90, 2: 10}).traffic.weights == {1: 90, 2: 10}
    assert weights.check_unchanged(2, {1: 90, 2: 10, 7: 0})
    with pytest.raises(RolloutConflict, match=r"left version 1 75 %, version 2 25 %, now: .* 10 %"):
        weights.check_unchanged(2, {1: 75, 2: 25})
    with pytest.raises(RolloutConflict):
        weights.check_unchanged(1, {1: 90, 2: 10})


def test_a_route_edited_by_hand_is_noticed_though_the_canarys_own_weight_stayed(weights):
    weights.cluster.traffic = Traffic({1: 10, 2: 10}, (1,))
    with pytest.raises(RolloutConflict, match="nobody else may change the weights"):
        weights.check_unchanged(2, {1: 90, 2: 10})


def test_weights_and_the_places_of_the_routes_rules_are_pushed(weights, monkeypatch):
    pushed = []
    monkeypatch.setattr(weights.connections, "pushgateway", lambda: "http://pushgateway")
    monkeypatch.setattr(
        "serving.rollout.weights.publish", lambda job, samples, **_: pushed.extend(samples)
    )
    route = weights.route()
    weights.write(route, route.traffic.give(2, 20, {1, 2}), "a step")
    said = {(one.metric.name, *one.labels): one.value for one in pushed}
    assert said == {
        ("bellwether_route_weight", "2"): 20.0,
        ("bellwether_route_weight", "1"): 80.0,
        ("bellwether_route_rule", "1"): 1.0,
        ("bellwether_route_rule", "2"): 2.0,
    }


def test_only_versions_with_endpoints_are_ready(weights):
    weights.cluster.states[2].ready_endpoints = 0
    assert weights.ready_versions() == {1}


def test_a_tag_is_tried_three_times(weights, lines, clock):
    weights.connections.known.failures = 2
    weights.tag(2, "serving", "10 %")
    assert weights.connections.known.tags["2"]["rollout"] == "serving"
    assert (clock.now, lines) == (4.0, [])


def test_a_registry_that_is_away_is_logged_and_stops_nothing(weights, lines):
    weights.connections.known.failures = 3
    weights.tag(2, "serving", "")
    assert lines == ["warning: the registry was not told that version 2 is serving: it is away"]


def test_a_tag_leaves_an_outcome_that_must_not_be_overwritten(weights):
    weights.tag(2, "rolled back", "too slow")
    weights.tag(2, "serving", "10 %", unless="rolled back")
    assert weights.connections.known.tags["2"]["rollout"] == "rolled back"
    weights.tag(2, "serving", "10 %", unless="withdrawn")
    assert weights.connections.known.tags["2"]["rollout"] == "serving"
