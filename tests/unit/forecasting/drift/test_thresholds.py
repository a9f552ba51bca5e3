"""Limits of drift: right on average, blind to the order of symbols, and silent when they must be."""

import numpy as np
import pytest

from forecasting.drift.config import Look
from forecasting.drift.thresholds import (
    MIN_BLOCKS,
    Limits,
    TooShort,
    autocorrelation_time,
    block_distances,
    calibrate,
)
from forecasting.drift.wasserstein import distances_between, distances_to
from forecasting.drift.windows import DriftPanel

LEVEL, CHANGE = Look("level", 20), Look("change", 10, 30)


def persistent(seed, bars, symbols, columns=3, memory=0.9):
    """Gaussian AR(1) columns that symbols partly share: [bars, symbols, columns]."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((bars + 200, 1, columns)) + rng.standard_normal(
        (bars + 200, symbols, columns)
    )
    for bar in range(1, len(drawn)):
        drawn[bar] += memory * drawn[bar - 1]
    return drawn[200:]


def a_panel(values, names=None):
    bars, symbols, columns = values.shape
    return DriftPanel.of_rows(
        np.repeat([f"S{n}" for n in range(symbols)], bars),
        np.tile(np.arange(bars), symbols),
        values.transpose(1, 0, 2).reshape(-1, columns),
        names or [f"c{n}" for n in range(columns)],
    )


def flagged(values, look, *, false_alarms):
    """Whether the last look at a panel passes limits from all that came before it."""
    whole = a_panel(values)
    history = whole.before(whole.span(look)[0])
    limits = calibrate(history, look, whole.names, false_alarms=false_alarms)
    assert isinstance(limits, Limits), limits
    newest, before = whole.windows(np.array([len(whole.distinct) - 1]), look)
    for place, name in enumerate(whole.names):
        column = whole.values[:, place]
        score = (
            distances_between(column, newest, before)
            if look.before
            else distances_to(history.values[:, place], column[newest])
        )
        if name in limits.thresholds and score[0] >= limits.thresholds[name]:
            return True
    return False


@pytest.mark.parametrize("look", [LEVEL, CHANGE], ids=lambda look: look.name)
def test_stationary_histories_are_flagged_as_often_as_was_asked_for(look):
    runs = 120
    count = sum(flagged(persistent(seed, 1_240, 3), look, false_alarms=0.1) for seed in range(runs))
    # 10 % were asked for: the exact binomial interval at 99.9 % is 3 to 23 of 120.
    assert 3 <= count <= 23


def test_a_fixed_threshold_of_independent_rows_would_cry_wolf():
    """What the blocks are for: rows drawn one by one set limits that the real windows pass."""
    values = persistent(1, 1_240, 3)
    limits = calibrate(a_panel(values), LEVEL, ("c0", "c1", "c2"), false_alarms=0.05)
    mixed = np.random.default_rng(0).permutation(values)
    naive = calibrate(a_panel(mixed), LEVEL, ("c0", "c1", "c2"), false_alarms=0.05)
    for name, threshold in limits.thresholds.items():
        assert threshold > 2 * naive.thresholds[name]


def test_doubled_spread_is_heard():
    heard = 0
    for seed in range(20):
        values = persistent(seed, 1_240, 3, memory=0.3)
        values[-10:] *= 3
        heard += flagged(values, CHANGE, false_alarms=0.05)
    assert heard >= 19


def test_the_order_of_symbols_does_not_matter():
    values = persistent(5, 600, 4)
    found = calibrate(a_panel(values), CHANGE, ("c0", "c1"), false_alarms=0.05)
    again = calibrate(a_panel(values[:, ::-1]), CHANGE, ("c0", "c1"), false_alarms=0.05)
    assert found.thresholds == pytest.approx(again.thresholds)


def test_units_do_not_matter():
    values = persistent(5, 600, 2)
    found = calibrate(a_panel(values), LEVEL, ("c0", "c1"), false_alarms=0.05)
    other = calibrate(a_panel(values * 1e-6 + 3), LEVEL, ("c0", "c1"), false_alarms=0.05)
    assert found.thresholds == pytest.approx(other.thresholds, rel=1e-4)


def test_in_the_history_at_most_so_many_blocks_pass_their_limits():
    panel = a_panel(persistent(2, 2_000, 3))
    limits = calibrate(panel, LEVEL, panel.names, false_alarms=0.1)
    ends = np.arange(LEVEL.bars - 1, 2_000, 4)
    scores = block_distances(panel, LEVEL, tuple(limits.thresholds), ends)
    passed = (scores >= np.array(list(limits.thresholds.values()))).any(axis=1).mean()
    assert 0.02 < passed < 0.1
    assert limits.false_alarms == 0.1


def test_more_columns_raise_every_threshold():
    panel = a_panel(persistent(2, 1_240, 3, columns=12))
    alone = calibrate(panel, LEVEL, ("c0",), false_alarms=0.05).thresholds["c0"]
    assert calibrate(panel, LEVEL, panel.names, false_alarms=0.05).thresholds["c0"] > alone


def test_what_few_blocks_cannot_promise_is_not_promised():
    panel = a_panel(persistent(2, 500, 3, memory=0.0))
    limits = calibrate(panel, LEVEL, panel.names, false_alarms=0.01)
    assert 1 / (500 / 20 + 1) <= limits.false_alarms <= 1 / (MIN_BLOCKS + 1)


def test_a_short_history_has_no_limits_but_a_reason():
    found = calibrate(a_panel(persistent(2, 300, 3)), LEVEL, ("c0",), false_alarms=0.05)
    assert isinstance(found, TooShort)
    assert found.reason == (
        "no limit can be set: 300 bars of history are worth 15 independent windows of 20 bars, "
        "19 are needed"
    )


@pytest.mark.parametrize("bars", [0, 1, 30, 39])
def test_a_history_shorter_than_one_look_has_no_limits(bars):
    panel = a_panel(persistent(2, 60, 3)[:bars])
    assert isinstance(calibrate(panel, CHANGE, ("c0",), false_alarms=0.05), TooShort)


def test_a_column_that_persists_too_long_is_named_and_the_others_keep_their_limits():
    values = persistent(2, 1_000, 3, memory=0.0)
    values[:, :, 1] = np.sin(np.arange(1_000) / 150)[:, None]
    limits = calibrate(a_panel(values), LEVEL, ("c0", "c1", "c2"), false_alarms=0.05)
    assert set(limits.thresholds) == {"c0", "c2"}
    assert limits.unlimited["c1"].startswith("it persists too long for a limit: 1000 bars")


def test_a_column_that_stands_still_has_no_limit():
    values = persistent(2, 1_000, 3)
    values[:, :, 0] = 7.0
    limits = calibrate(a_panel(values), CHANGE, ("c0", "c1"), false_alarms=0.05)
    assert limits.unlimited == {"c0": "its distance never varied in the reference"}


def test_autocorrelation_time_of_known_series():
    rng = np.random.default_rng(0)
    assert autocorrelation_time(rng.standard_normal(5_000)) == pytest.approx(1.0, abs=0.2)
    series = persistent(1, 20_000, 1, columns=1, memory=0.8)[:, 0, 0]
    assert autocorrelation_time(series) == pytest.approx(1.8 / 0.2, rel=0.15)
    assert autocorrelation_time(np.ones(50)) == 1.0
