"""A fortune that bets against a true hypothesis is expected to shrink, whenever one stops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.errors import InvalidInput
from forecasting.live.e_process import RENEWAL, STAKES, wealth

PAYOFFS = arrays(np.float64, st.integers(0, 30), elements=st.floats(-1, 20))


def slow_wealth(payoffs, lag):
    """The same bets, one fortune at a time: after payoff i, open stakes lost."""
    fortunes = [[1 / lag / len(STAKES)] * len(STAKES) for _ in range(lag)]
    path = []
    for number, payoff in enumerate(payoffs):
        own = number % lag
        paid = [f * (1 + s * payoff) for f, s in zip(fortunes[own], STAKES, strict=True)]
        others = [
            f * (1 - s)
            for place in range(lag)
            if place != own
            for f, s in zip(fortunes[place], STAKES, strict=True)
        ]
        path.append(sum(paid) + sum(others))
        fortunes[own] = [(1 - RENEWAL) * f + RENEWAL * sum(paid) / len(STAKES) for f in paid]
    return path


def best_expected_stop(shocks, lag, path=()):
    """The most that stopping at any time can be expected to yield, for somebody who knows all shocks.

    A payoff is the product of the signs of the `lag` shocks after its bar, so its last one decides
    and the earlier ones are known while the bet is open; from the outcome of all shocks back.
    """
    bars = shocks - lag + 1
    paid = [np.prod(path[i : i + lag]) for i in range(max(0, len(path) - lag + 1))]
    now = wealth(np.array(paid, dtype=np.float64), lag)[-1] if paid else 0.0
    if len(paid) == bars:
        return now
    later = np.mean([best_expected_stop(shocks, lag, (*path, shock)) for shock in (-1.0, 1.0)])
    return max(now, later)


@given(PAYOFFS, st.integers(1, 6))
def test_wealth_is_what_bets_one_by_one_come_to_and_never_negative(payoffs, lag):
    path = wealth(payoffs, lag)
    assert path == pytest.approx(slow_wealth(payoffs, lag), rel=1e-9, abs=1e-12)
    assert (path >= 0).all()


def test_one_bet_pays_the_mean_of_its_stakes():
    assert wealth(np.array([0.5]))[0] == pytest.approx(1 + 0.5 * np.mean(STAKES))


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_no_way_of_stopping_is_expected_to_gain_while_the_hypothesis_holds(lag):
    assert best_expected_stop(9, lag) <= 1 + 1e-12


def payoff_of(shocks, bar):
    """Half is known a bar after the bet, the rest a bar later."""
    return (shocks[bar] + shocks[bar + 1]) / 2


def best_of_sums(bars, path=()):
    paid = [payoff_of(path, bar) for bar in range(max(0, len(path) - 1))]
    now = wealth(np.array(paid), 2)[-1] if paid else 0.0
    if len(paid) == bars:
        return now
    return max(now, np.mean([best_of_sums(bars, (*path, shock)) for shock in (-1.0, 1.0)]))


def test_half_known_outcomes_of_overlapping_bets_are_no_gain_either():
    assert best_of_sums(8) <= 1 + 1e-12


def test_a_fair_game_makes_rich_no_more_often_than_the_limit_says():
    rich = sum(wealth(np.array(signs)).max() >= 4 for signs in product((-1.0, 1.0), repeat=12))
    assert 0 < rich / 2**12 <= 1 / 4


def test_a_change_after_good_years_is_still_seen():
    path = wealth(np.concatenate([np.full(2_000, -0.3), np.full(60, 0.5)]))
    assert path[1_999] < 1
    assert path[-1] / path[1_999] > 1_000


def test_bars_without_a_bet_change_nothing():
    sure = np.array([0.5, -0.5, 1.0])
    gaps = np.array([0.5, np.nan, -0.5, np.nan, 1.0])
    assert wealth(gaps)[-1] == pytest.approx(wealth(sure)[-1], rel=0.01)
    assert not len(wealth(np.array([])))


def test_a_payoff_that_loses_more_than_its_stake_is_refused():
    with pytest.raises(InvalidInput, match="more than what is staked"):
        wealth(np.array([0.1, -1.5]))
