"""Quantiles, probabilities and signals from a model's location and width of the return.

Everything here is NumPy on arrays that are already in hand: the walk-forward evaluation and the
predictor's hot path run the same lines. Notation: n rows, K knot horizons, H horizons 1..H in
bars, G levels of the calibration's grid, Q published levels. The forecast log return at horizon h
and level q is `scale * sqrt(h) * (loc_h + width_h * calibration[h - 1, q])`; a model that learns no
width leaves it at 1. Locations, and logs of widths, are linear in h between the knots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidRequest
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS

KNOTS: Final = (1, 2, 3, 5, 10, 15, 20, 30)
"""Horizons, in bars, whose location a model learns; the others are interpolated between them."""

KNOT_COLUMNS: Final = np.array(KNOTS) - 1
"""Columns of arrays over horizons 1..H that hold the knots."""

GRID: Final = (0.005, *(percent / 100 for percent in range(1, 100)), 0.995)
"""Levels that a calibration is made at; the published levels lie on it. A bundle brings the grid of
its own calibration, see `QuantileTable`."""

SIGNALS: Final = ("sell", "hold", "buy")
"""Signals by `1 + side`, where side is -1, 0 or 1."""

MOST_WIDTH: Final = 4.0
"""Largest width over scale * sqrt(h), and one over the smallest, that a model is believed."""

_MOST_LOG_WIDTH: Final = float(np.log(MOST_WIDTH))


def interpolation_matrix(horizon: int = MAX_HORIZON, knots: Sequence[int] = KNOTS) -> Floats:
    """Weights [K, horizon] that carry knot locations to horizons 1..horizon, linearly in h.

    Raises:
        InvalidRequest: the horizon is not within 1 and the last knot.
    """
    if not 1 <= horizon <= knots[-1]:
        raise InvalidRequest(
            f"a horizon must be a whole number of bars from 1 to {knots[-1]}", str(horizon)
        )
    steps = np.arange(1.0, horizon + 1)
    return np.stack([np.interp(steps, knots, unit) for unit in np.eye(len(knots))])


def grid_columns(levels: Sequence[float], grid: Sequence[float] = GRID) -> NDArray[np.intp]:
    """Columns of a calibration that hold these levels.

    Args:
        levels: the levels asked for.
        grid: the calibration's levels, rising.

    Raises:
        InvalidRequest: a level does not lie on the grid.
    """
    known, wanted = np.array(grid), np.array(levels)
    columns: NDArray[np.intp] = np.abs(known - wanted[:, None]).argmin(axis=1)
    if not np.allclose(known[columns], wanted, rtol=0, atol=1e-9):
        raise InvalidRequest(
            f"quantile levels must lie on the calibration's grid, {len(grid)} levels from "
            f"{grid[0]:g} to {grid[-1]:g}",
            f"levels {tuple(levels)}",
        )
    return columns


@dataclass(frozen=True)
class QuantileTable:
    """A calibration with all that does not depend on the request worked out beforehand.

    Attributes:
        calibration: [H, G] quantiles of the standardised residual, rising along G.
        grid: [G] their levels, rising.
        knots: the K horizons whose locations are given, from 1 to H.
        root: [H] square roots of the horizons 1..H.
        weights: [K, H] interpolation weights of the knots.
        lift: [K, H] interpolation weights times `root`: knot location -> location of r / scale.
        spread: [H, Q] published calibration columns times `root`.
        levels: the Q published levels.
        shift: [H] what is added to each row so that the rows stand one after the other.
        chain: [H * G] the shifted rows, rising throughout.
        chain_levels: [H * G] their levels.
    """

    calibration: Floats
    grid: Floats
    knots: tuple[int, ...]
    root: Floats
    weights: Floats
    lift: Floats
    spread: Floats
    levels: tuple[float, ...]
    shift: Floats
    chain: Floats
    chain_levels: Floats

    @classmethod
    def of(
        cls,
        calibration: Floats,
        levels: Sequence[float] = QUANTILE_LEVELS,
        *,
        grid: Sequence[float] = GRID,
        knots: Sequence[int] = KNOTS,
    ) -> "QuantileTable":
        """Work the table out for a calibration.

        Args:
            calibration: [H, G] quantiles of the standardised residual, rising along G.
            levels: the levels to publish, on the grid.
            grid: the G levels of the calibration, rising.
            knots: horizons whose locations and widths are given, rising from 1 to at least H.

        Raises:
            InvalidRequest: the calibration has another number of columns than the grid, a level is
                not on the grid, or the knots end before the calibration does.
        """
        if calibration.shape[1] != len(grid):
            raise InvalidRequest(
                "a calibration must have a column for each level of its grid",
                f"{calibration.shape[1]} columns, {len(grid)} levels",
                "Pass the grid that the calibration was made with",
            )
        root = np.sqrt(np.arange(1.0, len(calibration) + 1))
        weights = interpolation_matrix(len(calibration), knots)
        stride = 2.0 ** np.ceil(np.log2(np.ptp(calibration) + 1.0))
        shift = stride * np.arange(len(calibration))
        return cls(
            calibration=np.ascontiguousarray(calibration, dtype=np.float64),
            grid=np.array(grid),
            knots=tuple(knots),
            root=root,
            weights=weights,
            lift=weights * root,
            # Indexed by columns it lies in memory column by column, and so would every forecast.
            spread=np.ascontiguousarray(calibration[:, grid_columns(levels, grid)] * root[:, None]),
            levels=tuple(levels),
            shift=shift,
            chain=(calibration + shift[:, None]).ravel(),
            chain_levels=np.tile(grid, len(calibration)),
        )

    def returns(
        self,
        loc: Floats,
        scale: Floats,
        horizon: int | None = None,
        log_width: Floats | None = None,
    ) -> Floats:
        """Quantiles [n, horizon, Q] of the log return for locations [n, K] and scales [n].

        Args:
            loc: locations [n, K] at the knots.
            scale: volatility per bar [n].
            horizon: bars to look ahead; None for all H.
            log_width: logs [n, K] of the widths at the knots; None where they are all 1.
        """
        return self._returns(*self._centre_and_width(loc, horizon, log_width), scale)

    def prices(
        self,
        loc: Floats,
        scale: Floats,
        close: Floats,
        horizon: int | None = None,
        log_width: Floats | None = None,
    ) -> Floats:
        """Quantiles [n, horizon, Q] of the price, for last closes [n]; else as `returns`."""
        return _priced(self.returns(loc, scale, horizon, log_width), close)

    def forecast(
        self,
        loc: Floats,
        scale: Floats,
        close: Floats,
        horizon: int | None = None,
        log_width: Floats | None = None,
        *,
        cost: float,
        signal_horizon: int,
    ) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
        """What `prices`, `rise` and `beyond` give, the last at the signal's horizon.

        Centres and widths are worked out once for all of them.
        """
        centre, width = self._centre_and_width(loc, horizon, log_width)
        prices = _priced(self._returns(centre, width, scale), close)
        row = signal_horizon - 1
        if row < centre.shape[1]:
            own = None if width is None else width[:, row]
            beyond = self._beyond(centre[:, row], own, scale, cost, row)
        else:
            beyond = self.beyond(loc, scale, cost, signal_horizon, log_width)
        return prices, self._rise(centre, width), beyond

    def beyond(
        self,
        loc: Floats,
        scale: Floats,
        cost: float,
        horizon: int,
        log_width: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """P(log return > cost) [n] and P(log return <= -cost) [n] at one horizon.

        Linear between the grid's quantiles, and never beyond its ends: see `distribution`.
        """
        row = horizon - 1
        width = None if log_width is None else widths_of(log_width, self.weights[:, row])
        return self._beyond(loc @ self.lift[:, row], width, scale, cost, row)

    def _beyond(
        self, centre: Floats, width: Floats | None, scale: Floats, cost: float, row: int
    ) -> tuple[Floats, Floats]:
        calibration, root = self.calibration[row], self.root[row]
        centre = centre / root
        step = (cost / root) / scale
        if width is not None:
            centre, step = centre / width, step / width
        above = 1.0 - np.interp(step - centre, calibration, self.grid)
        return above, np.interp(-step - centre, calibration, self.grid)

    def rise(
        self, loc: Floats, horizon: int | None = None, log_width: Floats | None = None
    ) -> Floats:
        """P(log return > 0) [n, horizon]; the scale does not matter at zero."""
        return self._rise(*self._centre_and_width(loc, horizon, log_width))

    def _centre_and_width(
        self, loc: Floats, horizon: int | None, log_width: Floats | None
    ) -> tuple[Floats, Floats | None]:
        """Location of r / scale and width over scale * sqrt(h), each [n, horizon]; None for 1."""
        centre = loc @ self.lift[:, :horizon]
        if log_width is None:
            return centre, None
        return centre, widths_of(log_width, self.weights[:, :horizon])

    def _returns(self, centre: Floats, width: Floats | None, scale: Floats) -> Floats:
        spread = self.spread[: centre.shape[1]]
        quantiles: Floats
        if width is None:
            quantiles = centre[:, :, None] + spread
        else:
            quantiles = width[:, :, None] * spread
            quantiles += centre[:, :, None]
        quantiles *= scale[:, None, None]
        return quantiles

    def _rise(self, centre: Floats, width: Floats | None) -> Floats:
        point = centre / -self.root[: centre.shape[1]]
        if width is not None:
            point /= width
        return 1.0 - self.distribution(point)

    def distribution(self, point: Floats) -> Floats:
        """P(standardised residual <= point) [n, h] for points [n, h] at horizons 1..h.

        Linear between the grid's quantiles; beyond its ends the end's own level (0.005 and 0.995,
        in calibrations of before 0.01 and 0.99), as the grid says no more. All horizons are looked
        up at once in the chained rows.
        """
        rows = self.calibration[: point.shape[1]]
        inside = np.minimum(np.maximum(point, rows[:, 0]), rows[:, -1])
        inside += self.shift[: point.shape[1]]
        level: Floats = np.interp(inside, self.chain, self.chain_levels)
        return level


def widths_of(log_width: Floats, weights: Floats) -> Floats:
    """Widths over scale * sqrt(h), for their logs [n, K] at the knots and weights [K, H] or [K]."""
    # Two ufuncs take a third of the time of np.clip, which a request for one symbol waits for.
    bounded = np.minimum(np.maximum(log_width, -_MOST_LOG_WIDTH), _MOST_LOG_WIDTH)
    widths: Floats = np.exp(bounded @ weights)
    return widths


def _priced(returns: Floats, close: Floats) -> Floats:
    """Prices [n, horizon, Q], in the place of their log returns."""
    np.exp(returns, out=returns)
    returns *= close[:, None, None]
    return returns


def sides(above: Floats, below: Floats, threshold: float) -> NDArray[np.int8]:
    """Side of the signal [n]: 1 buy, -1 sell, 0 hold.

    Args:
        above: [n] P(log return > cost) at the signal's horizon.
        below: [n] P(log return < -cost) at the signal's horizon.
        threshold: probability a side needs. If both reach it, the likelier one wins.
    """
    buy = (above >= threshold) & (above >= below)
    sell = (below >= threshold) & (below > above)
    return buy.astype(np.int8) - sell.astype(np.int8)


def signals(above: Floats, below: Floats, threshold: float) -> list[str]:
    """The signal of every row by name: buy, hold or sell; see `sides`."""
    return [SIGNALS[1 + int(side)] for side in sides(above, below, threshold)]
