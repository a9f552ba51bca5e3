"""The rule by which old versions end, and what it never ends."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import BellwetherError
from forecasting.rollout.retirement import KeepRule, retired
from forecasting.rollout.traffic import ALL, Traffic

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def ago(**days):
    """Versions by when they were used last: v5=3 is version 5, three days ago."""
    return {int(name[1:]): NOW - timedelta(days=number) for name, number in days.items()}


def test_the_serving_one_the_one_before_and_the_newest_other_are_kept():
    used = ago(v1=90, v2=60, v3=40, v4=30, v5=0)
    traffic = Traffic({5: 100, 4: 0, 3: 0, 2: 0, 1: 0}, (5, 4, 3, 2, 1))
    assert retired(used, traffic, (), KeepRule(3, 7), NOW) == (1, 2)
    assert retired(used, traffic, (), KeepRule(2, 7), NOW) == (1, 2, 3)
    assert retired(used, traffic, {1}, KeepRule(2, 7), NOW) == (2, 3)


def test_a_version_that_was_used_lately_is_kept_until_its_days_are_over():
    used = ago(v1=90, v2=6, v3=5, v4=4, v5=0)
    traffic = Traffic({5: 100, 4: 0}, (5, 4))
    assert retired(used, traffic, (), KeepRule(3, 7), NOW) == (1,)
    assert retired(used, traffic, (), KeepRule(3, 0), NOW) == (1, 2)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "give", "back", "retire"]),
        st.integers(1, 12),
        st.integers(0, ALL),
    ),
    max_size=40,
)


@given(STEPS, st.integers(2, 5), st.floats(0, 20), st.sets(st.integers(1, 12), max_size=3))
def test_no_sequence_ends_a_version_with_requests_with_an_alias_or_a_rollbacks(
    steps, keep, days, aliased
):
    traffic, used, now = Traffic(), {}, NOW
    for what, version, percent in steps:
        now += timedelta(days=1)
        try:
            if what == "start":
                used.setdefault(version, now)
                traffic = traffic.joined(version)
            elif what == "give" and version in traffic.weights:
                traffic = traffic.give(version, percent, set(used))
            elif what == "back":
                traffic = traffic.back(set(used))
        except BellwetherError:
            continue
        used |= dict.fromkeys(traffic.serving, now)
        if what != "retire":
            continue
        ended = retired(used, traffic, aliased, KeepRule(keep, days), now)
        assert not {*ended} & {*traffic.serving, *aliased}
        assert all(now - used[one] > timedelta(days=days) for one in ended)
        assert len(used) - len(ended) >= min(len(used), keep)
        after = traffic
        for one in ended:  # `without` refuses a version with requests
            after = after.without(one) if one in after.weights else after
        assert _way_back(after, used) == _way_back(traffic, used)
        traffic, used = after, {one: at for one, at in used.items() if one not in ended}
        unneeded = {*used} - {*traffic.serving, *aliased, *traffic.stable_history[:2]}
        old = [one for one in unneeded if now - used[one] > timedelta(days=days)]
        assert not old or len(used) <= keep


def _way_back(traffic, ready):
    try:
        return traffic.back(set(ready)).weights.items() - {(one, 0) for one in traffic.weights}
    except BellwetherError as error:
        return error.rule
