"""Small price panels to test on: random walks with gaps, splits and dividends."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecasting.schema import PRICE_COLUMNS


def walk(
    symbol: str = "AAA",
    bars: int = 300,
    *,
    seed: int = 0,
    start: str = "2020-01-01 21:00",
    freq: str = "B",
    actions: bool = True,
) -> pd.DataFrame:
    """One symbol's random walk; with `actions` a dividend every 50 bars and a split at 120."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, bars)))
    opening = close * np.exp(rng.normal(0.0, 0.01, bars))
    dividend, split = np.zeros(bars), np.ones(bars)
    if actions:
        dividend[10::50] = 0.5
        split[120:121] = 4.0
    factor = np.cumprod(split)
    close, opening = close / factor, opening / factor
    stamps = pd.date_range(start, periods=bars, freq=freq, tz="UTC").as_unit("ns")
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "timestamp": stamps,
            "session": (stamps - pd.Timedelta(1, "ns")).tz_localize(None).normalize(),
            "open": opening,
            "high": np.maximum(opening, close) * (1.0 + rng.uniform(0.0, 0.02, bars)),
            "low": np.minimum(opening, close) * (1.0 - rng.uniform(0.0, 0.02, bars)),
            "close": close,
            "volume": np.round(np.exp(rng.normal(13.0, 0.5, bars))) * factor,
            "dividend": dividend,
            "split": split,
        }
    )
    return frame[list(PRICE_COLUMNS)]


def panel(symbols: Sequence[str] = ("AAA", "BBB", "CCC"), bars: int = 300) -> pd.DataFrame:
    """Several random walks that close at the same instants."""
    walks = [walk(symbol, bars, seed=seed) for seed, symbol in enumerate(symbols)]
    return pd.concat(walks, ignore_index=True)
