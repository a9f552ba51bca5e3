from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.evaluation.backtest import (
    backtest_signals,
    buy_and_hold,
    max_drawdown,
    positions,
    run_backtest,
)
from forecasting.testing import planted_forecasts


@pytest.fixture(scope="module")
def walks():
    return planted_forecasts(signal=0, candidates=("ridge",), symbols=3, periods=400, seed=1)[
        "ridge"
    ]


def trade(forecasts, signals, **changes):
    options = {
        "name": "test", "keep": 1, "delay": 1, "unit_cost": 0.0, "allow_short": False, **changes,
    }  # fmt: skip
    return backtest_signals(forecasts, signals.astype(np.int8), **options)


def slow_account(forecasts, signals, *, keep, delay, unit_cost, allow_short):
    """The same account, one symbol and one bar at a time."""
    daily = {}
    for code in range(len(forecasts.symbols)):
        rows = np.flatnonzero(forecasts.codes == code)
        rows = rows[np.argsort(forecasts.timestamps[rows])]
        wanted, side, age = [], 0, 10**9
        for row in rows:
            age += 1
            if signals[row]:
                side, age = int(signals[row]), 0
            want = side if age < keep else 0
            wanted.append(want if allow_short else max(want, 0))
        before = 0
        for t, row in enumerate(rows):
            position = wanted[t - delay] if t >= delay else 0
            day = int(forecasts.timestamps[row] // 86_400_000_000_000)
            earned = position * (np.exp(float(forecasts.realised[row, 0])) - 1)
            paid = abs(position - before) * unit_cost
            daily[day] = daily.get(day, 0.0) + (earned - paid) / len(forecasts.symbols)
            before = position
    account, path = 1.0, []
    for day in sorted(daily):
        account *= 1 + daily[day]
        path.append(account)
    return np.array(path)


@pytest.mark.parametrize("delay", [0, 1, 2])
@pytest.mark.parametrize("allow_short", [False, True])
def test_the_account_equals_one_kept_bar_by_bar(walks, delay, allow_short):
    signals = np.random.default_rng(delay).choice([-1, 0, 0, 0, 1], len(walks)).astype(np.int8)
    options = {"keep": 5, "delay": delay, "unit_cost": 0.0005, "allow_short": allow_short}
    account = trade(walks, signals, **options)
    np.testing.assert_allclose(account.equity, slow_account(walks, signals, **options), rtol=1e-9)


def test_the_order_of_rows_does_not_matter(walks):
    rng = np.random.default_rng(3)
    signals = rng.choice([-1, 0, 1], len(walks))
    mixed = rng.permutation(len(walks))
    fields = ("codes", "timestamps", "fold", "close", "scale", "loc", "quantiles",
              "probability_above_cost", "realised")  # fmt: skip
    shuffled = replace(walks, **{name: getattr(walks, name)[mixed] for name in fields})
    one, two = trade(walks, signals), trade(shuffled, signals[mixed])
    np.testing.assert_allclose(one.equity, two.equity, rtol=1e-12)


def test_a_signal_that_has_seen_the_next_bar_wins_only_without_delay(walks):
    peeked = np.where(walks.realised[:, 0] > 0, 1, -1)
    accounts = {d: trade(walks, peeked, delay=d, allow_short=True) for d in (0, 1, 2)}
    assert accounts[0].sharpe > 10
    assert accounts[0].total_return > 1
    for delay in (1, 2):
        assert abs(accounts[delay].sharpe) < 3 * accounts[delay].sharpe_error
        assert accounts[delay].total_return < 0.5


def test_a_buy_is_kept_for_its_horizon_and_ended_by_a_sell():
    signals = np.array([0, 1, 0, 0, 0, 1, -1, 0, 1, 0], dtype=np.int8)
    begins = np.zeros(10, dtype=bool)
    begins[[0, 9]] = True  # the tenth row is another symbol's first
    long_flat = positions(signals, begins, keep=3, allow_short=False)
    assert long_flat.tolist() == [0, 1, 1, 1, 0, 1, 0, 0, 1, 0]
    assert positions(signals, begins, keep=3, allow_short=True).tolist()[6:8] == [-1, -1]


def test_costs_are_paid_for_every_change_of_position(walks):
    rows = len(walks) // 3
    signals = np.tile(np.r_[1, np.zeros(9)], len(walks) // 10)
    free = trade(walks, signals)
    dear = trade(walks, signals, unit_cost=0.001)
    trades = 2 * rows // 10
    assert dear.costs == pytest.approx(trades * 0.001)
    assert dear.total_return < free.total_return
    assert dear.turnover == pytest.approx(trades / (rows / 365.25))


def test_buy_and_hold_pays_once_and_earns_the_market(walks):
    account = buy_and_hold(walks)
    by_day = np.expm1(walks.realised[:, 0].astype(float)).reshape(3, -1).mean(axis=0)
    by_day[0] -= walks.cost / 2
    np.testing.assert_allclose(account.equity, np.cumprod(1 + by_day), rtol=1e-9)
    assert account.exposure == 1


def test_a_model_that_never_speaks_keeps_its_money(walks):
    silent = replace(walks, probability_above_cost=np.full((len(walks), 2), 0.5, np.float32))
    account = run_backtest(silent)
    assert account.total_return == 0
    assert account.turnover == 0
    assert np.isnan(account.sharpe)


def test_a_real_signal_survives_a_bars_delay_after_costs():
    forecasts = planted_forecasts(signal=0.2, candidates=("ridge",), periods=1000, seed=2)["ridge"]
    assert run_backtest(forecasts).sharpe > 1
    short = run_backtest(forecasts, allow_short=True)
    assert short.turnover > run_backtest(forecasts).turnover


def test_slippage_costs_more():
    forecasts = planted_forecasts(signal=0.2, candidates=("ridge",), periods=200)["ridge"]
    dear = run_backtest(forecasts, slippage=0.0005)
    assert dear.costs == pytest.approx(2 * run_backtest(forecasts).costs)


def test_max_drawdown_counts_the_first_fall_from_one():
    assert max_drawdown(np.array([0.8, 1.2, 0.9, 1.3])) == pytest.approx(0.25)
    assert max_drawdown(np.array([1.1, 1.2])) == 0


def test_a_negative_delay_and_an_unknown_future_are_refused(walks):
    with pytest.raises(InvalidSettings, match="delay -1"):
        run_backtest(walks, delay=-1)
    with pytest.raises(InvalidInput, match="one-bar returns"):
        run_backtest(replace(walks, realised=np.full_like(walks.realised, np.nan)))
