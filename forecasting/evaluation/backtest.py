"""Backtests the signals: long/flat positions, costs, and a delay of some bars.

Alignment, in one place. Row t of a symbol is a forecast made at the close of bar t. Its
`realised[:, 0]` is the log total return from that close to the close of bar t+1. The signal of
row t is known at the close of bar t, so

    delay 0   trades at that very close and earns the return t -> t+1: a price that had to be
              known before the order could be given; shown, never believed;
    delay 1   trades one bar later and earns t+1 -> t+2: the result we report;
    delay 2   one bar later still.

Only these one-bar returns are compounded, so nothing overlaps. Rows of a symbol are taken as
consecutive bars. A signal that has peeked at bar t+1 wins at delay 0 and only there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.instants import DAY
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import sides
from forecasting.stats.sharpe import sharpe_error

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
        sharpe: mean over deviation of daily returns, per year, no risk-free rate; NaN when the
            account never moved.
        sharpe_error: standard error of `sharpe`.
        max_drawdown: deepest fall from a peak, as a positive share.
        turnover: notional traded over the account, per year (one way).
        exposure: mean share of the account invested.
        costs: sum of costs paid, as a share of the account.
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
    horizon in bars), and closed by a sell signal or by expiry. Every symbol has the same fixed
    share of the account. Half the rule's round-trip cost, plus slippage, is paid per unit of
    position changed.

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
    """Buy every symbol at its first forecast and keep it; the opening cost is paid."""
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
        unit_cost: cost per unit of position changed.
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
    before = np.where(begins, 0.0, np.r_[0.0, position[:-1]])
    traded = np.where(known, np.abs(position - before), 0.0)
    net = np.where(known, position * earned, 0.0) - traded * unit_cost
    weight = 1.0 / np.unique(codes).size
    days = forecasts.timestamps[order] // DAY
    dates, day = np.unique(days, return_inverse=True)
    daily: Floats = np.bincount(day, weights=net * weight).astype(np.float64)
    exposure = float(np.abs(position[known]).mean())
    return _account(
        name,
        delay,
        dates.astype("datetime64[D]"),
        daily,
        traded=float(traded.sum() * weight),
        costs=float(traded.sum() * weight * unit_cost),
        exposure=exposure,
    )


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
    daily: Floats,
    *,
    traded: float,
    costs: float,
    exposure: float,
) -> Backtest:
    equity: Floats = np.cumprod(1 + daily, dtype=np.float64)
    deviation = float(daily.std(ddof=1)) if daily.size > 1 else 0.0
    years = _years(dates)
    per_year = daily.size / years
    nan = float("nan")
    ratio = error = skew = kurtosis = nan
    if deviation > 0:
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
