"""Joins logged forecasts whose horizon has elapsed with the returns that were realised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.instants import nanoseconds
from forecasting.schema import QUANTILE_LEVELS, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

SCORED_HORIZONS: Final = (1, 5, 10, 20, 30)
"""Horizons, in bars, that are scored once they have elapsed."""

_BATCH: Final = 2_000
"""Forecasts that are laid out at a time."""

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class ForecastRows:
    """Logged forecasts, one row per forecast and horizon.

    Attributes:
        symbols, model_versions: [n].
        horizons: [n], in bars.
        as_of, targets: [n], unix nanoseconds: close of the last bar known, and of the bar meant.
        returns: [n, Q] forecast quantiles of the log return from `as_of` to the target.
    """

    symbols: Texts
    model_versions: Texts
    horizons: Instants
    as_of: Instants
    targets: Instants
    returns: Floats

    def __len__(self) -> int:
        return len(self.horizons)

    def take(self, rows: NDArray[Any]) -> "ForecastRows":
        """The rows a mask or an index array picks."""
        return ForecastRows(
            self.symbols[rows],
            self.model_versions[rows],
            self.horizons[rows],
            self.as_of[rows],
            self.targets[rows],
            self.returns[rows],
        )

    @classmethod
    def joined(cls, parts: "Sequence[ForecastRows]") -> "ForecastRows":
        """The rows of at least one part, in their order."""
        columns = ([getattr(part, name.name) for part in parts] for name in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))

    def once(self) -> "ForecastRows":
        """Each forecast once, the first row of it: a page that asks again must not weigh more."""
        if not len(self):
            return self
        key = np.rec.fromarrays([self.model_versions, self.symbols, self.as_of, self.horizons])
        return self.take(np.sort(np.unique(key, return_index=True)[1]))


@dataclass(frozen=True)
class PricePath:
    """What one symbol did.

    Attributes:
        timestamps: [t] bar closes in unix nanoseconds, rising.
        log_prices: [t] logs of the closes, adjusted for splits and dividends (total return).
        scale: [t] volatility of one bar's log return as the features define it, known at each
            bar; NaN where it is not known.
    """

    timestamps: Instants
    log_prices: Floats
    scale: Floats


@dataclass(frozen=True)
class Matured:
    """Forecasts with what really happened.

    Attributes:
        rows: the forecasts, each once.
        realised: [n] log total return from `as_of` to the target.
        scale: [n] volatility known at `as_of`.
        waiting: forecasts whose target lies after the symbol's newest bar.
        unpriced: forecasts without a realised return: the symbol or the bar of `as_of` is not
            stored, or no bar closed after it up to the target.
    """

    rows: ForecastRows
    realised: Floats
    scale: Floats
    waiting: int
    unpriced: int


def mature(rows: ForecastRows, paths: Mapping[str, PricePath]) -> Matured:
    """Join forecasts with prices.

    The outcome is the total return from the bar of `as_of` to the newest bar that closed at or
    before the target: what a holder had at that instant. One search per symbol.

    Args:
        rows: logged forecasts; repeated ones count once.
        paths: price path by symbol.
    """
    rows = rows.once()
    realised = np.full(len(rows), np.nan)
    scale = np.full(len(rows), np.nan)
    waiting = np.zeros(len(rows), dtype=bool)
    for symbol in np.unique(rows.symbols):
        path = paths.get(str(symbol))
        if path is None or not len(path.timestamps):
            continue
        own = np.flatnonzero(rows.symbols == symbol)
        start = np.searchsorted(path.timestamps, rows.as_of[own], side="left")
        priced = start < len(path.timestamps)
        start = np.minimum(start, len(path.timestamps) - 1)
        priced &= path.timestamps[start] == rows.as_of[own]
        end = np.searchsorted(path.timestamps, rows.targets[own], side="right") - 1
        late = rows.targets[own] > path.timestamps[-1]
        waiting[own] = late
        matured = priced & ~late & (end > start)
        realised[own[matured]] = path.log_prices[end[matured]] - path.log_prices[start[matured]]
        scale[own[matured]] = path.scale[start[matured]]
    known = np.isfinite(realised)
    return Matured(
        rows.take(known),
        realised[known],
        scale[known],
        int(waiting.sum()),
        int((~known & ~waiting).sum()),
    )


def forecast_rows(
    forecasts: Iterable[Mapping[str, Any]], horizons: tuple[int, ...] = SCORED_HORIZONS
) -> tuple[ForecastRows, int]:
    """Lay logged forecasts out as one row per horizon.

    Forecasts are taken some at a time, so that of a stream the arrays are all that is kept.

    Args:
        forecasts: mappings with symbol, model_version, as_of (unix nanoseconds), last_close,
            quantiles [h, Q] (prices) and target_times [h] (unix nanoseconds).
        horizons: which horizons, in bars; those a forecast does not reach are left out.

    Returns:
        The rows, and how many more were left out because their quantiles or last close are not
        positive prices at the published levels.
    """
    stream = iter(forecasts)
    parts = [_laid_out([], horizons)]
    while batch := list(islice(stream, _BATCH)):
        parts.append(_laid_out(batch, horizons))
    return ForecastRows.joined([rows for rows, _ in parts]), sum(damaged for _, damaged in parts)


def _laid_out(
    forecasts: Sequence[Mapping[str, Any]], horizons: tuple[int, ...]
) -> tuple[ForecastRows, int]:
    keys: list[tuple[str, str, int, int, int]] = []
    prices: list[tuple[float, ...]] = []
    damaged = 0
    width = len(QUANTILE_LEVELS)
    for forecast in forecasts:
        quantiles, targets = forecast["quantiles"], forecast["target_times"]
        for horizon in horizons:
            if horizon > min(len(quantiles), len(targets)):
                continue
            try:
                row = (float(forecast["last_close"]), *map(float, quantiles[horizon - 1]))
                target = int(targets[horizon - 1])
            except (TypeError, ValueError):
                row = ()
            if len(row) != width + 1:
                damaged += 1
                continue
            prices.append(row)
            keys.append(
                (forecast["symbol"], forecast["model_version"], horizon, forecast["as_of"], target)
            )
    table = np.array(prices, dtype=np.float64).reshape(len(keys), width + 1)
    good: NDArray[np.bool_] = np.all(np.isfinite(table) & (table > 0), axis=1)
    symbols, versions, bars, as_of, targets = zip(*keys, strict=True) if keys else ((),) * 5
    with np.errstate(all="ignore"):
        returns = np.log(table[:, 1:] / table[:, :1])
    rows = ForecastRows(
        np.array(symbols, dtype=np.str_),
        np.array(versions, dtype=np.str_),
        np.array(bars, dtype=np.int64),
        np.array(as_of, dtype=np.int64),
        np.array(targets, dtype=np.int64),
        returns,
    )
    return rows.take(good), damaged + int((~good).sum())


def price_paths(prices: "pd.DataFrame") -> dict[str, PricePath]:
    """What every symbol of a validated price frame did, splits and dividends included."""
    from forecasting.features.indicators import ewma_volatility
    from forecasting.prices.adjustment import adjust, symbol_bounds

    instants = nanoseconds(prices[TIMESTAMP])
    logs = np.log(adjust(prices)["close"].to_numpy(dtype=np.float64))
    symbols = prices[SYMBOL].to_numpy(dtype=object)
    bounds = symbol_bounds(prices).tolist()
    paths = {}
    for start, stop in pairwise(bounds):
        moves = np.diff(logs[start:stop], prepend=np.nan)
        scale = ewma_volatility(moves) if stop - start > 1 else np.full(1, np.nan)
        paths[str(symbols[start])] = PricePath(instants[start:stop], logs[start:stop], scale)
    return paths
