"""Targets: horizon returns against the slow twin, and the signal of hindsight."""

import math

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import InvalidSettings
from forecasting.features.targets import SignalRule, horizon_returns
from tests.unit import oracles
from tests.unit.panels import panel, walk


def test_horizon_returns_equal_the_slow_twin_symbol_by_symbol():
    prices = panel(bars=140)
    horizons = (1, 2, 5, 30)
    returns = horizon_returns(prices, horizons)
    assert returns.shape == (420, 4)
    for number, (_, rows) in enumerate(prices.groupby("symbol", sort=False)):
        worth = oracles.total_return_prices(
            rows["close"].tolist(), rows["dividend"].tolist(), rows["split"].tolist()
        )
        for column, horizon in enumerate(horizons):
            twin = [
                math.log(worth[t + horizon] / worth[t]) if t + horizon < 140 else math.nan
                for t in range(140)
            ]
            found = returns[number * 140 : (number + 1) * 140, column]
            np.testing.assert_allclose(found, twin, rtol=1e-9, atol=1e-13)


def test_a_horizon_longer_than_the_history_is_unknown_everywhere():
    assert np.isnan(horizon_returns(walk(bars=5), [5, 30])).all()


def test_a_return_does_not_reach_into_the_next_symbol():
    prices = pd.concat([walk("AAA", 10), walk("BBB", 10, seed=1)], ignore_index=True)
    returns = horizon_returns(prices, [3])[:, 0]
    assert np.flatnonzero(np.isnan(returns)).tolist() == [7, 8, 9, 17, 18, 19]


def test_a_horizon_below_one_bar_is_refused():
    with pytest.raises(InvalidSettings, match="at least 1 bar"):
        horizon_returns(walk(bars=5), [0])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"horizon": 0}, "horizon is 1 to 250"),
        ({"horizon": 251}, "horizon is 1 to 250"),
        ({"cost": -0.1}, "cost is a log return"),
        ({"threshold": 0.4}, "threshold is a probability"),
    ],
)
def test_a_signal_rule_that_makes_no_sense_is_refused(change, rule):
    with pytest.raises(InvalidSettings, match=rule):
        SignalRule(**change)
