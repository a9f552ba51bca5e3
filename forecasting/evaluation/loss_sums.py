"""Adds up losses of a whole panel of forecasts, a block of rows at a time.

Losses are divided by `scale * sqrt(h)`, the volatility known when the forecast was made and the
same for every candidate, so that neither a wild symbol nor a long horizon outvotes the rest.
Over horizons they are averaged with weights 1/h: of forecasts h bars ahead only one in h does not
repeat bars of the one before, so that is how much evidence they carry.
Blocks keep the temporary arrays in the processor's cache: 750,000 rows x 30 horizons x 5 levels
cost seconds and a few tens of megabytes beyond the forecasts themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Rows
from forecasting.errors import InvalidInput, ShortHistory
from forecasting.evaluation.losses import BANDS, crps_weights, level_index, loss_units, scale_floor
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.periods import Periods, overlap_of
from forecasting.models.quantiles import interpolation_matrix

BLOCK = 4_096
"""Rows worked on at once."""

_SAME = ("codes", "timestamps", "fold", "close", "scale", "realised")


@dataclass(frozen=True)
class Panel:
    """What all candidates share: which forecasts were made when, and what came.

    Periods are dates or closes, see `forecasting.models.periods`.

    Attributes:
        symbols: names, in the order of `codes`.
        codes: symbol of each row, shape [n].
        periods: number of each row's period in time order, 0..T-1, shape [n].
        instants: start of the date, or close of the bar, of each period, int64 ns, shape [T].
        folds: walk-forward fold of each period, shape [T].
        scale: volatility of each row, floored at a tenth of the symbol's median, shape [n].
        realised: log returns to each horizon, NaN where unknown, float32 [n, H].
        stride: periods per bar; above 1 where symbols trade on different days or hours.
    """

    symbols: tuple[str, ...]
    codes: Rows
    periods: Rows
    instants: NDArray[np.int64]
    folds: NDArray[np.int16]
    scale: Floats
    realised: NDArray[np.float32]
    stride: float

    @property
    def horizon(self) -> int:
        """Longest horizon, bars."""
        return int(self.realised.shape[1])

    def lags(self, horizon: int) -> int:
        """Periods that two overlapping forecasts `horizon` bars ahead can be apart."""
        return overlap_of(horizon, self.stride) - 1

    @cached_property
    def known(self) -> NDArray[np.int64]:
        """Number of known outcomes per symbol and horizon, shape [S, H]."""
        finite = np.isfinite(self.realised)
        return np.stack(
            [
                np.bincount(self.codes, weights=finite[:, h], minlength=len(self.symbols))
                for h in range(self.horizon)
            ],
            axis=1,
        ).astype(np.int64)


@dataclass(frozen=True)
class LossSums:
    """Sums of one candidate's losses. T periods, S symbols, H horizons, Q levels.

    Attributes:
        count: known outcomes per period and horizon, shape [T, H].
        pinball: sum of scaled mean pinball losses, shape [T, H].
        crps: sum of scaled CRPS, shape [T, H].
        symbol_pinball: sum of scaled mean pinball losses, shape [S, H].
        symbol_crps: sum of scaled CRPS, shape [S, H].
        symbol_error: sum of absolute errors of the median, log return, shape [S, H].
        symbol_inside: outcomes inside the central interval, per nominal coverage, each [S, H].
        below: outcomes at or below each quantile, shape [H, Q].
        width: sum of interval widths (log return, known outcomes), per nominal coverage, [H].
        row_pinball: scaled mean pinball of each row, known horizons weighted 1/h, shape [n].
        period_inside: outcomes inside the 90 % interval, shape [T, H].
    """

    count: Floats
    pinball: Floats
    crps: Floats
    symbol_pinball: Floats
    symbol_crps: Floats
    symbol_error: Floats
    symbol_inside: dict[float, Floats]
    below: Floats
    width: dict[float, Floats]
    row_pinball: NDArray[np.float32]
    period_inside: Floats

    @cached_property
    def series(self) -> Floats:
        """Mean scaled pinball loss per period over symbols and horizons, NaN if unknown, [T]."""
        weights = horizon_weights(self.count.shape[1])
        return _ratio(self.pinball @ weights, self.count @ weights)

    @cached_property
    def horizon_series(self) -> Floats:
        """Mean scaled pinball loss per period and horizon, NaN where unknown, shape [T, H]."""
        return _ratio(self.pinball, self.count)


def horizon_weights(horizon: int) -> Floats:
    """Weights 1/h of the horizons 1..horizon, shape [horizon]."""
    weights: Floats = 1.0 / np.arange(1.0, horizon + 1)
    return weights


def panel_of(candidates: Mapping[str, OutOfSample]) -> Panel:
    """The rows all candidates share.

    Raises:
        InvalidInput: candidates differ in their rows, or carry numbers that cannot be scored.
        ShortHistory: there are no forecasts whose outcome is known.
    """
    if not candidates:
        raise InvalidInput("an evaluation needs at least one candidate", "none was given")
    names = list(candidates)
    first = candidates[names[0]]
    for name in names[1:]:
        _refuse_other_rows(names[0], first, name, candidates[name])
    if not np.isfinite(first.realised).any():
        raise ShortHistory(
            "an evaluation needs outcomes that are known",
            f"{len(first)} forecasts, none of them has come due",
            "Give more history, or fewer or shorter horizons",
        )
    if not ((first.scale > 0) & np.isfinite(first.scale)).all():
        bad = int((~((first.scale > 0) & np.isfinite(first.scale))).sum())
        raise InvalidInput(
            "every forecast needs a positive volatility",
            f"{bad} of {len(first)} rows have none",
            "Leave out rows that `FeatureTable.usable` marks as not usable",
        )
    codes = np.asarray(first.codes, dtype=np.intp)
    periods = Periods.of(first.timestamps, codes)
    folds = np.zeros(periods.instants.size, dtype=np.int16)
    np.maximum.at(folds, periods.places, first.fold)
    return Panel(
        symbols=first.symbols,
        codes=codes,
        periods=periods.places,
        instants=periods.instants,
        folds=folds,
        scale=_floored(first.scale, codes, len(first.symbols)),
        realised=first.realised,
        stride=periods.stride,
    )


def sum_losses(candidate: OutOfSample, panel: Panel, *, moved: Floats | None = None) -> LossSums:
    """Add up a candidate's losses over the panel.

    Args:
        candidate: its forecasts.
        panel: the rows all candidates share.
        moved: what is added to its locations at the knots, [n, K]; the quantiles move along, a
            block at a time. None: they stay where they are.

    Raises:
        InvalidInput: a quantile is not finite.
    """
    levels = np.asarray(candidate.levels, dtype=np.float32)
    weights = np.stack(
        [np.full(levels.size, 1 / levels.size), 2 * crps_weights(candidate.levels)], axis=1
    ).astype(np.float32)
    rows, horizon = panel.realised.shape
    steps = np.arange(1, horizon + 1, dtype=np.float32)
    lift = interpolation_matrix(horizon) * np.sqrt(steps)
    weight = horizon_weights(horizon).astype(np.float32)
    sums = _zeros(panel, levels.size)
    for start in range(0, rows, BLOCK):
        block = slice(start, min(start + BLOCK, rows))
        quantiles = np.asarray(candidate.quantiles[block], dtype=np.float32)
        if moved is not None:
            move = candidate.scale[block, None] * (moved[block] @ lift)
            quantiles = quantiles + move[:, :, None].astype(np.float32)
        known = np.isfinite(panel.realised[block])
        realised = np.where(known, panel.realised[block], np.float32(0))
        error = realised[:, :, None] - quantiles
        loss = np.maximum(levels * error, (levels - 1) * error) @ weights
        if not np.isfinite(loss).all():
            raise InvalidInput(
                "every forecast quantile must be finite",
                f"{candidate.kind} has others among rows {block.start} to {block.stop - 1}",
                "Train the candidate again; its calibration or its features are broken",
            )
        share = known / loss_units(panel.scale[block].astype(np.float32)[:, None], steps)
        loss *= share[:, :, None]
        row_sum, row_count = loss[:, :, 0] @ weight, known @ weight
        np.divide(row_sum, row_count, out=sums.row_pinball[block], where=row_count > 0)
        by_period = _indicator(panel.periods[block], panel.instants.size)
        by_symbol = _indicator(panel.codes[block], len(panel.symbols))
        sums.count[:] += by_period @ known
        sums.pinball[:] += by_period @ loss[:, :, 0]
        sums.crps[:] += by_period @ loss[:, :, 1]
        sums.symbol_pinball[:] += by_symbol @ loss[:, :, 0]
        sums.symbol_crps[:] += by_symbol @ loss[:, :, 1]
        middle = level_index(0.5, candidate.levels)
        sums.symbol_error[:] += by_symbol @ (np.abs(error[:, :, middle]) * known)
        not_above = error <= 0
        sums.below[:] += np.count_nonzero(not_above & known[:, :, None], axis=0)
        for band, ends in BANDS.items():
            low, high = (level_index(level, candidate.levels) for level in ends)
            within = (error[:, :, low] >= 0) & not_above[:, :, high] & known
            sums.symbol_inside[band] += by_symbol @ within
            sums.width[band] += ((quantiles[:, :, high] - quantiles[:, :, low]) * known).sum(axis=0)
            if band == 0.9:
                sums.period_inside[:] += by_period @ within
    return sums


def _zeros(panel: Panel, levels: int) -> LossSums:
    times, names, horizon = panel.instants.size, len(panel.symbols), panel.horizon
    return LossSums(
        count=np.zeros((times, horizon)),
        pinball=np.zeros((times, horizon)),
        crps=np.zeros((times, horizon)),
        symbol_pinball=np.zeros((names, horizon)),
        symbol_crps=np.zeros((names, horizon)),
        symbol_error=np.zeros((names, horizon)),
        symbol_inside={band: np.zeros((names, horizon)) for band in BANDS},
        below=np.zeros((horizon, levels)),
        width={band: np.zeros(horizon) for band in BANDS},
        row_pinball=np.full(len(panel.codes), np.nan, dtype=np.float32),
        period_inside=np.zeros((times, horizon)),
    )


def _indicator(groups: Rows, count: int) -> Any:
    """Sparse matrix [count, n] that adds up the rows of each group."""
    from scipy.sparse import csr_matrix

    return csr_matrix(
        (np.ones(groups.size), (groups, np.arange(groups.size))), (count, groups.size)
    )


def _refuse_other_rows(name: str, first: OutOfSample, other: str, second: OutOfSample) -> None:
    same = first.symbols == second.symbols and first.levels == second.levels
    difference = "" if same else "symbols or levels"
    for field in _SAME:
        if difference:
            break
        left, right = getattr(first, field), getattr(second, field)
        if left is not right and not (
            left.shape == right.shape
            and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
        ):
            difference = field
    if not difference and first.quantiles.shape != second.quantiles.shape:
        difference = "quantiles (shape)"
    if difference:
        raise InvalidInput(
            "candidates are compared on the same forecasts",
            f"{name} and {other} differ in {difference}",
            "Train them on the same snapshot with the same folds",
        )


def _floored(scale: Floats, codes: Rows, symbols: int) -> Floats:
    """Every row's volatility, not below the floor of its symbol."""
    floor = np.zeros(symbols)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(symbols + 1))
    for code in range(symbols):
        rows = order[bounds[code] : bounds[code + 1]]
        floor[code] = scale_floor(scale[rows])
    return np.maximum(scale, floor[codes])


def _ratio(total: Floats, count: Floats) -> Floats:
    ratio: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return ratio
