"""A combination is made of what told the most inside its window, and of all where that is open."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.features.variance import state_names
from forecasting.models.candidates import make_forecaster
from forecasting.models.members import choose_members, largest_as_good, qlike
from forecasting.models.quantiles import KNOTS
from forecasting.models.training_set import Window
from forecasting.models.width import PARTS

KIND = "har_combination"
PARAMS = {**make_forecaster(KIND).params, "n_estimators": 20}
NAMES = (*(f"variance_ratio_{place + 1}" for place in range(4)), *state_names((0.9,)))


def window_of(bars=600, symbols=4, *, of_state, seed=0):
    """Returns whose volatility the state tells, or the other features; the rest is noise.

    The logs of realised volatility tell it in the latter case only.
    """
    random = np.random.default_rng(seed)
    rows = bars * symbols
    x = random.normal(size=(rows, len(NAMES))).astype(np.float32)
    x[:, 4] *= 0.1
    x[:, 6] = x[:, 5] - np.float32(math.log(2))
    true = np.repeat(0.5 * (x[:, [5]] if of_state else x[:, [0]]), len(KNOTS), axis=1)
    realised = random.normal(scale=0.3, size=true.shape) + (0.0 if of_state else true)
    returns = np.exp(true) * random.normal(size=true.shape)
    times = np.tile(np.arange(bars, dtype=np.int64), symbols)
    codes = np.repeat(np.arange(symbols, dtype=np.int32), bars)
    return Window(x, np.hstack([realised, returns]), times, codes, NAMES)


def chosen(window, words=None):
    say = (lambda _: None) if words is None else words.append
    return choose_members(KIND, window, params=PARAMS, seed=1, threads=1, report=say)


def test_the_recursion_alone_is_taken_where_it_alone_tells_the_returns():
    words = []
    found = chosen(window_of(of_state=True), words)
    assert (found.members, found.trials) == (("garch",), 7)
    assert words == [
        "har_combination: choosing among ridge, xgboost, garch",
        "har_combination: made of garch",
    ]


def test_the_recursion_is_left_out_where_it_tells_nothing():
    assert "garch" not in chosen(window_of(of_state=False)).members


def test_returns_outside_the_windows_own_folds_do_not_change_the_choice():
    window = window_of(of_state=True)
    first = min(fold.test_start for fold in window.folds())
    other = window.z.copy()
    other[window.timestamps >= first, len(KNOTS) :] = np.nan
    blind = Window(window.x, other, window.timestamps, window.codes, NAMES)
    # Without a return to judge by there is no evidence, so it is made of all.
    assert chosen(blind).members == tuple(PARTS[KIND])


@pytest.mark.parametrize("bars", [60, 88])
def test_a_window_too_short_to_choose_in_takes_all_and_says_so(bars):
    words = []
    found = chosen(window_of(bars, of_state=True), words)
    assert (found.members, found.trials) == (tuple(PARTS[KIND]), 1)
    assert "made of all, as the history is too short to choose" in words[-1]


def test_the_loss_is_that_of_patton_at_the_best_level_of_each_knot():
    random = np.random.default_rng(2)
    log_width, returns = random.normal(size=(2, 40, len(KNOTS)))
    returns[7, 3] = np.nan
    loss = qlike(log_width, returns)
    assert np.flatnonzero(np.isnan(loss)).tolist() == [7]

    def at(levels):
        total = 0.0
        for row in range(40):
            for knot in range(len(KNOTS)):
                if row != 7:
                    variance = levels[knot] * math.exp(2 * log_width[row, knot])
                    total += math.log(variance) + returns[row, knot] ** 2 / variance
        return total / 39 / len(KNOTS)

    known = np.arange(40) != 7
    best = np.mean((returns[known] / np.exp(log_width[known])) ** 2, axis=0)
    assert np.nanmean(loss) == pytest.approx(at(best))
    for factor in (0.9, 1.1):
        assert at(best * factor) > at(best)


@given(level=st.floats(-3, 3), noise=st.floats(0.3, 1.0))
def test_the_level_of_a_width_does_not_matter_and_noise_in_it_does(level, noise):
    random = np.random.default_rng(3)
    true = random.normal(scale=0.5, size=(2_000, len(KNOTS)))
    returns = np.exp(true) * random.normal(size=true.shape)
    loss = qlike(true, returns)
    assert qlike(true + level, returns) == pytest.approx(loss)
    noisy = true + noise * random.normal(size=true.shape)
    assert qlike(noisy, returns).mean() > loss.mean()


def test_a_smaller_combination_needs_evidence():
    random = np.random.default_rng(4)
    times = np.repeat(np.arange(900), 2)
    base = random.normal(size=1_800)
    all_three, two, one = ("a", "b", "c"), ("a", "b"), ("a",)

    def choice(gain_of_two, gain_of_one):
        losses = {
            one: base - gain_of_one + 0.1 * random.normal(size=1_800),
            two: base - gain_of_two + 0.1 * random.normal(size=1_800),
            all_three: base,
        }
        return largest_as_good(losses, times)

    assert choice(0.0, 0.0) == all_three
    assert choice(1e-4, 1e-4) == all_three
    assert choice(0.2, 0.0) == two
    assert choice(0.2, 0.4) == one
    assert choice(0.2, 0.2001) == two


def test_of_equally_large_combinations_the_one_of_the_lesser_loss_is_taken():
    loss = np.random.default_rng(5).normal(size=400)
    losses = {("a", "b"): loss + 1e-9, ("b", "c"): loss, ("c",): loss}
    assert largest_as_good(losses, np.arange(400)) == ("b", "c")
