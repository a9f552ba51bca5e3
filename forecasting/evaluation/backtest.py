"""Backtests the signals: positions, the costs of every trade, and a delay of some bars.

Alignment, in one place. Row t of a symbol is a forecast made at the close of bar t. Its
`realised[:, 0]` is the log total return from that close to the close of bar t+1. The signal of
row t is known at the close of bar t, so

    delay 0   trades at that very close and earns the return t -> t+1: a price that had to be
              known before the order could be given; shown, never believed;
    delay 1   trades one bar later and earns t+1 -> t+2: the result we report;
    delay 2   one bar later still.

Only these one-bar returns are compounded, so nothing overlaps. Rows of a symbol are taken as
consecutive bars. A signal that has peeked at bar t+1 wins at delay 0 and only there.

Every symbol starts with the same amount of money, which its own trades compound; nothing is moved
between symbols, so their weights drift, and always holding all of them is buy and hold. What has
no row yet, or none any more, neither earns nor pays. A long
position is all of the symbol's money. A short one is as large as that money at every bar: it
moves against the account, so keeping it so large takes a trade a bar, which is paid.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.instants import DAY
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import sides
from forecasting.stats.sharpe import sharpe_error
from forecasting.stats.significance import does_not_vary

_YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Backtest:
    """A strategy's account, starting from 1.

    Attributes:
        name: what was traded, e.g. "signal" or "buy and hold".
        delay: bars between signal and execution.
        dates: UTC dates, datetime64[D], shape [D].
        equity: account at the end of each date's bar-to-bar returns, shape [D].
        total_return: last equity minus 1.
        annual_return: compounded per year.
        sharpe: mean over deviation of daily returns, per year, no risk-free rate; NaN when they
            do not vary.
        sharpe_error: standard error of `sharpe`.
        max_drawdown: deepest fall from a peak, as a positive share.
        turnover: notional traded, as a share of the account at the time, per year (one way).
        exposure: mean share of the account invested.
        costs: sum of costs paid, each as a share of the account at the time.
        skew: skewness of daily returns.
        kurtosis: kurtosis of daily returns; 3 for the normal distribution.
        deflated_sharpe: probability that the true ratio is above 0 although this was the best of
            all trials; NaN where nothing was picked.
    """

    name: str
    delay: int
    dates: NDArray[np.datetime64]
    equity: Floats
    total_return: float
    annual_return: float
    sharpe: float
    sharpe_error: float
    max_drawdown: float
    turnover: float
    exposure: float
    costs: float
    skew: float
    kurtosis: float
    deflated_sharpe: float = float("nan")

    @property
    def days(self) -> int:
        """Number of daily returns."""
        return int(self.equity.size)

    @property
    def daily_sharpe(self) -> float:
        """`sharpe` of one daily return, not annualised."""
        return self.sharpe / float(np.sqrt(self.days / _years(self.dates)))


def run_backtest(
    forecasts: OutOfSample,
    *,
    threshold: float = 0.55,
    delay: int = 1,
    slippage: float = 0.0,
    allow_short: bool = False,
) -> Backtest:
    """Trade a candidate's signals on its own out-of-sample rows.

    A buy opens a position; it is kept while the forecast that opened it still runs (the rule's
    horizon in bars), and closed by a sell signal or by expiry. Half the rule's round-trip cost,
    plus slippage, is paid on every amount traded.

    Args:
        forecasts: with one row per symbol and bar.
        threshold: probability a side needs (`SignalRule.threshold`).
        delay: bars between the signal and its execution.
        slippage: further cost per unit traded, as a share of its value.
        allow_short: let a sell signal open a short position.
    """
    signals = sides(
        forecasts.probability_above_cost[:, 0].astype(np.float64),
        1.0 - forecasts.probability_above_cost[:, 1].astype(np.float64),
        threshold,
    )
    return backtest_signals(
        forecasts,
        signals,
        name="signal",
        keep=forecasts.signal_horizon,
        delay=delay,
        unit_cost=forecasts.cost / 2 + slippage,
        allow_short=allow_short,
    )


def buy_and_hold(forecasts: OutOfSample, *, slippage: float = 0.0) -> Backtest:
    """Buy every symbol at its first forecast for equal amounts and keep it: weights drift.

    The opening cost is paid, and nothing else is traded.
    """
    always = np.ones(len(forecasts), dtype=np.int8)
    return backtest_signals(
        forecasts,
        always,
        name="buy and hold",
        keep=len(forecasts),
        delay=0,
        unit_cost=forecasts.cost / 2 + slippage,
        allow_short=False,
    )


def backtest_signals(
    forecasts: OutOfSample,
    signals: NDArray[np.int8],
    *,
    name: str,
    keep: int,
    delay: int,
    unit_cost: float,
    allow_short: bool,
) -> Backtest:
    """Trade given signals; see the module for the alignment.

    Args:
        forecasts: for its symbols, times and one-bar returns.
        signals: -1, 0, 1 per row of `forecasts`.
        name: of the strategy.
        keep: bars a signal's position lives without a new signal.
        delay: bars between signal and execution.
        unit_cost: cost of a trade, as a share of its value.
        allow_short: whether -1 opens a short position instead of none.

    Raises:
        InvalidSettings: the delay is negative.
        InvalidInput: no one-bar return is known.
    """
    if delay < 0:
        raise InvalidSettings("a delay counts bars forward", f"delay {delay}", "Give 0 or more")
    order = np.lexsort((forecasts.timestamps, forecasts.codes))
    codes = forecasts.codes[order]
    begins = np.r_[True, codes[1:] != codes[:-1]]
    target = positions(signals[order], begins, keep=keep, allow_short=allow_short)
    position = _delayed(target, begins, delay)
    earned = np.expm1(forecasts.realised[order, 0].astype(np.float64))
    known = np.isfinite(earned)
    if not known.any():
        raise InvalidInput("a backtest needs one-bar returns", "none is known", "Add later bars")
    codes, position, earned = codes[known], position[known], earned[known]
    days = forecasts.timestamps[order][known] // DAY
    traded, growth = _trades(position, earned, np.r_[True, codes[1:] != codes[:-1]], unit_cost)
    before, after = _compounded(growth, codes, 1.0 / np.count_nonzero(begins))
    dates, day = _numbered(days)
    gained = np.bincount(day, weights=after - before)
    equity: Floats = 1.0 + np.cumsum(gained, dtype=np.float64)
    opening = np.r_[1.0, equity[:-1]]
    share = _over(before, opening[day])
    turned = float((share * traded).sum())
    return _account(
        name,
        delay,
        dates.astype("datetime64[D]"),
        equity,
        _over(equity - opening, opening),
        traded=turned,
        costs=turned * unit_cost,
        exposure=float((share * np.abs(position)).sum() / share.sum()),
    )


def _numbered(days: Instants) -> tuple[Instants, Instants]:
    """The days there are, in order, and each row's place among them: `numpy.unique` by counting."""
    past = days - days.min()
    present = np.bincount(past) > 0
    return np.flatnonzero(present) + days.min(), (np.cumsum(present) - 1)[past]


def _trades(
    position: Floats, earned: Floats, begins: NDArray[np.bool_], unit_cost: float
) -> tuple[Floats, Floats]:
    """What each row trades, as a share of its symbol's money, and what that money grows by.

    Args:
        position: wanted share of the symbol's money, rows sorted by symbol, then time, shape [n].
        earned: simple return of each row's bar, shape [n].
        begins: True at the first row of each symbol.
        unit_cost: cost of a trade, as a share of its value.
    """
    left = np.maximum(1.0 + position * earned, 0.0)  # a short can lose all, and no more
    drifted = _over(position * (1.0 + earned), left)
    held = np.where(begins, 0.0, np.r_[0.0, drifted[:-1]])
    traded = np.abs(position - held)
    return traded, np.maximum(1.0 - unit_cost * traded, 0.0) * left


def _compounded(
    growth: Floats, codes: NDArray[np.signedinteger], start: float
) -> tuple[Floats, Floats]:
    """Each symbol's money before and after each row, both [n]."""
    before, after = np.empty_like(growth), np.empty_like(growth)
    edges = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1], True])
    for first, end in pairwise(edges):
        path = start * np.cumprod(np.r_[1.0, growth[first:end]])
        before[first:end], after[first:end] = path[:-1], path[1:]
    return before, after


def _over(part: Floats, whole: Floats) -> Floats:
    """A ratio; 0 where there is nothing left."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def positions(
    signals: NDArray[np.int8], begins: NDArray[np.bool_], *, keep: int, allow_short: bool
) -> Floats:
    """Wanted position after each signal, shape [n]; rows sorted by symbol, then time.

    Args:
        signals: -1, 0, 1.
        begins: True at the first row of each symbol.
        keep: bars a position lives after the last signal for it.
        allow_short: whether -1 means short; flat otherwise.
    """
    place = np.arange(signals.size)
    symbol_start = np.maximum.accumulate(np.where(begins, place, 0))
    spoken = np.maximum.accumulate(np.where(signals != 0, place, -1))
    alive = (spoken >= symbol_start) & (place - spoken < keep)
    side = np.where(alive, signals[np.maximum(spoken, 0)], 0).astype(np.float64)
    return side if allow_short else np.maximum(side, 0.0)


def max_drawdown(equity: Floats) -> float:
    """Deepest fall from a peak (the starting 1 included), as a positive share."""
    path = np.r_[1.0, equity]
    return float(np.max(1 - path / np.maximum.accumulate(path)))


def _delayed(target: Floats, begins: NDArray[np.bool_], delay: int) -> Floats:
    """Each symbol's positions, `delay` rows later; flat until the first order is filled."""
    if delay == 0:
        return target
    place = np.arange(target.size)
    symbol_start = np.maximum.accumulate(np.where(begins, place, 0))
    source = place - delay
    return np.where(source >= symbol_start, target[np.maximum(source, 0)], 0.0)


def _account(
    name: str,
    delay: int,
    dates: NDArray[np.datetime64],
    equity: Floats,
    daily: Floats,
    *,
    traded: float,
    costs: float,
    exposure: float,
) -> Backtest:
    deviation = float(daily.std(ddof=1)) if daily.size > 1 else 0.0
    years = _years(dates)
    per_year = daily.size / years
    nan = float("nan")
    ratio = error = skew = kurtosis = nan
    if not does_not_vary(deviation**2, daily):
        centred = (daily - daily.mean()) / daily.std()
        skew, kurtosis = float((centred**3).mean()), float((centred**4).mean())
        ratio = float(daily.mean()) / deviation
        error = sharpe_error(ratio, daily.size, skew, kurtosis)
    final = float(equity[-1])
    return Backtest(
        name=name,
        delay=delay,
        dates=dates,
        equity=equity,
        total_return=final - 1,
        annual_return=final ** (1 / years) - 1 if final > 0 else -1.0,
        sharpe=ratio * float(np.sqrt(per_year)),
        sharpe_error=error * float(np.sqrt(per_year)),
        max_drawdown=max_drawdown(equity),
        turnover=traded / years,
        exposure=exposure,
        costs=costs,
        skew=skew,
        kurtosis=kurtosis,
    )


def _years(dates: NDArray[np.datetime64]) -> float:
    """Years from the first date to the last, both counted."""
    return float((dates[-1] - dates[0]) / np.timedelta64(1, "D") + 1) / _YEAR_DAYS
