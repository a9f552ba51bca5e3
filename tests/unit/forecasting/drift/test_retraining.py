"""When drift deserves a training: it has to last, and there is a budget."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.drift.retraining import WEEK, RetrainingPolicy, reason_to_retrain
from forecasting.drift.summary import DriftSummary, ScopeDrift
from forecasting.errors import InvalidSettings

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_run(at, drifted, *, bar=None, version="3"):
    scope = ScopeDrift("features", (), (), 0, 0, drifted)
    bar = at.date().isoformat() if bar is None else bar
    return DriftSummary(
        at.isoformat(), bar, version, "default", "s", "sample", False, False, (scope,), ()
    )


def trained_at(drifting, policy=None, *, every=HOUR, bar=None):
    """The instants at which trainings were asked for, over runs whose drift is given."""
    policy = policy or RetrainingPolicy()
    runs = []
    for number, drifted in enumerate(drifting):
        at = START + number * every
        run = a_run(at, drifted, bar=bar)
        runs.append(replace(run, retrain=reason_to_retrain([*runs, run], policy, now=at)))
    return [datetime.fromisoformat(run.measured_at) for run in runs if run.retrain]


def test_a_steady_market_asks_for_nothing():
    assert trained_at([False] * 24 * 14) == []


def test_drift_found_every_hour_on_unchanged_data_asks_for_nothing():
    assert trained_at([True] * 24 * 14, bar="2026-01-05") == []


def test_drift_that_lasts_three_bars_asks_once_it_has():
    asked = trained_at([True] * 24 * 3)
    assert asked == [START + 2 * DAY]


def test_drift_that_comes_and_goes_asks_for_nothing():
    assert trained_at([True, True, False] * 10, every=DAY) == []


def test_a_week_of_drift_stays_within_the_budget():
    asked = trained_at([True] * 24 * 28)
    assert asked
    for instant in asked:
        assert sum(timedelta(0) <= one - instant < WEEK for one in asked) <= 2


def test_the_reason_names_scopes_bars_and_version():
    runs = [a_run(START + n * DAY, drifted=True) for n in range(3)]
    assert reason_to_retrain(runs, RetrainingPolicy(), now=START + 2 * DAY) == (
        "drift of features lasted 3 bars of version 3"
    )


def test_a_new_champion_starts_anew():
    runs = [a_run(START + n * DAY, drifted=True, version=str(n // 2)) for n in range(4)]
    assert reason_to_retrain(runs, RetrainingPolicy(), now=START + 3 * DAY) == ""


@given(
    st.lists(st.booleans(), max_size=120), st.integers(1, 4), st.integers(0, 3), st.integers(0, 5)
)
def test_no_history_breaks_patience_cooldown_or_budget(drifting, persist, weekly, cooldown):
    policy = RetrainingPolicy(persist, cooldown * DAY, weekly)
    asked = trained_at(drifting, policy, every=6 * HOUR)
    for place, instant in enumerate(asked):
        assert sum(timedelta(0) <= one - instant < WEEK for one in asked) <= weekly
        newest = int((instant - START) / (6 * HOUR))
        assert all(drifting[newest - newest % 4 - 4 * bar + 3] for bar in range(1, persist))
        if place:
            assert instant - asked[place - 1] >= policy.cooldown


@pytest.mark.parametrize("change", [{"persist": 0}, {"weekly": -1}, {"cooldown": -DAY}])
def test_policies_that_make_no_sense_are_refused(change):
    with pytest.raises(InvalidSettings, match="persist must be at least 1"):
        RetrainingPolicy(**change)
