"""Walk-forward folds against a slow, obvious check of every training row's label."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.models.cross_validation import label_ends, walk_forward

DAY = 86_400 * 10**9


def panel_of(lengths, gaps=(1,)):
    """Symbols of these lengths, all ending together; symbol i trades every gaps[i]-th day."""
    codes, times = [], []
    for code, length in enumerate(lengths):
        gap = gaps[code % len(gaps)]
        codes += [code] * length
        times += [(100_000 - gap * back) * DAY for back in range(length, 0, -1)]
    return np.array(times, dtype=np.int64), np.array(codes, dtype=np.int32)


def slow_label_end(times, codes, row, bars):
    own = [time for time, code in zip(times, codes, strict=True) if code == codes[row]]
    place = own.index(times[row]) + bars
    return own[place] if place < len(own) else None


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(60, 160), min_size=1, max_size=4),
    folds=st.integers(1, 5),
    purge=st.integers(0, 8),
    embargo=st.integers(0, 4),
    gaps=st.sampled_from([(1,), (1, 2), (1, 3, 2)]),
)
def test_no_training_label_reaches_the_test_span(lengths, folds, purge, embargo, gaps):
    times, codes = panel_of(lengths, gaps)
    try:
        steps = walk_forward(times, codes, folds=folds, purge_bars=purge, embargo_bars=embargo)
    except ShortHistory:
        return
    for step in steps:
        assert len(step.train)
        for row in step.train:
            end = slow_label_end(times, codes, row, purge + embargo)
            assert end is not None
            assert end < step.test_start


def test_test_spans_follow_each_other_without_overlap_up_to_the_end():
    times, codes = panel_of([300, 250])
    steps = walk_forward(times, codes, folds=4, initial=0.4)
    assert [step.number for step in steps] == [1, 2, 3, 4]
    for before, after in pairwise(steps):
        assert before.test_stop == after.test_start
    rows = np.concatenate([step.test for step in steps])
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(np.flatnonzero(times >= steps[0].test_start))
    assert steps[-1].test_stop > times.max()


def test_every_row_whose_label_had_closed_is_used_when_expanding():
    times, codes = panel_of([200, 150])
    for step in walk_forward(times, codes, folds=3, purge_bars=5, embargo_bars=2):
        expected = [
            row
            for row in range(len(times))
            if (end := slow_label_end(times, codes, row, 7)) is not None and end < step.test_start
        ]
        assert step.train.tolist() == expected


def test_a_share_beside_a_coin_is_purged_by_its_own_bars():
    times, codes = panel_of([400, 200], gaps=(1, 2))
    step = walk_forward(times, codes, folds=2, purge_bars=30, embargo_bars=0, initial=0.5)[0]
    share = step.train[codes[step.train] == 1]
    assert step.test_start - times[share].max() > 30 * 2 * DAY
    coin = step.train[codes[step.train] == 0]
    assert step.test_start - times[coin].max() == 31 * DAY


def test_without_codes_the_instants_are_the_clock():
    times = np.arange(100, dtype=np.int64) * DAY
    assert label_ends(times, None, 3)[:3].tolist() == times[3:6].tolist()
    codes = np.zeros(100, dtype=np.int32)
    assert (label_ends(times, None, 3) == label_ends(times, codes, 3)).all()


def test_too_short_a_history_is_refused_with_the_length_it_needs():
    times, codes = panel_of([80])
    with pytest.raises(ShortHistory, match="80"):
        walk_forward(times, codes)


@pytest.mark.parametrize("wrong", [{"folds": 0}, {"purge_bars": -1}, {"initial": 1.0}])
def test_a_senseless_setting_is_refused(wrong):
    times, codes = panel_of([300])
    with pytest.raises(InvalidSettings, match="folds >= 1"):
        walk_forward(times, codes, **wrong)
