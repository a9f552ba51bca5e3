"""A synthetic panel of daily bars, made with numpy alone so that every peer gets the same one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY = 86_400 * 10**9
FIRST_CLOSE = 1_262_379_600 * 10**9  # 2010-01-01 21:00 UTC


def columns(symbols: int, bars: int) -> dict[str, NDArray[Any]]:
    """Price columns of `symbols` random walks over weekdays, rows by symbol, then time.

    Every symbol pays a dividend each 63 bars and splits once; all close at the same instants.
    `symbol` holds numbers, `timestamp` and `session` int64 ns; only one temporary column is
    alive at a time, so that memory measured later is not this function's.
    """
    rng = np.random.default_rng(0)
    rows = symbols * bars
    table = {name: np.empty(rows) for name in ("open", "high", "low", "close")}
    for number in range(symbols):
        span = slice(number * bars, (number + 1) * bars)
        close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, bars)))
        close[bars // 2 :] /= 2.0
        opening = close * np.exp(rng.normal(0.0, 0.005, bars))
        table["open"][span], table["close"][span] = opening, close
        table["high"][span] = np.maximum(opening, close) * (1.0 + rng.uniform(0, 0.01, bars))
        table["low"][span] = np.minimum(opening, close) * (1.0 - rng.uniform(0, 0.01, bars))
    table["volume"] = np.empty(rows)
    for number in range(symbols):
        span = slice(number * bars, (number + 1) * bars)
        table["volume"][span] = np.round(np.exp(rng.normal(13.0, 0.5, bars)))
    table["dividend"] = np.zeros(rows)
    table["dividend"][::63] = 0.2
    table["split"] = np.ones(rows)
    table["split"][bars // 2 :: bars] = 2.0
    weekdays = np.arange(2 * bars)
    weekdays = weekdays[(weekdays + 4) % 7 < 5][:bars]  # day 0 is a Friday
    table["timestamp"] = np.tile(FIRST_CLOSE + weekdays * DAY, symbols)
    table["session"] = table["timestamp"] // DAY * DAY
    table["symbol"] = np.repeat(np.arange(symbols), bars)
    return table


def names(symbols: int) -> list[str]:
    """Tickers of the panel, in order."""
    return [f"S{number:04d}" for number in range(symbols)]
