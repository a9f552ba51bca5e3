"""Total-return adjustment of raw prices, cumulated forward so that the past never moves.

A provider's adjusted history is cumulated backward from today: every split and dividend
rewrites all of it. Here the multiplier starts at 1 and grows, so the adjusted bar at t depends
on bars up to t only, and truncating or changing the future leaves it bit-identical.

With split ratio s_t (new shares per old share from bar t on), cash d_t per new share with t as
the ex-date, and close p_t, one share held over the close of t-1 is worth s_t * (p_t + d_t) at
the close of t, so the total return is

    R_t = s_t * (p_t + d_t) / p_(t-1) - 1

which is the holding period return of CRSP (Data Descriptions Guide, "Return": price times the
factor to adjust price plus distributions, over the previous price). Reinvesting d_t at p_t turns
it into a series of prices a_t = p_t * m_t with m_t = prod of s_i * (1 + d_i / p_i) over i <= t,
for then a_t / a_(t-1) = 1 + R_t.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidPrices
from forecasting.schema import ACTIONS, OHLC, SYMBOL

if TYPE_CHECKING:
    import pandas as pd

Bounds = NDArray[np.int64]


def symbol_bounds(prices: "pd.DataFrame") -> Bounds:
    """First row of every symbol, and the number of rows as the last entry: int64 [S + 1].

    Raises:
        InvalidPrices: the frame is empty, or bars of one symbol do not stand together.
    """
    symbols = prices[SYMBOL].to_numpy(dtype=object)
    if symbols.size == 0:
        raise InvalidPrices("a price frame needs at least one bar", "0 rows")
    starts = np.flatnonzero(symbols[1:] != symbols[:-1]) + 1
    bounds = np.concatenate(([0], starts, [symbols.size])).astype(np.int64)
    if len(set(symbols[bounds[:-1]])) != bounds.size - 1:
        raise InvalidPrices(
            "bars of one symbol must stand together",
            "a symbol's bars are interleaved with another's",
            "Sort by symbol, then timestamp",
        )
    return bounds


def multipliers(close: Floats, dividend: Floats, split: Floats) -> tuple[Floats, Floats]:
    """Cumulated multipliers of one symbol's bars.

    Args:
        close: raw closes [t], in time order.
        dividend: cash per share with this bar as the ex-date [t].
        split: new shares per old share from this bar on [t].

    Returns:
        The price multiplier m_t of the module's docstring [t], and the shares that one share of
        the first bar has become [t], by which volumes are divided.
    """
    price = np.cumprod(split * (1.0 + dividend / close), dtype=np.float64)
    return price, np.cumprod(split, dtype=np.float64)


def adjust(prices: "pd.DataFrame") -> "pd.DataFrame":
    """Prices as total-return prices that start at the raw price of each symbol's first bar.

    open, high, low and close are multiplied by m_t, volume is divided by the cumulated split
    ratio (so it counts shares of the first bar), dividend becomes 0 and split 1: the actions are
    in the prices now, and adjusting twice changes nothing.

    Args:
        prices: a validated price frame.

    Returns:
        A new price frame of the same rows and columns; the input is left alone.
    """
    bounds = symbol_bounds(prices)
    close, dividend, split = (
        prices[column].to_numpy(dtype=np.float64) for column in ("close", *ACTIONS)
    )
    price = np.empty(close.size)
    shares = np.empty(close.size)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = slice(start, stop)
        price[rows], shares[rows] = multipliers(close[rows], dividend[rows], split[rows])
    changed = {column: prices[column].to_numpy(dtype=np.float64) * price for column in OHLC}
    changed["volume"] = prices["volume"].to_numpy(dtype=np.float64) / shares
    return prices.assign(**changed, dividend=0.0, split=1.0)
