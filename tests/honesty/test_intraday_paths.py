"""Bars cut from paths tell the variance of the paths, by every estimator that reads them."""

import numpy as np
import pytest
from scipy.stats import kstest

from benchmarks.honesty.garch import NIGHT
from benchmarks.honesty.intraday_paths import SHARES, STEPS, log_bars, price_frame

BARS, SYMBOLS, VARIANCE = 20_000, 3, 0.0004


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(8)
    moves = rng.normal(size=(BARS, SYMBOLS, 1 + STEPS)) * np.sqrt(VARIANCE * SHARES)
    return log_bars(moves, np.full((BARS, SYMBOLS), VARIANCE), rng)


def garman_klass(bars):
    up, down, end = bars.high - bars.open, bars.low - bars.open, bars.close - bars.open
    return 0.511 * (up - down) ** 2 - 0.019 * (end * (up + down) - 2 * up * down) - 0.383 * end**2


def test_estimators_of_a_days_variance_find_it(bars):
    day = (1 - NIGHT) * VARIANCE
    up, down, end = bars.high - bars.open, bars.low - bars.open, bars.close - bars.open
    parkinson = (up - down) ** 2 / (4 * np.log(2))
    rogers_satchell = up * (up - end) + down * (down - end)
    for estimate in (parkinson, garman_klass(bars), rogers_satchell):
        assert estimate.mean() == pytest.approx(day, rel=0.01)
    assert (up - down).mean() == pytest.approx(np.sqrt(8 * day / np.pi), rel=0.005)
    gap = bars.open[1:] - bars.close[:-1]
    assert gap.var() == pytest.approx(NIGHT * VARIANCE, rel=0.02)


def test_ranges_know_seven_times_what_closes_do(bars):
    # Garman and Klass (Journal of Business 1980): an efficiency of 7.4 in continuous time.
    closes = (bars.close - bars.open) ** 2
    assert closes.var() / garman_klass(bars).var() == pytest.approx(7.4, abs=0.4)


@pytest.mark.parametrize("side", [1, -1])
def test_extremes_given_the_close_have_the_law_of_a_brownian_path(bars, side):
    # A path with variance v that ends at c passes m with probability exp(-2 m (m - c) / v).
    end = side * (bars.close - bars.open).ravel()
    extreme = side * ((bars.high if side > 0 else bars.low) - bars.open).ravel()
    passed = np.exp(-2 * extreme * (extreme - end) / ((1 - NIGHT) * VARIANCE))
    assert kstest(passed, "uniform").pvalue > 0.001


def test_a_frame_begins_at_fifty_and_keeps_the_bars(bars):
    frame = price_frame(bars, np.random.default_rng(0))
    assert len(frame) == BARS * SYMBOLS
    second = frame[frame["symbol"] == "SYM01"]
    assert np.log(second["close"].to_numpy() / 50) == pytest.approx(bars.close[:, 1], abs=1e-9)
    assert (second["timestamp"].dt.dayofweek < 5).all()
