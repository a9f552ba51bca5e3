"""Closes and shares across splits, so that prices from before one compare with those after it."""

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def split_adjusted(bars: "pd.DataFrame") -> "pd.DataFrame":
    """Timestamp and close of one symbol's bars in time order, closes before a split divided by it.

    The last close stays as it is, unlike in `forecasting.prices.adjustment`, which adjusts forward.
    """
    from forecasting.schema import TIMESTAMP

    shares = bars["split"].to_numpy(dtype=np.float64).cumprod()
    adjusted = bars[[TIMESTAMP]].reset_index(drop=True)
    adjusted["close"] = bars["close"].to_numpy(dtype=np.float64) / (shares[-1:] / shares)
    return adjusted


def shares_of_one(prices: "pd.DataFrame", symbol: str, since: datetime, until: datetime) -> float:
    """How many shares one share of a symbol has become, by the splits after one bar up to another.

    Args:
        prices: of any symbols; may be empty.
        symbol: which.
        since: close of the earlier bar.
        until: close of the later bar.
    """
    from forecasting.schema import SYMBOL, TIMESTAMP

    own = prices[prices[SYMBOL] == symbol]
    between = own[(own[TIMESTAMP] > since) & (own[TIMESTAMP] <= until)]
    return float(between["split"].to_numpy(dtype=np.float64).prod())
