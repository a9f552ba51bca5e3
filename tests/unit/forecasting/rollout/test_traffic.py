"""Weights over versions: always 100 in sum, never to a version that is not ready; a shadow has none."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import (
    BellwetherError,
    InvalidSettings,
    NotReady,
    RolloutConflict,
    UnknownVersion,
)
from forecasting.rollout.traffic import Shadow, Traffic

VERSIONS = range(1, 8)


def after(steps, ready=frozenset(VERSIONS)):
    """The traffic after actions, of which some are refused."""
    traffic = Traffic()
    for action, version, percent in steps:
        try:
            if action == "join":
                traffic = traffic.joined(version)
            elif action == "give":
                traffic = traffic.give(version, percent, ready)
            elif action == "back":
                traffic = traffic.back(ready)
            elif action == "back to":
                traffic = traffic.back(ready, version)
            elif action == "mirror":
                traffic = traffic.mirrored(Shadow(version, percent), ready)
            elif action == "unmirror":
                traffic = traffic.unmirrored()
            else:
                traffic = traffic.without(version)
        except BellwetherError:
            continue
        yield traffic


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "give", "give", "back", "back to", "without", "mirror", "unmirror"]
        ),
        st.sampled_from(VERSIONS),
        st.integers(-5, 105),
    ),
    max_size=30,
)


@given(actions)
def test_whatever_is_done_the_weights_sum_to_100_or_nobody_serves_yet(steps):
    served = False
    for traffic in after(steps):
        total = sum(traffic.weights.values())
        served = served or total == 100
        assert total == (100 if served else 0)
        assert all(0 <= weight <= 100 for weight in traffic.weights.values())


@given(actions, st.frozensets(st.sampled_from(VERSIONS)))
def test_whatever_is_done_no_unready_version_ever_gets_weight(steps, ready):
    for traffic in after(steps, ready):
        assert set(traffic.serving) <= ready


@given(actions)
def test_whatever_is_done_the_way_back_leads_to_versions_on_the_route(steps):
    for traffic in after(steps):
        assert set(traffic.stable_history) <= set(traffic.weights)
        assert len(set(traffic.stable_history)) == len(traffic.stable_history)


@given(actions)
def test_after_a_rollback_the_withdrawn_versions_are_no_way_back(steps):
    for traffic in after(steps):
        try:
            back = traffic.back(VERSIONS)
        except InvalidSettings:
            continue
        (target,) = back.serving
        withdrawn = set(traffic.serving) - {target}
        assert not withdrawn & set(back.stable_history)


def serving(*versions):
    """Each version in turn had all requests; the last has them now."""
    traffic = Traffic()
    for version in versions:
        traffic = traffic.joined(version).give(version, 100, VERSIONS)
    return traffic


def test_the_first_version_can_only_have_everything():
    with pytest.raises(InvalidSettings, match="no other version serves"):
        Traffic().joined(1).give(1, 10, VERSIONS)
    assert Traffic().joined(1).give(1, 100, VERSIONS).weights == {1: 100}


def test_a_canary_takes_its_share_from_the_others_in_proportion():
    split = Traffic({1: 60, 2: 40, 3: 0}, (1,)).give(3, 25, VERSIONS)
    assert split.weights == {3: 25, 2: 30, 1: 45}


def test_what_cannot_be_divided_goes_to_the_largest_remainder():
    assert Traffic({1: 50, 2: 50, 3: 0}, (1,)).give(3, 1, VERSIONS).weights == {3: 1, 2: 50, 1: 49}


def test_what_a_lone_version_gives_up_goes_to_the_one_before():
    assert serving(1, 2).give(2, 30, VERSIONS).weights == {2: 30, 1: 70}


def test_a_canary_rolls_back_to_the_stable_version():
    canary = serving(1, 2).joined(3).give(3, 25, VERSIONS)
    assert (canary.stable, canary.canaries) == (2, (3,))
    assert canary.back(VERSIONS).weights == {3: 0, 2: 100, 1: 0}


def test_a_promoted_version_rolls_back_to_the_one_before_it_and_not_forth_again():
    back = serving(1, 2, 3).back(VERSIONS)
    assert back.weights[2] == 100
    assert back.stable_history == (2, 1)
    assert back.back(VERSIONS).weights[1] == 100


def test_a_rollback_without_a_version_before_is_refused():
    with pytest.raises(InvalidSettings, match="needs a version that served before"):
        serving(1).back(VERSIONS)
    with pytest.raises(UnknownVersion, match="version 5"):
        serving(1).back(VERSIONS, to=5)


def test_a_rollback_to_a_version_that_is_not_ready_is_refused():
    with pytest.raises(NotReady, match="version 1 would get 100 %"):
        serving(1, 2).back({2})


def test_a_dead_stable_version_keeps_a_canary_from_a_part_but_not_from_everything():
    traffic = serving(1).joined(2)
    with pytest.raises(NotReady, match="version 1 would get 90 %"):
        traffic.give(2, 10, ready={2})
    assert traffic.give(2, 100, ready={2}).weights == {2: 100, 1: 0}


def test_a_version_with_weight_stays_on_the_route():
    with pytest.raises(InvalidSettings, match="version 1 has 100 %"):
        serving(1).without(1)
    assert serving(1, 2).without(1).weights == {2: 100}


@given(actions)
def test_whatever_is_done_a_shadow_is_on_the_route_and_has_no_weight(steps):
    for traffic in after(steps):
        assert traffic.shadow is None or traffic.weights[traffic.shadow.version] == 0


@given(actions, st.sampled_from(VERSIONS), st.integers(1, 100))
def test_a_shadow_changes_no_weight_when_it_comes_and_none_when_it_goes(steps, version, percent):
    for traffic in after(steps):
        try:
            mirrored = traffic.mirrored(Shadow(version, percent), VERSIONS)
        except BellwetherError:
            continue
        assert (mirrored.weights, mirrored.stable_history) == (
            traffic.weights,
            traffic.stable_history,
        )
        assert mirrored.unmirrored() == traffic


def test_a_shadow_keeps_its_copies_while_another_version_is_rolled_out():
    traffic = Traffic({3: 0, 2: 0, 1: 100}, (1,)).mirrored(Shadow(3, 50), {1, 2, 3})
    assert traffic.give(2, 10, {1, 2, 3}).shadow == Shadow(3, 50)
    assert traffic.give(3, 10, {1, 2, 3}).shadow is None
    assert traffic.without(3).shadow is None
    assert traffic.give(2, 10, {1, 2, 3}).back({1, 2, 3}).shadow is None


@pytest.mark.parametrize(
    ("traffic", "shadow", "error", "words"),
    [
        (Traffic({2: 0, 1: 100}), Shadow(2, 0), InvalidSettings, "1 to 100 %"),
        (Traffic({2: 0, 1: 100}), Shadow(3, 10), UnknownVersion, "rollout start 3 --weight 0"),
        (Traffic({2: 10, 1: 90}), Shadow(2, 10), InvalidSettings, "version 2 has 10 %"),
        (Traffic({3: 0, 2: 10, 1: 90}), Shadow(3, 10), RolloutConflict, "one version that users"),
        (Traffic({1: 0}), Shadow(1, 10), RolloutConflict, "no version has requests"),
        (Traffic({9: 0, 1: 100}), Shadow(9, 10), NotReady, "version 9 has none"),
        (
            Traffic({3: 0, 2: 0, 1: 100}, (), Shadow(3, 5)),
            Shadow(2, 10),
            RolloutConflict,
            "version 3 gets copies of 5 %",
        ),
    ],
)
def test_a_shadow_that_makes_no_sense_is_refused_in_words(traffic, shadow, error, words):
    with pytest.raises(error, match=words):
        traffic.mirrored(shadow, {1, 2, 3})


def test_a_shadow_whose_command_died_is_overdue():
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    shadow = Shadow(4, 25, now, now + timedelta(minutes=10), "ann")
    assert not shadow.overdue(now)
    assert shadow.overdue(now + timedelta(minutes=11))
    assert not Shadow(4, 25).overdue(now)
    assert shadow.in_words() == (
        "version 4 gets copies of 25 % of the requests, until 2026-11-30T12:10:00+00:00, begun by ann"
    )
