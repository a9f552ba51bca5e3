"""Made-up prices have the momentum and the volatility they are said to have, at every strength."""

import numpy as np
import pytest

from benchmarks.honesty.random_walks import MEMORY, WALKS, correlation_at, simple_returns

BARS = 40_000


def returns(kind, signal, seed=5):
    return simple_returns(
        kind, symbols=2, bars=BARS, signal=signal, seed=np.random.SeedSequence(seed)
    )


@pytest.mark.parametrize("signal", [0.06, 0.18, 0.3])
def test_the_best_forecast_correlates_as_much_as_the_signal_says(signal):
    moves = returns("independent", signal)
    past = np.array([moves[bar - MEMORY : bar].sum(axis=0) for bar in range(MEMORY, BARS)])
    found = np.corrcoef(past[:, 0], moves[MEMORY:, 0])[0, 1]
    assert found == pytest.approx(signal, abs=0.02)
    assert correlation_at(signal, 1) == pytest.approx(signal)


def test_over_five_bars_a_regression_on_the_past_finds_what_is_said():
    moves = returns("independent", 0.18)[:, 0]
    rows = np.arange(MEMORY, BARS - 5)
    past = np.stack([moves[rows - lag] for lag in range(1, MEMORY + 1)], axis=1)
    ahead = sum(moves[rows + step] for step in range(5))
    fitted = past @ np.linalg.lstsq(past, ahead, rcond=None)[0]
    assert np.corrcoef(fitted, ahead)[0, 1] == pytest.approx(correlation_at(0.18, 5), abs=0.02)


@pytest.mark.parametrize("kind", WALKS)
def test_momentum_does_not_change_how_far_prices_swing(kind):
    still, moving = returns(kind, 0.0), returns(kind, 0.3)
    assert moving.std() == pytest.approx(still.std(), rel=0.05)
    assert np.abs(moving).max() < 2 * np.abs(still).max()
    halves = np.split(moving, 2)
    assert halves[0].std() == pytest.approx(halves[1].std(), rel=0.1)
