"""The training set: features known at a bar's close beside the returns that followed."""

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Rows
from forecasting.errors import InvalidInput, ShortHistory
from forecasting.features.variance import LEAST_RATIO
from forecasting.models.cross_validation import Fold, walk_forward
from forecasting.models.quantiles import KNOT_COLUMNS, KNOTS
from forecasting.models.width import learns_width
from forecasting.schema import MAX_HORIZON

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable

INNER_FOLDS: Final = 3
INNER_INITIAL: Final = 0.4
"""Folds inside a training window, and the share of its instants before the first of them."""


@dataclass(frozen=True)
class Window:
    """Rows a search may look at: all of them lie before the first test span.

    Attributes:
        x: float32 [n, k] features.
        z: float64 [n, K] or [n, 2 K] what is taught, see `Examples.targets`; NaN where unknown.
        timestamps: int64 [n] bar closes, ns.
        codes: int32 [n] symbol of each row.
        names: the k feature names.
    """

    x: NDArray[np.float32]
    z: Floats
    timestamps: NDArray[np.int64]
    codes: NDArray[np.int32]
    names: tuple[str, ...] = ()

    def folds(self) -> list[Fold]:
        """The walk-forward inside the window, purged and embargoed like the outer one.

        Raises:
            ShortHistory: the window is too short to be cut again.
        """
        try:
            return walk_forward(
                self.timestamps, self.codes, folds=INNER_FOLDS, initial=INNER_INITIAL
            )
        except ShortHistory as short:
            raise ShortHistory(
                f"searching inside the training window: {short.rule}",
                f"{len(np.unique(self.timestamps))} instants lie before the first test span",
                "Give a longer history, or train without search and selection",
            ) from short


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: features known at a bar's close beside the returns that followed.

    Attributes:
        symbols: the symbols `codes` count.
        names: the k feature names.
        codes: int32 [n] symbol of each row.
        timestamps: int64 [n] bar closes, ns.
        close: float64 [n] last close, raw.
        scale: float64 [n] volatility of one bar's log return, positive.
        x: float32 [n, k] features, finite.
        returns: float32 [n, H] log total returns, NaN where the future is not known.
        log_widths: float32 [n, K] logs of the realised volatility over the next h bars at the knot
            horizons, over scale * sqrt(h); NaN where the future, or the bars' variance, is not known.
    """

    symbols: tuple[str, ...]
    names: tuple[str, ...]
    codes: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    close: Floats
    scale: Floats
    x: NDArray[np.float32]
    returns: NDArray[np.float32]
    log_widths: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, table: "FeatureTable", returns: NDArray[np.floating]) -> "Examples":
        """The usable rows of a feature table with their returns [n, H], row by row.

        Raises:
            InvalidInput: the two do not have the same rows, or H is not MAX_HORIZON.
            ShortHistory: no row is usable.
        """
        if returns.shape != (len(table.codes), MAX_HORIZON):
            raise InvalidInput(
                "training needs the returns of every row of the feature table",
                f"returns {returns.shape}, table {len(table.codes)} rows, {MAX_HORIZON} horizons",
                "Compute them from the same prices: horizon_returns(prices, range(1, 31))",
            )
        rows = np.flatnonzero(table.usable & np.isfinite(table.scale) & (table.scale > 0))
        if not len(rows):
            raise ShortHistory(
                "training needs rows past the features' warm-up",
                f"0 of {len(table.codes)} bars",
                "Give a longer history",
            )
        return cls(
            symbols=tuple(table.symbols),
            names=tuple(table.names),
            codes=table.codes[rows],
            timestamps=table.timestamps[rows],
            close=table.close[rows],
            scale=table.scale[rows],
            x=np.ascontiguousarray(table.values[rows], dtype=np.float32),
            returns=returns[rows].astype(np.float32, copy=False),
            log_widths=_log_widths(table, rows),
        )

    def standardised(self) -> NDArray[np.float32]:
        """Returns [n, H] over scale * sqrt(h)."""
        root = np.sqrt(np.arange(1.0, self.returns.shape[1] + 1))
        z = np.empty_like(self.returns)
        np.divide(self.returns, self.scale[:, None], out=z, casting="same_kind")
        np.divide(z, root, out=z, casting="same_kind")
        return z

    def rows(self, place: Rows) -> Self:
        """The examples of these rows, in this order."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen: dict[str, Any] = {
            name: column[place]
            for name, column in columns.items()
            if isinstance(column, np.ndarray)
        }
        return replace(self, **chosen)

    def targets(self, kind: str, z: NDArray[np.floating]) -> Floats:
        """What a candidate is taught at the knots, float64; NaN where not known.

        Standardised returns [n, K]; for one that learns widths [n, 2 K], the logs of realised
        volatility before them.

        Args:
            kind: the candidate.
            z: the `standardised` returns [n, H].
        """
        returns = at_knots(z)
        if not learns_width(kind):
            return returns
        return np.hstack([self.log_widths.astype(np.float64), returns])

    def window(self, rows: NDArray[np.intp], targets: Floats, columns: NDArray[np.intp]) -> Window:
        """The part of the examples a search may look at: rows, their targets, and columns."""
        x = self.x[rows] if len(columns) == len(self.names) else self.x[np.ix_(rows, columns)]
        names = tuple(self.names[column] for column in columns)
        return Window(x, targets[rows], self.timestamps[rows], self.codes[rows], names)


def _log_widths(table: "FeatureTable", rows: Rows) -> NDArray[np.float32]:
    """Logs of the root mean variance of the next h bars over the scale, float32 [rows, K].

    A bar's variance is read from its range and the gap before it, see `features.variance`: over
    few bars it tells far more of the volatility than the return does.
    """
    found = np.full((len(table.codes), len(KNOTS)), np.nan)
    bounds = np.searchsorted(table.codes, np.arange(len(table.symbols) + 1))
    for start, stop in pairwise(bounds.tolist()):
        total = np.concatenate([[0.0], np.cumsum(table.variance[start + 1 : stop])])
        for column, horizon in enumerate(KNOTS):
            if horizon < stop - start:
                ahead = total[horizon:] - total[:-horizon]
                found[start : stop - horizon, column] = np.maximum(ahead, 0.0) / horizon
    ratio = np.maximum(found[rows] / np.square(table.scale[rows])[:, None], LEAST_RATIO)
    logs: NDArray[np.float32] = (0.5 * np.log(ratio)).astype(np.float32)
    return logs


def at_knots(z: NDArray[np.floating]) -> Floats:
    """Columns [n, K] of standardised returns [n, H] that a model learns."""
    knots: Floats = z[:, KNOT_COLUMNS].astype(np.float64)
    return knots
