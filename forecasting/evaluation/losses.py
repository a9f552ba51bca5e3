"""Losses of quantile forecasts: pinball loss, CRPS weights, median error and coverage.

Every function is vectorised over the leading axes. NaN in `realised` (a future not known yet)
comes out as NaN where a loss is asked for, so callers average with weights or `nanmean`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import AnyFloats
from forecasting.errors import InvalidInput
from forecasting.schema import QUANTILE_LEVELS

BANDS = {0.5: (0.25, 0.75), 0.9: (0.05, 0.95)}
"""Central intervals that are reported: nominal coverage -> the levels of their two ends."""


def level_index(level: float, levels: Sequence[float] = QUANTILE_LEVELS) -> int:
    """Position of `level` among the published quantile levels.

    Raises:
        InvalidInput: the level is not published.
    """
    for index, candidate in enumerate(levels):
        if abs(candidate - level) < 1e-9:
            return index
    raise InvalidInput(
        "a forecast is scored at its own quantile levels",
        f"level {level:g} is not among {', '.join(f'{x:g}' for x in levels)}",
        "Publish that level, or score another one",
    )


def pinball(
    realised: AnyFloats, quantiles: AnyFloats, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Pinball (quantile) loss per level: (y - q) * level if y >= q, else (q - y) * (1 - level).

    The one loss whose expectation is least at the true quantile (Koenker & Bassett, 1978).

    Args:
        realised: what happened, shape [...].
        quantiles: forecast quantiles, same unit, shape [..., Q].
        levels: Q probabilities, rising.

    Returns:
        Losses in the unit of `realised`, shape [..., Q], never negative.
    """
    error = realised[..., None] - quantiles
    share = np.asarray(levels, dtype=error.dtype)
    return np.maximum(share * error, (share - 1) * error)


def mean_pinball(
    realised: AnyFloats, quantiles: AnyFloats, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Pinball loss averaged over the levels with equal weights, shape [...]."""
    return np.asarray(pinball(realised, quantiles, levels).mean(axis=-1))


def loss_units(scale: AnyFloats, horizons: NDArray[Any]) -> AnyFloats:
    """What a loss is divided by before losses are averaged: scale * sqrt(h).

    It is the volatility expected over the horizon when the forecast was made. Divided by it the
    losses of a calm symbol weigh as much as those of a wild one, and those far ahead as the near
    ones. Every loss that is averaged over symbols, offline and live, is divided by it: the *scaled*
    pinball loss.

    Args:
        scale: volatility of one bar's log return known at the forecast's origin, not below
            `scale_floor` of its symbol.
        horizons: in bars, of a shape that broadcasts with `scale`.
    """
    return np.asarray(scale * np.sqrt(horizons))


def scale_floor(scale: AnyFloats) -> float:
    """The least volatility a symbol's losses are divided by: a tenth of its median.

    Else a stretch of frozen prices would blow them up.

    Args:
        scale: volatilities of one symbol, shape [n]; those that are not known (NaN) do not count.

    Returns:
        The floor; 0 where no volatility is known.
    """
    known = scale[np.isfinite(scale)]
    return 0.1 * float(np.median(known)) if known.size else 0.0


def crps_weights(levels: Sequence[float] = QUANTILE_LEVELS) -> NDArray[np.float64]:
    """Weights w of the approximation CRPS = 2 * sum_i w_i * pinball_i, shape [Q], sum 1.

    With the five published levels it is about 3 % below the exact score of a calibrated normal
    forecast; all candidates are scored alike.

    CRPS(F, y) = 2 * integral over (0, 1) of the pinball loss at level u (Laio & Tamea, 2007,
    eq. 11; Gneiting & Ranjan, 2011, sec. 2). The integral is taken by the midpoint rule: each
    level stands for the cell that reaches half-way to its neighbours, the outer cells to 0 and 1.
    """
    share = np.asarray(levels, dtype=np.float64)
    edges = np.concatenate([[0.0], (share[1:] + share[:-1]) / 2, [1.0]])
    return np.diff(edges)


def median_error(
    realised: AnyFloats, quantiles: AnyFloats, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Absolute error of the median forecast, in the unit of `realised`, shape [...]."""
    return np.asarray(np.abs(realised - quantiles[..., level_index(0.5, levels)]))


def inside(
    realised: AnyFloats,
    quantiles: AnyFloats,
    nominal: float,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> NDArray[np.bool_]:
    """Whether the central interval, ends included, held what happened; False where unknown."""
    low, high = (quantiles[..., level_index((1 + sign * nominal) / 2, levels)] for sign in (-1, 1))
    return (realised >= low) & (realised <= high)
