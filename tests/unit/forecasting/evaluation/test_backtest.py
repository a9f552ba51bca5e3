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
    """Equity and turnover of the same account, kept in money: one symbol and one bar at a time."""
    symbols = range(len(forecasts.symbols))
    cash, stock = dict.fromkeys(symbols, 1 / len(symbols)), dict.fromkeys(symbols, 0.0)
    wanted, side, age = {}, dict.fromkeys(symbols, 0), dict.fromkeys(symbols, 10**9)
    row_at = {
        (int(forecasts.codes[row]), int(forecasts.timestamps[row])): row
        for row in range(len(forecasts))
    }
    path, turnover = [], 0.0
    for instant in sorted({instant for _, instant in row_at}):
        account = sum(cash.values()) + sum(stock.values())
        for symbol in symbols:
            row = row_at[symbol, instant]
            age[symbol] += 1
            if signals[row]:
                side[symbol], age[symbol] = int(signals[row]), 0
            want = side[symbol] if age[symbol] < keep else 0
            wanted.setdefault(symbol, []).append(want if allow_short else max(want, 0))
            orders = wanted[symbol]
            position = orders[-1 - delay] if len(orders) > delay else 0
            money = cash[symbol] + stock[symbol]
            traded = abs(position * money - stock[symbol])
            turnover += traded / account
            money -= traded * unit_cost
            stock[symbol], cash[symbol] = position * money, money - position * money
            stock[symbol] *= np.exp(float(forecasts.realised[row, 0]))
        path.append(sum(cash.values()) + sum(stock.values()))
    return np.array(path), turnover


@pytest.mark.parametrize("delay", [0, 1, 2])
@pytest.mark.parametrize("allow_short", [False, True])
def test_the_account_equals_one_kept_bar_by_bar(walks, delay, allow_short):
    signals = np.random.default_rng(delay).choice([-1, 0, 0, 0, 1], len(walks)).astype(np.int8)
    options = {"keep": 5, "delay": delay, "unit_cost": 0.0005, "allow_short": allow_short}
    account = trade(walks, signals, **options)
    equity, turnover = slow_account(walks, signals, **options)
    np.testing.assert_allclose(account.equity, equity, rtol=1e-9)
    assert account.turnover == pytest.approx(turnover / (equity.size / 365.25), rel=1e-9)
    assert account.costs == pytest.approx(turnover * 0.0005, rel=1e-9)


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
    assert dear.costs == pytest.approx(trades * 0.001, rel=0.01)
    assert dear.total_return < free.total_return
    assert dear.turnover == pytest.approx(trades / (rows / 365.25), rel=0.01)


def rising_and_falling(forecasts, growth):
    """The first symbols' closes multiplied by `growth` over all bars, evenly; others stand still."""
    realised = np.zeros_like(forecasts.realised)
    for code, factor in enumerate(growth):
        rows = forecasts.codes == code
        realised[rows, 0] = np.log(factor) / rows.sum()
    return replace(forecasts, realised=realised)


def test_buy_and_hold_of_one_that_doubles_and_one_that_halves_earns_a_quarter():
    pair = planted_forecasts(signal=0, candidates=(), symbols=2, periods=300, seed=1)
    forecasts = replace(rising_and_falling(pair["random_walk"], (2, 0.5)), cost=0.002)
    account = buy_and_hold(forecasts, slippage=0.0005)
    assert account.total_return == pytest.approx(0.9985 * 1.25 - 1, rel=1e-5)
    assert account.turnover == pytest.approx(365.25 / 300)
    assert account.costs == pytest.approx(0.0015)
    assert account.exposure == pytest.approx(1)


def test_buy_and_hold_pays_once_and_lets_its_weights_drift(walks):
    account = buy_and_hold(walks)
    closes = np.exp(np.cumsum(walks.realised[:, 0].astype(float).reshape(3, -1), axis=1))
    np.testing.assert_allclose(
        account.equity, (1 - walks.cost / 2) * closes.mean(axis=0), rtol=1e-9
    )


def test_a_signal_that_always_buys_is_buy_and_hold(walks):
    always = trade(walks, np.ones(len(walks)), delay=0, keep=9, unit_cost=walks.cost / 2)
    np.testing.assert_array_equal(always.equity, buy_and_hold(walks).equity)
    assert always.turnover == buy_and_hold(walks).turnover


def test_a_short_that_is_kept_is_kept_to_size_and_pays_for_it():
    alone = planted_forecasts(signal=0, candidates=(), symbols=1, periods=2, seed=1)["random_walk"]
    realised = np.log(np.array([[1.25], [0.8]])).astype(np.float32)
    forecasts = replace(alone, realised=np.repeat(realised, alone.realised.shape[1], axis=1))
    account = trade(forecasts, -np.ones(2), delay=0, keep=9, unit_cost=0.01, allow_short=True)
    # 0.99 left after opening; it loses a quarter, and owes 1.25 / 0.75 of what is left.
    first = 0.99 * 0.75
    assert account.equity == pytest.approx([first, first * (1 - 0.01 * (1.25 / 0.75 - 1)) * 1.2])


def test_a_short_of_what_more_than_doubles_loses_all_and_no_more():
    alone = planted_forecasts(signal=0, candidates=(), symbols=1, periods=9, seed=1)["random_walk"]
    forecasts = replace(alone, realised=np.full_like(alone.realised, np.log(2.5)))
    account = trade(forecasts, -np.ones(9), delay=0, keep=9, allow_short=True)
    assert account.equity.tolist() == [0] * 9
    assert (account.annual_return, account.max_drawdown) == (-1, 1)


def test_returns_that_never_vary_have_no_sharpe_ratio():
    alone = planted_forecasts(signal=0, candidates=(), symbols=1, periods=90, seed=1)["random_walk"]
    steady = trade(rising_and_falling(alone, (1.1,)), np.ones(90), delay=0, keep=90)
    assert steady.total_return == pytest.approx(0.1, rel=1e-5)
    assert np.isnan(steady.sharpe)
    assert np.isnan(steady.sharpe_error)


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
    assert dear.costs == pytest.approx(2 * run_backtest(forecasts).costs, rel=0.01)


def test_max_drawdown_counts_the_first_fall_from_one():
    assert max_drawdown(np.array([0.8, 1.2, 0.9, 1.3])) == pytest.approx(0.25)
    assert max_drawdown(np.array([1.1, 1.2])) == 0


def test_a_negative_delay_and_an_unknown_future_are_refused(walks):
    with pytest.raises(InvalidSettings, match="delay -1"):
        run_backtest(walks, delay=-1)
    with pytest.raises(InvalidInput, match="one-bar returns"):
        run_backtest(replace(walks, realised=np.full_like(walks.realised, np.nan)))
