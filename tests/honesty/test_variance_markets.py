"""Markets move as far as the variance that is told with them, and that moves as it is said to."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest
from scipy.stats import t as student

from benchmarks.honesty.log_variance import matern_correlation
from benchmarks.honesty.random_walks import COMMON
from benchmarks.honesty.variance_markets import (
    DEGREES,
    FACTORS,
    HURST,
    KINDS,
    MEMORY,
    ROUGH_DEVIATION,
    variance_market,
)
from forecasting.features.indicators import ewma_volatility


def market(kind, *, symbols=4, bars=1_500, seed=11):
    return variance_market(kind, symbols=symbols, bars=bars, seed=np.random.SeedSequence(seed))


def log_returns(made):
    close = np.log(made.prices["close"].to_numpy()).reshape(made.variance.shape[::-1]).T
    return np.diff(close, axis=0, prepend=np.log(50.0))


@pytest.fixture(scope="module", params=KINDS)
def wide(request):
    """Each kind with its moments' worth of bars."""
    return request.param, market(request.param, symbols=8, bars=8_000)


def test_returns_over_the_true_volatility_are_shocks_that_symbols_share(wide):
    _, made = wide
    shocks = log_returns(made) / np.sqrt(made.variance)
    assert shocks.mean() == pytest.approx(0.0, abs=0.03)
    assert (shocks**2).mean() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(shocks.T)[0, 1:] == pytest.approx(COMMON, abs=0.05)


def test_what_is_expected_of_the_bars_ahead_comes_true_on_average(wide):
    _, made = wide
    assert made.ahead[:-1, :, 0] == pytest.approx(made.variance[1:], rel=1e-9)
    for horizon in (5, 30):
        came = np.lib.stride_tricks.sliding_window_view(made.variance[1:], horizon, axis=0).sum(-1)
        ratio = came / made.ahead[:-horizon, :, horizon - 1]
        assert ratio.mean() == pytest.approx(1.0, abs=0.04)


def test_falling_prices_raise_the_variance_where_it_is_said(wide):
    kind, made = wide
    if kind == "constant":
        assert np.ptp(made.variance, axis=0) == pytest.approx(0.0, abs=1e-15)
        return
    shocks = log_returns(made)[:-1] / np.sqrt(made.variance[:-1])
    found = np.corrcoef(shocks.ravel(), np.diff(np.log(made.variance), axis=0).ravel())[0, 1]
    if kind == "ewma":
        assert abs(found) < 0.03
    else:
        assert found < -0.1


def test_the_ewma_market_is_the_platforms_own_scale():
    made = market("ewma")
    for symbol, returns in enumerate(log_returns(made).T):
        scale = ewma_volatility(np.concatenate([[np.nan], returns]))[1:]
        assert made.variance[301:, symbol] == pytest.approx(scale[300:-1] ** 2, rel=1e-6)


def test_the_gjr_market_follows_its_recursion():
    made = market("gjr")
    for returns, variance in zip(log_returns(made).T, made.variance.T, strict=True):
        square = returns[:-1] ** 2
        known = np.stack(
            [np.ones(len(square)), square, square * (returns[:-1] < 0), variance[:-1]], axis=1
        )
        size = np.abs(known).max(axis=0)
        fitted = np.linalg.lstsq(known / size, variance[1:], rcond=None)[0]
        assert known / size @ fitted == pytest.approx(variance[1:], rel=1e-6)
        omega, alpha, gamma, beta = fitted / size
        assert -1e-6 <= alpha <= 0.04
        assert 0.06 <= gamma <= 0.16
        persistence = alpha + gamma / 2 + beta
        assert 0.96 <= persistence <= 0.99
        assert 0.01 <= np.sqrt(omega / (1 - persistence)) <= 0.025


CORRELATIONS = {
    "stochastic": lambda lag: sum(d**2 * (1 - p**lag) for p, d in FACTORS),
    "rough": lambda lag: (
        ROUGH_DEVIATION**2 * (1 - matern_correlation(np.array([float(lag)]), HURST, MEMORY)[0])
    ),
}


@pytest.mark.parametrize("kind", CORRELATIONS)
def test_log_variance_forgets_as_its_closed_form_says(kind):
    logarithm = np.log(market(kind, symbols=12, bars=12_000).variance)
    for lag in (1, 10, 100):
        found = np.mean((logarithm[lag:] - logarithm[:-lag]) ** 2) / 2
        assert found == pytest.approx(CORRELATIONS[kind](lag), rel=0.06)
    moves = np.diff(logarithm, axis=0)
    assert np.corrcoef(moves.T)[0, 1:] == pytest.approx(COMMON, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_bytes(kind):
    seed = np.random.SeedSequence(5)
    first, again = (variance_market(kind, symbols=2, bars=60, seed=seed) for _ in range(2))
    other = market(kind, symbols=2, bars=60, seed=6)
    assert first.prices.equals(again.prices)
    assert first.variance.tobytes() == again.variance.tobytes()
    assert first.ahead.tobytes() == again.ahead.tobytes()
    assert not first.prices.equals(other.prices)


def test_shocks_of_the_gjr_market_are_students():
    made = market("gjr", symbols=1, bars=20_000)
    shocks = log_returns(made).ravel() / np.sqrt(made.variance.ravel())
    assert kstest(shocks, student(DEGREES, scale=np.sqrt(1 - 2 / DEGREES)).cdf).pvalue > 0.001


def test_a_wild_days_path_is_wild_between_its_stretches_too():
    shares = []
    for kind in ("constant", "gjr"):
        prices = np.log(
            market(kind, symbols=1, bars=30_000).prices[["open", "high", "low", "close"]]
        )
        shares.append((prices["close"] - prices["open"]).abs() / (prices["high"] - prices["low"]))
    assert ks_2samp(*shares).pvalue > 0.001
