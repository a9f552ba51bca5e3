"""Plants leaks that show in one stratum of the bars only, such as on Mondays or in one venue."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.honesty.markets import MADE_UP, STOCKS, Market, garch, with_actions, with_gaps
from benchmarks.honesty.planted_leaks import Pipeline, honest, with_column

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable

    Where = Callable[[pd.DataFrame], np.ndarray]

_HALF: Final = np.datetime64("2021-07-01")
_AROUND: Final = 2
_STORM: Final = 0.016
_FRIDAY: Final = 4
NEW_YORK_AND_TOKYO: Final = (*(f"U{number:02d}" for number in range(11)), "7203.T")
"""Eleven symbols of one venue, and one that closes before them."""


@dataclass(frozen=True)
class StratumLeak:
    """A leak and where it is planted.

    Attributes:
        what: what was done.
        market: the prices, from a seed.
        describe: the leaking features function of an honest one.
    """

    what: str
    market: Callable[[int], Market]
    describe: (
        "Callable[[Callable[[pd.DataFrame], FeatureTable]], Callable[[pd.DataFrame], FeatureTable]]"
    )


def stratum_leak(name: str, seed: int) -> Pipeline:
    """The pipeline on the market of a leak, with the leak in it."""
    leak = STRATUM_LEAKS[name]
    clean = honest(leak.market(seed))
    return replace(clean, describe=leak.describe(clean.describe))


def _coming_return(prices: "pd.DataFrame") -> "np.ndarray":
    """Log total return of the next bar [n]; NaN in a symbol's last row."""
    from forecasting.features.targets import horizon_returns

    return horizon_returns(prices, [1])[:, 0]


def _only(where: "Where", what: str, market: Callable[[int], Market]) -> StratumLeak:
    """A feature that is the return of the next bar, in some rows only."""

    def column(prices: "pd.DataFrame") -> "pd.Series":
        import pandas as pd

        return pd.Series(np.where(where(prices), _coming_return(prices), np.nan))

    return StratumLeak(
        what, market, lambda describe: with_column(describe, "overnight_gap", column)
    )


def _gap_before(prices: "pd.DataFrame") -> "np.ndarray":
    steps = prices.groupby("symbol", sort=False)["timestamp"].diff().dt.total_seconds() / 86_400
    return np.asarray(steps > _AROUND)


def _around_splits(prices: "pd.DataFrame") -> "np.ndarray":
    acts = (prices["split"] != 1.0).astype(float)
    by_symbol = acts.groupby(prices["symbol"], sort=False)
    near = by_symbol.transform(
        lambda own: own.rolling(2 * _AROUND + 1, center=True, min_periods=1).max()
    )
    return np.asarray(near > 0)


def _stormy(prices: "pd.DataFrame") -> "np.ndarray":
    moves = np.log(prices["close"]).groupby(prices["symbol"], sort=False).diff().abs()
    recent = moves.groupby(prices["symbol"], sort=False)
    mean = recent.transform(lambda own: own.rolling(21).mean())
    return np.asarray(mean > _STORM)


def _week_ends(prices: "pd.DataFrame") -> "np.ndarray":
    return np.asarray(prices["session"].dt.weekday == _FRIDAY)


def _rank_by_date(
    describe: "Callable[[pd.DataFrame], FeatureTable]",
) -> "Callable[[pd.DataFrame], FeatureTable]":
    """The return's rank among all symbols of the same date, whenever they close."""

    def leaky(prices: "pd.DataFrame") -> "FeatureTable":
        table = describe(prices)
        values = table.values.copy()
        frame = prices[["session"]].assign(value=values[:, table.names.index("log_return_1")])
        ranks = frame.groupby("session")["value"].rank(pct=True)
        values[:, table.names.index("rank_log_return_21")] = ranks.to_numpy(dtype=np.float32)
        return replace(table, values=values)

    return leaky


def _average_by_date(
    describe: "Callable[[pd.DataFrame], FeatureTable]",
) -> "Callable[[pd.DataFrame], FeatureTable]":
    """The mean return of all symbols of the same date, whenever they close."""

    def leaky(prices: "pd.DataFrame") -> "FeatureTable":
        table = describe(prices)
        values = table.values.copy()
        frame = prices[["session"]].assign(value=values[:, table.names.index("log_return_1")])
        mean = frame.groupby("session")["value"].transform("mean")
        values[:, table.names.index("rank_log_return_21")] = mean.to_numpy(dtype=np.float32)
        return replace(table, values=values)

    return leaky


def _stocks(seed: int) -> Market:
    return Market(garch(STOCKS, seed))


def _two_venues(seed: int) -> Market:
    return Market(garch(NEW_YORK_AND_TOKYO, seed, bars=1_000))


STRATUM_LEAKS: Final = {
    "on Mondays": _only(
        lambda prices: (prices["session"].dt.weekday == 0).to_numpy(),
        "the next bar's return, on Mondays only",
        _stocks,
    ),
    "days 1 to 3 of a month": _only(
        lambda prices: (prices["session"].dt.day <= 3).to_numpy(),
        "the same, in the first three days of a month",
        _stocks,
    ),
    "the older half": _only(
        lambda prices: (prices["session"] < _HALF).to_numpy(),
        "the same, before the middle of 2021",
        _stocks,
    ),
    "one month": _only(
        lambda prices: (prices["session"].dt.month == 3).to_numpy(),
        "the same, in March",
        _stocks,
    ),
    "one symbol": _only(
        lambda prices: (prices["symbol"] == "U037").to_numpy(),
        "the same, of one symbol of sixty",
        MADE_UP["60 symbols, late listings, exits"],
    ),
    "in storm": _only(_stormy, "the same, where a month's mean move was above 1.6 %", _stocks),
    "one hour": _only(
        lambda prices: (prices["timestamp"].dt.hour == 18).to_numpy(),
        "the same, of hourly bars that close from 18:00 to 18:59 UTC",
        MADE_UP["shares, hourly"],
    ),
    "after a gap": _only(
        _gap_before,
        "the same, after missing sessions and weekends",
        lambda seed: Market(with_gaps(garch(STOCKS, seed), seed)),
    ),
    "around splits": _only(
        _around_splits,
        "the same, within two bars of a split",
        lambda seed: Market(with_actions(garch(STOCKS, seed), seed)),
    ),
    "the week's last bar": _only(
        _week_ends, "the same, in the last bar of a venue's week", _two_venues
    ),
    "rank by date": StratumLeak(
        "a return is ranked among all of its date, in Tokyo before New York has closed",
        _two_venues,
        _rank_by_date,
    ),
    "average by date": StratumLeak(
        "a date's mean return, in Tokyo before New York has closed", _two_venues, _average_by_date
    ),
}
"""Leaks that show in a stratum of the bars only."""
