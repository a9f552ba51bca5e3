"""Coins are fair, bars of tossed coins are bars, and only a feature that looks ahead knows one."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.leakage.coins import LIMIT, known_coins, toss
from forecasting.leakage.strata import Rows
from forecasting.prices.adjustment import adjust
from tests.unit.forecasting.leakage.test_checks import describe
from tests.unit.panels import panel

YEARS = panel(bars=900)
ROWS = Rows.of(YEARS)
REAL = describe(YEARS)
TOSSED = toss(YEARS, ROWS, np.random.default_rng(4))
TABLE = describe(TOSSED.prices)


def with_values(name, values):
    changed = TABLE.values.copy()
    changed[:, TABLE.names.index(name)] = values
    return replace(TABLE, values=changed)


def test_a_coin_decides_which_way_all_bars_of_an_instant_go_and_how_far():
    def moves(prices):
        close = np.log(adjust(prices)["close"])
        return close.groupby(prices["symbol"]).diff().to_numpy()

    real, drawn = moves(YEARS), moves(TOSSED.prices)
    way, size, _ = TOSSED.coins[:, TOSSED.place]
    known = np.isfinite(real)
    expected = way * np.abs(real) * (1.0 + 0.5 * size)
    np.testing.assert_allclose(drawn[known], expected[known], atol=1e-9)


def test_bars_of_tossed_coins_are_valid_and_keep_their_calendar_and_splits():
    prices = TOSSED.prices
    for name in ("open", "close"):
        assert (prices["high"] >= prices[name] * (1 - 1e-12)).all()
        assert (prices["low"] <= prices[name] * (1 + 1e-12)).all()
    for name in ("symbol", "timestamp", "session", "split"):
        assert prices[name].equals(YEARS[name])


def test_honest_features_know_no_coin():
    for seed in range(5):
        tossed = toss(YEARS, ROWS, np.random.default_rng(seed))
        assert known_coins(tossed, ROWS, describe(tossed.prices), REAL) == ""


@pytest.mark.parametrize(("coin", "told"), [(0, "direction"), (1, "size"), (2, "volume")])
def test_a_feature_that_holds_the_next_coin_is_found_and_the_coin_told(coin, told):
    following = np.roll(TOSSED.coins[coin, TOSSED.place], -1)
    found = known_coins(TOSSED, ROWS, with_values("overnight_gap", 0.02 * following), REAL)
    assert f"overnight_gap knows the {told} of the bar 1 ahead" in found


def test_a_feature_that_holds_past_coins_only_is_honest():
    past = TOSSED.coins[0, TOSSED.place]
    assert known_coins(TOSSED, ROWS, with_values("overnight_gap", 0.02 * past), REAL) == ""


def test_the_largest_of_all_sums_of_honest_features_stays_below_the_limit():
    from forecasting.leakage.coins import _groups, _standardised, _sums
    from forecasting.leakage.strata import Levels

    holds = Levels.of_instants(TOSSED.instants).members()
    values = _standardised(TABLE, REAL)
    sums = [_sums(values, one, TOSSED, holds)[0].max() for one in _groups(TOSSED, ROWS, REAL)]
    assert 3.0 < max(sums) < LIMIT - 1.0
