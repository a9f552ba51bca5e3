"""A direction is believed as far as earlier rows bear it out, and no further than luck allows."""

import math

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bundle.onnx_writer import to_onnx
from forecasting.models.candidates import make_forecaster
from forecasting.models.cross_validation import label_ends, walk_forward
from forecasting.models.quantiles import KNOTS
from forecasting.models.shrinkage import shrink_factor, shrink_walk, slopes, width_slopes

DAY = 86_400 * 10**9
K = len(KNOTS)


def panel(seed=0, bars=300, symbols=3, truth=1.0):
    """Locations, and returns that lean on them by `truth`; the ends of the symbols not known."""
    random = np.random.default_rng(seed)
    times = np.tile(np.arange(bars, dtype=np.int64) * DAY, symbols)
    codes = np.repeat(np.arange(symbols, dtype=np.int32), bars)
    loc = random.normal(scale=0.5, size=(bars * symbols, K))
    knots = truth * loc + random.standard_t(5, size=loc.shape)
    place = np.tile(np.arange(bars), symbols)
    knots[place[:, None] >= bars - np.array(KNOTS)] = np.nan
    return loc, knots, times, codes


def slow_variance(series, horizon):
    """Variance of a sum's mean term: the slowest cosines one by one."""
    periods = len(series)
    count = int(min(0.4 * periods ** (2 / 3), periods / (2 * horizon)))
    squares = []
    for wave in range(1, count + 1):
        total = sum(
            math.cos(math.pi * wave * (t + 0.5) / periods) * value for t, value in enumerate(series)
        )
        squares.append(2 / periods * total**2)
    return sum(squares) / count if count >= 2 else math.nan


def slow_slopes(loc, knots, times):
    """`slopes`, row by row."""
    answer = []
    for knot, horizon in enumerate(KNOTS):
        rows = [row for row in range(len(loc)) if math.isfinite(knots[row, knot])]
        product = sum(loc[row, knot] * knots[row, knot] for row in rows)
        size = sum(loc[row, knot] ** 2 for row in rows)
        slope = product / size
        scores = {}
        for row in rows:
            error = knots[row, knot] - slope * loc[row, knot]
            scores[times[row]] = scores.get(times[row], 0.0) + loc[row, knot] * error
        series = [scores[instant] for instant in sorted(scores)]
        variance = slow_variance(series, horizon) * len(series) / size**2
        if slope <= 0 or not variance < slope**2:
            answer.append(0.0)
        else:
            answer.append(min(slope - variance / slope, 1.0))
    return answer


@pytest.mark.parametrize("truth", [0.0, 0.4, 1.0])
def test_slopes_are_those_of_a_loop_over_rows(truth):
    loc, knots, times, codes = panel(truth=truth)
    found = slopes(loc, knots, times, codes)
    assert found == pytest.approx(slow_slopes(loc, knots, times), rel=1e-9)
    assert truth in {0.0, 1.0} or ((found > 0) & (found < 1)).any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    bars=st.integers(1, 200),
    truth=st.floats(-3, 3),
    unit=st.floats(0.01, 100),
)
def test_slopes_lie_between_nothing_and_all_and_do_not_depend_on_the_unit(seed, bars, truth, unit):
    loc, knots, times, codes = panel(seed, bars, truth=truth)
    found = slopes(loc, knots, times, codes)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.allclose(slopes(loc * unit, knots * unit, times, codes), found, rtol=1e-6, atol=1e-9)
    order = np.random.default_rng(seed).permutation(len(loc))
    assert np.allclose(
        slopes(loc[order], knots[order], times[order], codes[order]), found, rtol=1e-6, atol=1e-9
    )


def test_forecasts_of_nothing_and_forecasts_turned_around_are_not_believed():
    loc, knots, times, codes = panel(truth=-1.0)
    assert (slopes(loc, knots, times, codes) == 0).all()
    assert (slopes(loc * 0, knots, times, codes) == 0).all()
    assert (slopes(loc, knots * np.nan, times, codes) == 0).all()


def test_a_forecast_of_one_period_alone_is_not_believed():
    loc, knots, times, codes = panel()
    loc[times != 40 * DAY] = 0
    knots[times == 40 * DAY] = loc[times == 40 * DAY]
    assert slopes(loc, knots, times, codes).tolist() == [0] * K


def test_locations_that_are_luck_mostly_go_and_those_that_are_right_stay():
    luck = np.mean([slopes(*panel(seed, 600, truth=0.0)) for seed in range(20)], axis=0)
    right = np.mean([slopes(*panel(seed, 600, truth=1.0)) for seed in range(20)], axis=0)
    assert (luck < 0.05).all()
    assert (right > 0.85).all()


@pytest.mark.parametrize("estimate", [slopes, width_slopes])
def test_on_several_exchanges_they_are_those_of_the_same_panel_on_one(estimate):
    """Taken as closes, exchanges of a day are several observations, and luck is believed more."""
    if estimate is slopes:
        loc, knots, times, codes = panel(3, bars=600, symbols=6, truth=0.05)
    else:
        loc, knots, times, codes = widths(0.3, seed=3, symbols=6)
    one = estimate(loc, knots, times, codes)
    assert ((one > 0) & (one < 1)).any()
    for venues in (2, 3, 6):
        hours = codes % venues * (24 // venues)
        there = estimate(loc, knots, times + hours.astype(np.int64) * DAY // 24, codes)
        assert np.array_equal(there, one)


def test_trust_is_the_share_of_a_square_that_luck_does_not_explain():
    assert shrink_factor(3.0, 1.0) == pytest.approx(8 / 9)
    assert shrink_factor(-3.0, 1.0) == pytest.approx(8 / 9)
    assert (
        shrink_factor(1.0, 1.0)
        == shrink_factor(0.5, 1.0)
        == shrink_factor(0.0, 0.0)
        == shrink_factor(1.0, math.nan)
        == 0.0
    )
    assert shrink_factor(1.0, 0.0) == 1.0


def test_each_fold_takes_the_slopes_of_the_known_rows_before_it():
    loc, knots, times, codes = panel(bars=600, truth=0.3)
    steps = walk_forward(times, codes, folds=4)
    shrunk, last = shrink_walk(loc, knots, times, codes, steps)
    used = {}
    for step in steps[1:]:
        rows = [row for row in step.train if times[row] >= steps[0].test_start]
        used[step.number] = slopes(loc[rows], knots[rows], times[rows], codes[rows])
        assert np.array_equal(shrunk[step.test], loc[step.test] * used[step.number])
    assert np.array_equal(shrunk[steps[0].test], loc[steps[0].test] * used[2])
    tested = times >= steps[0].test_start
    assert np.array_equal(last, slopes(loc[tested], knots[tested], times[tested], codes[tested]))
    assert not np.array_equal(last, used[4])


def test_a_fold_is_not_shrunk_by_what_came_to_be_known_after_it_began():
    loc, knots, times, codes = panel(bars=600, truth=0.3)
    steps = walk_forward(times, codes, folds=4)
    start = steps[2].test_start
    other, garbled = loc.copy(), knots.copy()
    other[times > start] += 3.0
    for knot, horizon in enumerate(KNOTS):
        garbled[label_ends(times, codes, horizon) >= start, knot] = -5.0
    before, _ = shrink_walk(loc, knots, times, codes, steps)
    after, _ = shrink_walk(other, garbled, times, codes, steps)
    early = times <= start
    assert np.array_equal(before[early], after[early])
    assert not np.allclose(before[steps[3].test] + 3.0, after[steps[3].test])


@pytest.mark.parametrize("kind", ["ridge", "random_forest", "xgboost"])
def test_the_export_is_shrunk_as_the_model_is(kind):
    random = np.random.default_rng(3)
    x = random.normal(size=(1_500, 6)).astype(np.float32)
    model = make_forecaster(kind).fit(x, x[:, [0]] + 0.2 + random.normal(size=(1_500, K)), seed=1)
    whole = model.locate(x)
    model.slopes = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
    assert np.array_equal(model.locate(x), whole * model.slopes)
    session = onnxruntime.InferenceSession(
        to_onnx(model, 6, range(6)), providers=["CPUExecutionProvider"]
    )
    exported = session.run(None, {"features": x})[0]
    assert np.abs(exported - model.locate(x)).max() < 1e-5
    assert (exported[:, -1] == 0).all()


def widths(truth, seed=0, bars=600, symbols=3):
    """Logs of widths, and returns that are as much wider as `truth` times they say."""
    random = np.random.default_rng(seed)
    times = np.tile(np.arange(bars, dtype=np.int64) * DAY, symbols)
    codes = np.repeat(np.arange(symbols, dtype=np.int32), bars)
    log_width = random.normal(scale=0.35, size=(bars * symbols, K))
    knots = np.exp(truth * log_width) * random.standard_t(6, size=log_width.shape)
    return log_width, knots, times, codes


def test_widths_that_returns_bear_out_are_believed_and_noise_is_not():
    log_width, knots, times, codes = widths(1.0)
    believed = width_slopes(log_width, knots, times, codes)
    assert 0.6 < believed[0] <= 1.0
    for truth in (0.0, -1.0):
        assert width_slopes(*widths(truth)).max() < 0.3
    half = width_slopes(*widths(0.5))
    assert (half < believed).all()
    assert (half > 0.2).all()


def test_one_slope_is_taken_for_all_horizons_that_of_the_next_bar():
    """Thirty bars ahead few outcomes are known, and a good width would be lost among their luck."""
    log_width, knots, times, codes = widths(1.0)
    believed = width_slopes(log_width, knots, times, codes)
    assert (believed == believed[0]).all()
    luck = np.random.default_rng(6).standard_t(4, size=knots.shape)
    luck[:, 0] = knots[:, 0]
    assert np.array_equal(width_slopes(log_width, luck, times, codes), believed)


def test_a_width_that_never_changes_is_left_alone():
    log_width, knots, times, codes = widths(1.0)
    assert (width_slopes(log_width * 0, knots, times, codes) == 0).all()
    assert (width_slopes(log_width, knots * np.nan, times, codes) == 0).all()


def test_the_walks_widths_are_shrunk_by_earlier_folds_alone():
    log_width, knots, times, codes = widths(1.0)
    steps = walk_forward(times, codes, folds=4)
    before, _ = shrink_walk(log_width, knots, times, codes, steps, widths=True)
    start = steps[-1].test_start
    garbled = knots.copy()
    for knot, horizon in enumerate(KNOTS):
        garbled[label_ends(times, codes, horizon) >= start, knot] = 9.0
    after, _ = shrink_walk(log_width, garbled, times, codes, steps, widths=True)
    assert np.array_equal(before, after)
    assert not np.array_equal(before[steps[-1].test], log_width[steps[-1].test])
