"""The rules of the routes: what is written is what is read, and a shadow leaves the split alone."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from forecasting.adapters.cluster.route_rules import (
    annotations,
    grpc_rules,
    http_rules,
    read_traffic,
)
from forecasting.rollout.traffic import Shadow, Traffic

INSTANTS = st.datetimes(timezones=st.just(UTC)) | st.none()
SHADOWED = Traffic({4: 0, 3: 100}, (3,), Shadow(4, 25, datetime(2026, 11, 30, tzinfo=UTC)))


@st.composite
def splits(draw, shadow=True):
    """A split over some versions, perhaps with a shadow that has no weight."""
    weights = draw(st.dictionaries(st.integers(1, 999), st.integers(0, 100), min_size=1))
    ordered = dict(sorted(weights.items(), reverse=True))
    former = draw(st.lists(st.sampled_from(sorted(weights)), unique=True))
    idle = [version for version, weight in weights.items() if not weight]
    if not (shadow and idle and draw(st.booleans())):
        return Traffic(ordered, tuple(former))
    who = draw(st.text(max_size=20))
    copies = Shadow(
        draw(st.sampled_from(idle)), draw(st.integers(1, 100)), draw(INSTANTS), draw(INSTANTS), who
    )
    return Traffic(ordered, tuple(former), copies)


def written(traffic):
    """The route as it is after a write."""
    rules = http_rules(traffic, "bellwether", 80)
    return {"metadata": {"annotations": annotations(traffic, {})}, "spec": {"rules": rules}}


def test_every_version_can_be_asked_by_its_number_and_the_first_rule_splits_and_never_moves():
    rules = http_rules(Traffic({4: 10, 3: 90}, (3,)), "bellwether", 80)
    pins = [rule["backendRefs"][0]["name"] for rule in rules[1:]]
    assert pins == ["bellwether-v3-predictor", "bellwether-v4-predictor"]
    header, path = rules[-1]["matches"]
    assert header["headers"][0] == {
        "type": "Exact",
        "name": "bellwether-model-version",
        "value": "4",
    }
    # As long as the split's path: a longer path would win over any header.
    assert header["path"] == rules[0]["matches"][0]["path"]
    assert path["path"]["value"] == "/v2/models/bellwether/versions/4"
    assert {one["name"]: one["weight"] for one in rules[0]["backendRefs"]} == {
        "bellwether-v4-predictor": 10,
        "bellwether-v3-predictor": 90,
    }


def test_grpc_has_the_same_split_and_pins_by_header_alone():
    rules = grpc_rules(Traffic({4: 10, 3: 90}, (3,)), "bellwether", 8081)
    assert [one["weight"] for one in rules[0]["backendRefs"]] == [10, 90]
    assert "matches" not in rules[0]
    assert {one["port"] for rule in rules for one in rule["backendRefs"]} == {8081}


@given(splits())
def test_what_is_written_is_what_is_read(traffic):
    assert read_traffic(written(traffic), "bellwether") == traffic


@given(splits(shadow=False), st.integers(1, 100))
def test_a_shadow_that_comes_and_goes_leaves_every_weight_as_it_was(traffic, percent):
    idle = [version for version, weight in traffic.weights.items() if not weight]
    for version in idle:
        shadowed = Traffic(traffic.weights, traffic.stable_history, Shadow(version, percent))
        for rules in (http_rules, grpc_rules):
            before, during = rules(traffic, "b", 80), rules(shadowed, "b", 80)
            copied = during[0].pop("filters")
            assert during == before
            assert json.dumps(copied).count(f"b-v{version}-predictor") == 1
        assert read_traffic(written(shadowed), "bellwether").weights == traffic.weights
        assert shadowed.unmirrored() == traffic


def test_copies_go_to_the_shadow_and_both_requests_carry_its_number():
    for rules, port in ((http_rules, 80), (grpc_rules, 8081)):
        split, *pins = rules(SHADOWED, "bellwether", port)
        mark, mirror = split["filters"]
        assert mark["requestHeaderModifier"] == {
            "set": [{"name": "bellwether-shadow", "value": "4"}]
        }
        assert mirror["requestMirror"] == {
            "backendRef": {
                "group": "",
                "kind": "Service",
                "name": "bellwether-v4-predictor",
                "port": port,
            },
            "percent": 25,
        }
        assert not any("filters" in pin for pin in pins)


def test_copies_that_somebody_else_wrote_are_seen_though_nothing_says_who():
    route = written(SHADOWED)
    del route["metadata"]["annotations"]["bellwether.io/shadow"]
    del route["spec"]["rules"][0]["filters"][1]["requestMirror"]["percent"]
    assert read_traffic(route, "bellwether").shadow == Shadow(4, 100)
    route["metadata"]["annotations"]["bellwether.io/shadow"] = "[not json"
    assert read_traffic(route, "bellwether").shadow == Shadow(4, 100)
    assert read_traffic(route, "other").shadow is None


def test_a_route_as_the_api_server_makes_it_without_rules_holds_nothing():
    defaulted = {"metadata": {}, "spec": {"rules": [{"matches": [{"path": {"value": "/"}}]}]}}
    assert read_traffic(defaulted, "bellwether") == Traffic()
    assert read_traffic({"metadata": {}, "spec": {}}, "bellwether") == Traffic()


def test_a_split_of_nothing_takes_nobodys_requests_and_versions_can_be_asked_by_number():
    waiting, serving = (
        http_rules(Traffic({4: weight}, ()), "bellwether", 80) for weight in (0, 100)
    )
    assert waiting[0]["matches"][0]["headers"][0]["value"] == "none"
    assert "headers" not in serving[0]["matches"][0]
    assert waiting[1:] == serving[1:]
