"""Recalibration after a training, against a slow twin, and what it does when the market changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.models.conformal import RECALIBRATION_INTERVAL, STEP
from forecasting.models.quantiles import GRID, KNOTS, QuantileTable, interpolation_matrix
from forecasting.models.recalibration import (
    OutOfSampleRows,
    breadth_of,
    recalibration_instants,
    recalibration_of,
)

DAY = 86_400 * 10**9
WEEK = RECALIBRATION_INTERVAL
H = 30
HALF = 1.6448536269514722
P95 = 95  # column of the grid
START = 10_000 * DAY


def normal_table():
    """Calibration of a residual that is standard normal at every horizon."""
    from scipy.special import ndtri

    return QuantileTable.of(np.tile(ndtri(np.array(GRID)), (H, 1)))


def rows_of(bars=400, symbols=3, shock=1.0, seed=0, learned=False):
    """Daily rows of some symbols from the training's end on; bars are `shock` times as wild as expected."""
    random = np.random.default_rng(seed)
    stamps, codes, z = [], [], []
    for code in range(symbols):
        path = np.cumsum(random.standard_normal(bars) * shock)
        own = np.full((bars, H), np.nan)
        for h in range(1, min(H, bars - 1) + 1):
            own[: bars - h, h - 1] = (path[h:] - path[: bars - h]) / np.sqrt(h)
        stamps.append(START + DAY * np.arange(1, bars + 1))
        codes.append(np.full(bars, code, dtype=np.int32))
        z.append(own)
    stamps, codes = np.concatenate(stamps), np.concatenate(codes)
    width = 0.1 * random.standard_normal((len(stamps), len(KNOTS))) if learned else None
    loc = 0.1 * random.standard_normal((len(stamps), len(KNOTS))) * learned
    return OutOfSampleRows(stamps, codes, np.concatenate(z), loc, width, breadth_of(stamps, codes))


def slow_twin(rows, table, instants):
    """The same, one outcome at a time."""
    weights = interpolation_matrix(H)
    stretch, path = np.zeros(H), []
    known_at = {}
    for symbol in np.unique(rows.codes):
        own = np.flatnonzero(rows.codes == symbol)
        for place, row in enumerate(own):
            for h in range(1, H + 1):
                if place + h < len(own):
                    known_at[int(row), h] = int(rows.timestamps[own[place + h]])
    counted = set()
    in_force = {}
    for number, instant in enumerate(instants):
        misses, outcomes = np.zeros(H), np.zeros(H)
        for (row, h), end in known_at.items():
            if end > instant or (row, h) in counted or row not in in_force:
                continue
            counted.add((row, h))
            width = 1.0
            if rows.log_width is not None:
                width = np.exp((rows.log_width[row] @ weights)[h - 1])
            residual = (rows.z[row, h - 1] - (rows.loc[row] @ weights)[h - 1]) / width
            outcomes[h - 1] += 1
            limit = table.calibration[h - 1, P95] * np.exp(in_force[row][h - 1])
            misses[h - 1] += abs(residual) > limit
        roots = np.sqrt(np.arange(1, H + 1))
        stretch = stretch + STEP / roots / rows.breadth * (misses / 2 - 0.05 * outcomes)
        path.append(stretch)
        last = number == len(instants) - 1
        until = np.inf if last else instants[number + 1]
        for row, stamp in enumerate(rows.timestamps):
            if instant <= stamp < until:
                in_force[row] = stretch
    return np.array(path)


@pytest.mark.parametrize("learned", [False, True])
def test_it_is_the_slow_twin_bit_by_bit_of_its_rules(learned):
    rows = rows_of(bars=90, symbols=2, shock=1.5, seed=3, learned=learned)
    until = int(rows.timestamps.max())
    instants = recalibration_instants(START, [START + 20 * DAY, START + 27 * DAY], until)
    found = recalibration_of(rows, normal_table(), instants)
    np.testing.assert_allclose(found.path, slow_twin(rows, normal_table(), instants), atol=1e-12)
    assert found.outcomes[0] == 2 * 89
    assert found.outcomes[29] == 2 * 60


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1_000))
def test_week_by_week_or_at_once_it_comes_to_the_same(weeks, seed):
    rows = rows_of(bars=7 * weeks, symbols=1, shock=1.3, seed=seed)
    made = []
    for week in range(1, weeks + 1):
        until = START + week * WEEK
        here = rows.timestamps <= until
        known = rows_of(bars=7 * week, symbols=1, shock=1.3, seed=seed)
        z = np.where(np.isnan(known.z), np.nan, rows.z[here])
        so_far = OutOfSampleRows(
            rows.timestamps[here], rows.codes[here], z, rows.loc[here], None, rows.breadth
        )
        step_by_step = recalibration_of(
            so_far, normal_table(), recalibration_instants(START, made, until)
        )
        made.append(until)
    at_once = recalibration_of(
        rows, normal_table(), recalibration_instants(START, [], int(rows.timestamps.max()))
    )
    np.testing.assert_array_equal(step_by_step.log_stretch, at_once.log_stretch)


def test_intervals_that_are_too_narrow_or_too_wide_come_back_to_nominal():
    for shock in (0.6, 1.6):
        rows = rows_of(bars=3_000, symbols=4, shock=shock, seed=1)
        until = int(rows.timestamps.max())
        found = recalibration_of(rows, normal_table(), recalibration_instants(START, [], until))
        week = np.searchsorted(found.instants, rows.timestamps, side="right") - 1
        late = (week > 150) & np.isfinite(rows.z[:, 0])
        inside = np.abs(rows.z[late, 0]) <= HALF * np.exp(found.path[week[late], 0])
        assert 0.88 < inside.mean() < 0.92
        frozen = (np.abs(rows.z[late, 0]) <= HALF).mean()
        assert not 0.87 < frozen < 0.93


def test_nothing_new_changes_nothing():
    rows = rows_of(bars=1, symbols=2)
    found = recalibration_of(rows, normal_table(), (START, int(rows.timestamps.max())))
    assert not found.log_stretch.any()
    assert not found.outcomes.any()


def test_forecasts_of_before_the_training_ended_do_not_count():
    rows = rows_of(bars=40, symbols=1, shock=5.0)
    late_start = START + 39 * DAY
    found = recalibration_of(rows, normal_table(), (late_start, START + 40 * DAY))
    assert found.outcomes.tolist() == [1] + [0] * (H - 1)


def test_long_times_without_a_recalibration_are_filled_with_weekly_ones():
    until = START + 30 * DAY
    assert recalibration_instants(START, [], until) == (
        *(START + week * WEEK for week in range(4)),
        until,
    )
    assert recalibration_instants(START, [START + 8 * DAY], START + 9 * DAY) == (
        START,
        START + 8 * DAY,
        START + 9 * DAY,
    )
    assert recalibration_instants(START, [START - DAY, until + DAY], START) == (START,)
