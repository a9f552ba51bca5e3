"""The long-frame contract for prices, and the check that guards it.

A price frame has one row per symbol and bar, sorted by symbol, then timestamp:

| column    | dtype               | meaning                                                        |
|-----------|---------------------|----------------------------------------------------------------|
| symbol    | object (str)        | the provider's ticker, e.g. AAPL, 2330.TW, BTC-USD             |
| timestamp | datetime64[ns, UTC] | the instant the bar closed: from here on it is known           |
| session   | datetime64[ns]      | the trading date the bar belongs to, at the exchange (no zone) |
| open, high, low, close | float64 | raw traded prices in the quote currency                       |
| volume    | float64             | shares or units traded in the bar                              |
| dividend  | float64             | cash paid per share with this bar as the ex-date, else 0       |
| split     | float64             | new shares per old share from this bar on, else 1              |
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.arrays import Floats, Mask
from forecasting.errors import InvalidPrices
from forecasting.instants import nanoseconds

if TYPE_CHECKING:  # the predictor reads the constants below and carries no pandas
    import pandas as pd

SYMBOL: Final = "symbol"
TIMESTAMP: Final = "timestamp"
SESSION: Final = "session"
OHLC: Final = ("open", "high", "low", "close")
OHLCV: Final = (*OHLC, "volume")
ACTIONS: Final = ("dividend", "split")
PRICE_COLUMNS: Final = (SYMBOL, TIMESTAMP, SESSION, *OHLCV, *ACTIONS)

QUANTILE_LEVELS: Final = (0.05, 0.25, 0.50, 0.75, 0.95)
"""Levels of every published forecast quantile: p05 p25 p50 p75 p95."""

COVERAGE_BAND: Final = (0.87, 0.93)
"""Where the coverage of an honest 90 % interval lies, ends included."""

MAX_HORIZON: Final = 30
"""Longest forecast that trainings make, in bars of the model's interval (trading days for daily bars).
A served version's own longest stands in its bundle."""

MOST_HORIZON: Final = 250
"""Longest forecast that a bundle may make, in bars."""

INTERVALS: Final = {"1h": 3_600, "2h": 7_200, "4h": 14_400, "1d": 86_400}
"""Bar intervals the platform takes, in seconds."""


ENCLOSES: Final = "high and low must enclose open and close"
"""The rule that `outside_range` finds broken."""


def outside_range(ohlc: Floats, slack: Floats | float = 0.0) -> Mask:
    """Which bars open or close above their high or below their low.

    Args:
        ohlc: open, high, low and close, float64 [n, 4].
        slack: by how much a high or low may miss them, a price or one of each bar [n].

    Returns:
        bool [n]; a comparison with NaN does not count.
    """
    opened, high, low, close = ohlc.T
    above = high < np.maximum(opened, close) - slack
    below = low > np.minimum(opened, close) + slack
    return np.asarray(above | below, dtype=np.bool_)


def validate_prices(prices: "pd.DataFrame") -> "pd.DataFrame":
    """Refuse a frame that breaks the price contract; return it unchanged otherwise.

    This is the guard between parts of the platform. `forecasting.prices.quality.judge` is the judge of
    data from outside: it names the faults bar by bar and quarantines them.

    Raises:
        InvalidPrices: names the column, and the first row, that breaks the rule.
    """
    import pandas as pd

    missing = [column for column in PRICE_COLUMNS if column not in prices.columns]
    if missing:
        raise InvalidPrices(
            f"a price frame needs the columns {', '.join(PRICE_COLUMNS)}",
            f"missing {', '.join(missing)}",
            "Read prices through a PriceSource, or rename your columns",
        )
    if prices.empty:
        raise InvalidPrices("a price frame needs at least one bar", "0 rows")
    if str(prices[TIMESTAMP].dtype) != "datetime64[ns, UTC]":
        raise InvalidPrices(
            "timestamps must be datetime64[ns, UTC]",
            f"dtype {prices[TIMESTAMP].dtype}",
            "Localise them to the exchange's zone and convert to UTC",
        )
    values = prices[[*OHLCV, *ACTIONS]].to_numpy(dtype=np.float64)
    _refuse_rows(prices, ~np.isfinite(values).all(axis=1), "every number must be finite")
    _refuse_rows(prices, values[:, :4].min(axis=1) <= 0, "a price must be positive")
    _refuse_rows(prices, values[:, 4] < 0, "volume must not be negative")
    _refuse_rows(prices, outside_range(values[:, :4]), ENCLOSES)
    _refuse_rows(prices, values[:, 6] <= 0, "a split ratio must be positive")
    codes, _ = pd.factorize(prices[SYMBOL])
    instants = nanoseconds(prices[TIMESTAMP])
    same = codes[1:] == codes[:-1]
    disorder = np.zeros(len(prices), dtype=bool)
    disorder[1:] = same & (instants[1:] <= instants[:-1])
    _refuse_rows(prices, disorder, "bars of a symbol must be in strictly rising time order")
    if np.count_nonzero(~same) + 1 != codes.max() + 1:
        raise InvalidPrices(
            "bars of one symbol must stand together",
            "a symbol's bars are interleaved with another's",
            "Sort by symbol, then timestamp",
        )
    return prices


def _refuse_rows(prices: "pd.DataFrame", bad: Mask, rule: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        row = prices.iloc[first]
        numbers = ", ".join(f"{c} {row[c]:g}" for c in (*OHLCV, *ACTIONS))
        raise InvalidPrices(
            rule,
            f"{int(bad.sum())} of {len(prices)} bars do not hold it, first row {first} "
            f"({row[SYMBOL]} at {row[TIMESTAMP]}: {numbers})",
            "Pass the bars through forecasting.prices.quality.judge.judge first",
        )
