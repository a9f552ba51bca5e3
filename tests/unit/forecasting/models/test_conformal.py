"""Feedback on intervals against a slow twin, and what it guarantees whatever the returns do."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import ShortHistory
from forecasting.models.conformal import (
    FEWEST_RESIDUALS,
    MOST_STRETCH,
    STEP,
    Schedule,
    quantiles_of,
    recalibrate,
)
from forecasting.models.cross_validation import walk_forward
from forecasting.models.quantiles import GRID, KNOTS, interpolation_matrix

DAY = 86_400 * 10**9
WEEK = 7 * DAY
H = 30
P05, P50, P95 = 5, 50, 95  # columns of the grid


def walk_of(lengths=(900, 400), gaps=(1, 2), folds=4, seed=0, shock=1.0, learned=0.05):
    """Standardised returns of symbols on their own clocks, with overlapping horizons.

    From the middle of the longest history on, bars are `shock` times as wild as the scale knows.
    """
    random = np.random.default_rng(seed)
    times, codes, z = [], [], []
    for code, (length, gap) in enumerate(zip(lengths, gaps, strict=True)):
        own = (10_000 - gap * np.arange(length, 0, -1)) * DAY
        bars = random.standard_t(5, length) * 0.77
        bars[own > (10_000 - lengths[0] // 2) * DAY] *= shock
        path = np.cumsum(bars)
        ahead = np.full((length, H), np.nan)
        for h in range(1, H + 1):
            ahead[:-h, h - 1] = (path[h:] - path[:-h]) / math.sqrt(h)
        times.append(own)
        codes.append(np.full(length, code, dtype=np.int32))
        z.append(ahead)
    times, codes, z = np.concatenate(times), np.concatenate(codes), np.concatenate(z)
    steps = walk_forward(times, codes, folds=folds)
    loc = learned * random.normal(size=(len(z), len(KNOTS)))
    return times, codes, z, loc, steps, Schedule.of(times, codes, steps, H)


def slow_twin(times, codes, z, loc, steps, horizon, step_size=STEP):
    """One horizon, row by row: {row: (lowest and highest published quantile)}, and the misses."""
    residual = z[:, horizon - 1] - loc @ interpolation_matrix(H)[:, horizon - 1]
    tested = [row for step in steps for row in step.test]
    breadth = len(tested) / len({times[row] // DAY for row in tested})
    closes_at = {}
    for row in range(len(z)):
        later = [
            times[other]
            for other in range(row + 1, min(row + horizon + 1, len(z)))
            if codes[other] == codes[row]
        ]
        if len(later) == horizon:
            closes_at[row] = later[-1]
    bands, factor_of, fed, log_stretch = {}, {}, set(), 0.0
    missed = {}
    for step in steps:
        base = None
        for week in range(10_000):
            begins = step.test_start + week * WEEK
            if begins >= step.test_stop:
                break
            rows = [r for r in step.test if begins <= times[r] < begins + WEEK]
            if not rows:
                continue
            moves = 0.0
            for row in bands:
                if row not in fed and row in closes_at and closes_at[row] < begins:
                    fed.add(row)
                    moves += (missed[row] - 0.1) / 2
            log_stretch += step_size / math.sqrt(horizon) * moves / breadth
            for row in rows:
                factor_of[row] = math.exp(log_stretch)
            if step.number == 1:
                continue
            if base is None:
                known = [r for r in step.train if r in factor_of and times[r] < step.test_start]
                units = [abs(residual[r]) / factor_of[r] for r in known]
                base = np.quantile(units, 0.9, method="weibull")
            half = base * math.exp(log_stretch)
            for row in rows:
                bands[row] = (-half, half)
                missed[row] = abs(residual[row]) > half
    return bands


@pytest.mark.parametrize("horizon", [1, 10])
def test_every_band_is_that_of_a_loop_over_rows(horizon):
    times, codes, z, loc, steps, schedule = walk_of(shock=2.0)
    expected = slow_twin(times, codes, z, loc, steps, horizon)
    found = {
        row: (calibration[horizon - 1, P05], calibration[horizon - 1, P95])
        for rows, calibration in recalibrate(z, loc, steps, schedule).spans
        for row in rows
    }
    assert found.keys() == expected.keys()
    for row, band in expected.items():
        assert found[row] == pytest.approx(band, rel=1e-9)
    assert len(set(expected.values())) > 20


def test_symbols_of_a_day_are_missed_together_on_whatever_exchanges():
    """Counted by closes, the feedback would be as many times too strong as there are exchanges."""
    times, codes, z, loc, steps, schedule = walk_of((900, 900, 900), (1, 1, 1), shock=2.0)
    assert schedule.breadth == 3.0
    later = times + codes.astype(np.int64) * 8 * DAY // 24
    steps = walk_forward(later, codes, folds=4)
    apart = Schedule.of(later, codes, steps, H)
    assert apart.breadth == pytest.approx(3.0, rel=0.01)
    expected = slow_twin(later, codes, z, loc, steps, 5)
    for rows, calibration in recalibrate(z, loc, steps, apart).spans:
        for row in rows:
            assert calibration[4, P95] == pytest.approx(expected[row][1], rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), growth=st.floats(0.5, 2.0), drift=st.floats(-0.3, 0.3))
def test_the_share_missed_is_bounded_by_the_stretch_whatever_the_returns_do(seed, growth, drift):
    _times, _codes, z, loc, steps, schedule = walk_of((1_100,), (1,), seed=seed)
    z = z * np.linspace(1.0, growth, len(z))[:, None] + drift
    walked = recalibrate(z, loc, steps, schedule)
    residual = z - loc @ interpolation_matrix(H)
    misses, seen = np.zeros(H), np.zeros(H)
    for rows, calibration in walked.spans:
        came = np.isfinite(residual[rows])
        misses += ((np.abs(residual[rows]) > calibration[:, P95]) & came).sum(axis=0)
        seen += came.sum(axis=0)
    moved = walked.stretch[-1] * np.sqrt(np.arange(1, H + 1)) / STEP
    uncapped = (np.abs(walked.stretch) < math.log(MOST_STRETCH)).all(axis=0)
    assert uncapped.mean() > 0.9
    excess = misses - 0.1 * seen
    assert np.allclose(excess[uncapped], 2 * moved[uncapped], atol=1e-6)


def test_a_recalibration_does_not_know_what_happened_after_it_began():
    times, codes, z, loc, steps, schedule = walk_of()
    cut = (steps[2].test_start + steps[2].test_stop) // 2
    garbled, other = z.copy(), loc.copy()
    for h in range(1, H + 1):
        for code in (0, 1):
            own = np.flatnonzero(codes == code)
            late = own[:-h][times[own[h:]] >= cut]
            garbled[late, h - 1] = 9.0
    other[times > cut] = 3.0
    before = recalibrate(z, loc, steps, schedule)
    after = recalibrate(garbled, other, steps, schedule)
    same = [
        np.array_equal(one[1], two[1])
        for one, two in zip(before.spans, after.spans, strict=True)
        if times[one[0]].min() <= cut
    ]
    assert len(same) > 20
    assert all(same)
    assert not np.array_equal(before.final, after.final)


def test_without_feedback_every_fold_keeps_the_quantiles_of_the_folds_before():
    times, _codes, z, loc, steps, schedule = walk_of()
    spans = recalibrate(z, loc, steps, schedule, step_size=0.0).spans
    for step in steps[1:]:
        earlier = step.train[times[step.train] >= steps[0].test_start]
        expected = quantiles_of(z[earlier] - loc[earlier] @ interpolation_matrix(H))
        mine = [calibration for rows, calibration in spans if rows[0] in step.test]
        assert len(mine) > 5
        assert all(np.allclose(one, expected) for one in mine)


def test_feedback_mends_most_of_what_a_change_no_scale_has_seen_would_break():
    _times, _codes, z, loc, steps, schedule = walk_of((3_000,), (1,), seed=3, shock=1.6)

    def covered(step_size):
        walked = recalibrate(z, loc * 0, steps, schedule, step_size=step_size)
        inside, known = np.zeros(H), np.zeros(H)
        for rows, calibration in walked.spans:
            known += np.isfinite(z[rows]).sum(axis=0)
            inside += (np.abs(z[rows]) <= calibration[:, P95]).sum(axis=0)
        return inside / known

    without, with_it = 0.9 - covered(0.0), 0.9 - covered(STEP)
    assert (without > 0.05).all()
    assert (np.abs(with_it) < without).all()
    assert np.abs(with_it).mean() < without.mean() / 2


def test_quantiles_rise_mirror_and_keep_a_median_of_zero():
    _, _, z, loc, steps, schedule = walk_of(shock=3.0)
    walked = recalibrate(z + 0.2, loc, steps, schedule)
    assert (np.diff(walked.final, axis=1) >= 0).all()
    for calibration in (walked.final, walked.spans[-1][1]):
        assert (calibration[:, P50] == 0).all()
        assert np.allclose(calibration, -calibration[:, ::-1])


def test_a_price_that_stands_still_and_then_moves_does_not_blow_the_bands_up():
    _, _, z, loc, steps, schedule = walk_of((1_100,), (1,))
    z[: steps[1].test[0]] *= 1e-6
    walked = recalibrate(z, loc * 0, steps, schedule, step_size=10.0)
    assert np.abs(walked.stretch).max() == pytest.approx(math.log(MOST_STRETCH))
    assert np.isfinite(walked.final).all()


def test_a_first_fold_too_short_to_calibrate_on_is_refused():
    _times, _codes, z, loc, steps, schedule = walk_of((150,), (1,), folds=2)
    with pytest.raises(ShortHistory, match="at horizon 1"):
        recalibrate(z, loc, steps, schedule)


def calibrate(z, loc):
    return quantiles_of(z - loc @ interpolation_matrix(H))


def draw(rows, seed=0, *, heavy=True):
    random = np.random.default_rng(seed)
    noise = random.standard_t(4, (rows, H)) if heavy else random.normal(size=(rows, H))
    return noise, random.normal(scale=0.1, size=(rows, len(KNOTS)))


def test_levels_are_the_order_statistics_of_the_absolute_residuals_and_their_mirror_image():
    z, loc = draw(199)
    calibration = calibrate(z, loc)
    residuals = z - loc @ interpolation_matrix(H)
    for row in range(H):
        ordered = sorted(abs(residuals[:, row]))
        for column, level in enumerate(GRID):
            place = round(abs(2 * level - 1) * 200)  # the p * (m + 1)-th, here a whole number
            half = ordered[place - 1] if place else 0.0
            expected = half if level > 0.5 else -half
            assert calibration[row, column] == pytest.approx(expected, abs=1e-12)


EARLIER = "dc79f9144fb1ef4cfe4839812fbd9d1d45ba5d927208290ba002c8eb4cc7ddae"
"""SHA-256 of what commit 2cfd5b1, whose grid was 0.01 to 0.99, made of the residuals below."""


def test_between_the_outermost_levels_quantiles_are_bit_for_bit_those_of_the_narrower_grid():
    steps = np.arange(1, 138)[:, None] * np.arange(1, 4)
    calibration = quantiles_of((steps * steps * 37 % 1009 - 500) / 128)
    inner = np.ascontiguousarray(calibration[:, 1:-1])
    assert hashlib.sha256(inner.tobytes()).hexdigest() == EARLIER
    assert (GRID[0], GRID[-1]) == (0.005, 0.995)
    assert (calibration[:, -1] > calibration[:, -2]).all()


@pytest.mark.parametrize("count", [FEWEST_RESIDUALS, 150, 1_000])
def test_the_outermost_levels_lie_among_the_residuals_however_few_there_are(count):
    z, _ = draw(count)
    ordered = np.sort(np.abs(z), axis=0)
    place = 0.99 * (count + 1)  # both tails together hold 1 %
    below, above = ordered[int(place) - 1], ordered[min(int(place), count - 1)]
    expected = below + (place - int(place)) * (above - below)
    np.testing.assert_allclose(quantiles_of(z)[:, -1], expected, rtol=1e-12)
    assert (quantiles_of(z)[:, -1] <= ordered[-1]).all()


def test_levels_rise_mirror_and_have_a_median_of_exactly_zero():
    z, loc = draw(137)
    calibration = calibrate(z + 0.3, loc)
    assert (np.diff(calibration, axis=1) >= 0).all()
    assert (calibration[:, P50] == 0).all()
    assert np.array_equal(calibration, -calibration[:, ::-1])
    within = np.abs(z + 0.3 - loc @ interpolation_matrix(H)) <= calibration[:, P95 : P95 + 1].T
    assert np.allclose(within.mean(axis=0), 0.9, atol=0.01)


def test_returns_that_are_not_known_yet_do_not_count():
    z, loc = draw(400)
    holed = z.copy()
    holed[-30:, :] = np.nan
    assert np.array_equal(calibrate(holed, loc), calibrate(z[:-30], loc[:-30]))


def test_new_residuals_fall_below_a_level_as_often_as_it_says():
    learned = calibrate(*draw(4_000, seed=1))
    z, loc = draw(20_000, seed=2)
    residuals = z - loc @ interpolation_matrix(H)
    for level in (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995):
        column = GRID.index(level)
        share = (residuals <= learned[:, column]).mean()
        assert share == pytest.approx(level, abs=0.01 if 0.01 < level < 0.99 else 0.001)


def test_too_few_residuals_are_refused_with_their_horizon():
    z, loc = draw(150)
    z[50:, 29] = np.nan
    with pytest.raises(ShortHistory, match="50 at horizon 30"):
        calibrate(z, loc)
