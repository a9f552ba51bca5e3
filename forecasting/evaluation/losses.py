"""How far a forecast distribution was from what happened: losses, coverage and width.

Every function is vectorised over the leading axes. NaN in `realised` (a future not known yet)
comes out as NaN where a loss is asked for, so callers average with weights or `nanmean`.
"""

from collections.abc import Sequence

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


def crps_weights(levels: Sequence[float] = QUANTILE_LEVELS) -> NDArray[np.float64]:
    """Weights w of the approximation CRPS = 2 * sum_i w_i * pinball_i, shape [Q], sum 1.

    CRPS(F, y) = 2 * integral over (0, 1) of the pinball loss at level u (Laio & Tamea, 2007,
    eq. 11; Gneiting & Ranjan, 2011, sec. 2). The integral is taken by the midpoint rule: each
    level stands for the cell that reaches half-way to its neighbours, the outer cells to 0 and 1.
    """
    share = np.asarray(levels, dtype=np.float64)
    edges = np.concatenate([[0.0], (share[1:] + share[:-1]) / 2, [1.0]])
    return np.diff(edges)


def crps(
    realised: AnyFloats, quantiles: AnyFloats, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Continuous ranked probability score, approximated from quantiles, shape [...].

    See `crps_weights` for the formula. With the five published levels it is about 3 % below
    the exact score of a calibrated normal forecast; all candidates are scored alike.
    """
    weights = crps_weights(levels).astype(quantiles.dtype)
    return np.asarray(2 * pinball(realised, quantiles, levels) @ weights)


def median_error(
    realised: AnyFloats, quantiles: AnyFloats, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Absolute error of the median forecast, in the unit of `realised`, shape [...]."""
    return np.asarray(np.abs(realised - quantiles[..., level_index(0.5, levels)]))


def relative_error(error: AnyFloats, benchmark_error: AnyFloats) -> float:
    """Mean absolute error over the random walk's on the same rows: below 1 is better than it.

    This is MASE (Hyndman & Koehler, 2006) with the naive forecast's *out-of-sample* error as
    the scale instead of its in-sample one, so that both were made on the same bars. NaN where
    nothing is known yet is left out of both.
    """
    known = np.isfinite(error) & np.isfinite(benchmark_error)
    scale = float(np.sum(benchmark_error, where=known))
    return float(np.sum(error, where=known)) / scale if scale > 0 else float("nan")


def inside(
    realised: AnyFloats,
    quantiles: AnyFloats,
    nominal: float,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> NDArray[np.bool_]:
    """Whether the central interval, ends included, held what happened; False where unknown."""
    low, high = _band(quantiles, nominal, levels)
    return (realised >= low) & (realised <= high)


def coverage(
    realised: AnyFloats,
    quantiles: AnyFloats,
    nominal: float,
    levels: Sequence[float] = QUANTILE_LEVELS,
) -> float:
    """Share of the known outcomes inside the central interval of the nominal coverage."""
    known = np.isfinite(realised)
    if not known.any():
        return float("nan")
    return float(inside(realised, quantiles, nominal, levels)[known].mean())


def width(
    quantiles: AnyFloats, nominal: float, levels: Sequence[float] = QUANTILE_LEVELS
) -> AnyFloats:
    """Width of the central interval, in the unit of the quantiles, shape [...]."""
    low, high = _band(quantiles, nominal, levels)
    return np.asarray(high - low)


def _band(
    quantiles: AnyFloats, nominal: float, levels: Sequence[float]
) -> tuple[AnyFloats, AnyFloats]:
    low, high = (1 - nominal) / 2, (1 + nominal) / 2
    return quantiles[..., level_index(low, levels)], quantiles[..., level_index(high, levels)]
