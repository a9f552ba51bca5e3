"""Builds the feature table: one row per symbol and bar, known at that bar's close.

`build_features` describes a panel of prices for training and for the drift job;
`features_of_bars` describes a caller's own bars in the predictor. Both run `_describe`, so the
same bars give the same row, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Singles
from forecasting.errors import InvalidPrices, ShortHistory
from forecasting.features.indicators import Bars, ewma_volatility, indicators, log_returns
from forecasting.features.spec import MAX_ONE_HOT, FeatureSpec
from forecasting.features.variance import bar_variance
from forecasting.instants import nanoseconds, utc_index
from forecasting.prices.adjustment import symbol_bounds
from forecasting.ranks import CrossSection
from forecasting.schema import ACTIONS, OHLCV, SESSION, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MIN_SCALE",
    "FeatureSpec",
    "FeatureTable",
    "build_features",
    "features_of_bars",
]


MIN_SCALE: Final = 1e-5
"""Volatility per bar below which a price counts as standing still, and its row as unusable."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of a panel, one row per bar, in the order of the prices.

    Attributes:
        symbols: symbols in the order of their rows.
        codes: place of each row's symbol in `symbols`, int32 [n].
        timestamps: closes of the bars, int64 ns since 1970 UTC [n].
        sessions: trading dates, int64 ns since 1970 [n].
        close: raw closes in the quote currency, float64 [n].
        scale: volatility per bar known at the close, float64 [n]; NaN in a symbol's first row.
        variance: variance of the bar itself, from its range and the gap before it, float64 [n];
            NaN in a symbol's first row, and in all where the specification has no features of it.
            What a learned width is to forecast.
        values: float32 [n, k], C order; NaN before a feature's warm-up.
        names: names of the k columns.
        usable: whether the warm-up is over, every value is finite and the price moves, bool [n].
    """

    symbols: tuple[str, ...]
    codes: NDArray[np.int32]
    timestamps: Instants
    sessions: Instants
    close: Floats
    scale: Floats
    variance: Floats
    values: Singles
    names: tuple[str, ...]
    usable: NDArray[np.bool_] = field(repr=False)

    def row(self, number: int) -> tuple[Singles, float, float]:
        """Values float32 [k], scale and close of one row."""
        values = self.values[number].copy()
        return values, float(self.scale[number]), float(self.close[number])

    def to_frame(self) -> "pd.DataFrame":
        """A frame with symbol, timestamp, session, close, scale, variance, usable and k features."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.names), copy=False)
        label = np.array(self.symbols, dtype=object)[self.codes]
        times = utc_index(self.timestamps)
        frame.insert(0, SYMBOL, label)
        frame.insert(1, TIMESTAMP, times)
        frame.insert(2, SESSION, self.sessions.view("datetime64[ns]"))
        frame.insert(3, "close", self.close)
        frame.insert(4, "scale", self.scale)
        frame.insert(5, "variance", self.variance)
        frame.insert(6, "usable", self.usable)
        return frame

    @classmethod
    def from_frame(cls, frame: "pd.DataFrame") -> "FeatureTable":
        """The table that `to_frame` gave, e.g. after a round trip through Parquet.

        Raises:
            InvalidPrices: a column that every feature frame has is missing.
        """
        fixed = (SYMBOL, TIMESTAMP, SESSION, "close", "scale", "variance", "usable")
        missing = [column for column in fixed if column not in frame.columns]
        if missing:
            raise InvalidPrices(
                f"a feature frame has the columns {', '.join(fixed)}",
                f"missing {', '.join(missing)}",
                "Write it with FeatureTable.to_frame",
            )
        bounds = symbol_bounds(frame)
        names = [str(column) for column in frame.columns if column not in fixed]
        return cls(
            symbols=tuple(str(symbol) for symbol in frame[SYMBOL].to_numpy()[bounds[:-1]]),
            codes=_codes(bounds),
            timestamps=nanoseconds(frame[TIMESTAMP]),
            sessions=nanoseconds(frame[SESSION]),
            close=frame["close"].to_numpy(dtype=np.float64),
            scale=frame["scale"].to_numpy(dtype=np.float64),
            variance=frame["variance"].to_numpy(dtype=np.float64),
            values=np.ascontiguousarray(frame[names].to_numpy(dtype=np.float32)),
            names=tuple(names),
            usable=frame["usable"].to_numpy(dtype=np.bool_),
        )


def build_features(prices: "pd.DataFrame", spec: FeatureSpec) -> FeatureTable:
    """Describe every bar of a panel by what was known at its close.

    Values are scale free: prices enter as total-return ratios, volume as a z-score. Memory is
    the matrix, 4 * n * k bytes, and one symbol's indicators at a time.

    Args:
        prices: a validated price frame (`forecasting.schema`), rows by symbol, then time.
        spec: which features.

    Returns:
        One row per bar, in the order of `prices`.

    Raises:
        InvalidPrices: bars of a symbol do not stand together, or are not in rising time order.
    """
    bounds = symbol_bounds(prices)
    columns = {name: prices[name].to_numpy(dtype=np.float64) for name in (*OHLCV, *ACTIONS)}
    panel = _Panel(
        symbols=tuple(str(symbol) for symbol in prices[SYMBOL].to_numpy()[bounds[:-1]]),
        bounds=bounds,
        timestamps=nanoseconds(prices[TIMESTAMP]),
        sessions=nanoseconds(prices[SESSION]),
        columns=columns,
    )
    return _describe(panel, spec)


def features_of_bars(
    timestamps: Instants, ohlcv: Floats, spec: FeatureSpec, symbol: str = ""
) -> tuple[Singles, float, float]:
    """Describe the last of a caller's own bars, as `build_features` would in a panel of one.

    Args:
        timestamps: closes of the bars, int64 ns since 1970 UTC [t], strictly rising.
        ohlcv: open, high, low, close, volume; float64 [t, 5]; prices positive and finite, with
            splits and dividends already worked in, for the caller sends none.
        spec: which features.
        symbol: the symbol's name, if it has one the model may know.

    Returns:
        The feature row float32 [k], the scale (volatility per bar) and the last close.

    Raises:
        ShortHistory: there are fewer bars than `spec.warmup_bars`.
        InvalidPrices: times do not rise, or the price stands still.
    """
    if len(timestamps) < spec.warmup_bars:
        raise ShortHistory(
            f"a forecast needs {spec.warmup_bars} bars",
            f"got {len(timestamps)}",
            "Send a longer history",
        )
    columns = {name: np.ascontiguousarray(ohlcv[:, i]) for i, name in enumerate(OHLCV)}
    columns["dividend"] = np.zeros(len(timestamps))
    columns["split"] = np.ones(len(timestamps))
    bounds = np.array([0, len(timestamps)], dtype=np.int64)
    stamps = np.ascontiguousarray(timestamps, dtype=np.int64)
    table = _describe(_Panel((symbol,), bounds, stamps, stamps, columns), spec)
    if not table.usable[-1]:
        raise InvalidPrices(
            "a forecast needs prices that move",
            f"volatility per bar {table.scale[-1]:.3g} over the last bars, at least {MIN_SCALE:g} "
            "is needed",
            "Leave out the stretch in which the price stood still",
        )
    return table.row(-1)


@dataclass(frozen=True, eq=False)
class _Panel:
    """Prices as arrays: columns by name, float64 [n], rows of symbol i from bounds[i]."""

    symbols: tuple[str, ...]
    bounds: Instants
    timestamps: Instants
    sessions: Instants
    columns: Mapping[str, Floats]


def _describe(panel: _Panel, spec: FeatureSpec) -> FeatureTable:
    """Fill the matrix symbol by symbol, then rank across symbols."""
    bounds, timestamps, columns = panel.bounds, panel.timestamps, panel.columns
    rows, width = timestamps.size, len(spec.names)
    moment = CrossSection(timestamps)
    place = {name: column for column, name in enumerate(spec.names)}
    values = np.empty((rows, width), dtype=np.float32)
    scale, variance = np.empty(rows), np.full(rows, np.nan)
    usable = np.zeros(rows, dtype=np.bool_)
    to_rank = np.empty((len(spec.ranked), rows), dtype=np.float32)
    # One symbol's features are written row-wise here, then turned into the matrix at once.
    scratch = np.empty((width, int(np.diff(bounds).max())), dtype=np.float32)
    ranks = {name: row for row, name in enumerate(spec.ranked)}
    for number, symbol in enumerate(panel.symbols):
        span = slice(int(bounds[number]), int(bounds[number + 1]))
        _refuse_disorder(symbol, timestamps[span])
        bars = Bars.from_raw(
            timestamps[span],
            tuple(columns[name][span] for name in OHLCV),
            *(columns[name][span] for name in ACTIONS),
        )
        scale[span] = ewma_volatility(log_returns(bars))
        if spec.variance:
            variance[span] = bar_variance(bars)
        block = scratch[:, : span.stop - span.start]
        for name, series in indicators(bars, scale[span], variance[span], spec):
            block[place[name]] = series
            if name in ranks:
                to_rank[ranks[name], span] = block[place[name]]
                block[place[f"rank_{name}"]] = 0.5
        for name in spec.averaged:
            block[place[f"market_{name}"]] = block[place[name]]
        block[width - len(spec.identity) :] = _identity(symbol, spec)[:, None]
        values[span] = block.T
        settled = np.isfinite(block).all(axis=0) & (scale[span] > MIN_SCALE)
        usable[span][spec.warmup_bars - 1 :] = settled[spec.warmup_bars - 1 :]
    for name, row in ranks.items():
        values[:, place[f"rank_{name}"]] = moment.rank(to_rank[row])
    for name in spec.averaged:
        values[:, place[f"market_{name}"]] = moment.mean(values[:, place[name]])
    return FeatureTable(
        symbols=panel.symbols,
        codes=_codes(bounds),
        timestamps=timestamps,
        sessions=panel.sessions,
        close=columns["close"].copy(),
        scale=scale,
        variance=variance,
        values=values,
        names=spec.names,
        usable=usable,
    )


def _identity(symbol: str, spec: FeatureSpec) -> Singles:
    """The identity columns of one symbol, float32 [0, 1 or up to MAX_ONE_HOT]."""
    row = np.zeros(len(spec.identity), dtype=np.float32)
    if not len(row):
        return row
    known = spec.symbols.index(symbol) if symbol in spec.symbols else -1
    if len(spec.symbols) > MAX_ONE_HOT:
        row[0] = known
    elif known >= 0:
        row[known] = 1.0
    return row


def _refuse_disorder(symbol: str, timestamps: Instants) -> None:
    wrong = timestamps[1:] <= timestamps[:-1]
    if wrong.any():
        raise InvalidPrices(
            "bars of a symbol must be in strictly rising time order",
            f"{symbol or 'the bars'}: {int(wrong.sum())} of {timestamps.size} bars do not follow "
            f"the one before, first bar {int(np.argmax(wrong)) + 1}",
            "Sort the bars by time and drop duplicates",
        )


def _codes(bounds: Instants) -> NDArray[np.int32]:
    return np.repeat(np.arange(bounds.size - 1, dtype=np.int32), np.diff(bounds))
