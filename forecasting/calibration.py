"""Quantiles of standardised walk-forward residuals: what makes an interval honest."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import ShortHistory
from forecasting.forecast import GRID, Floats, interpolation_matrix

FEWEST_RESIDUALS: Final = 100
"""Residuals a horizon needs before its 1 % and 99 % levels mean anything."""


def calibrate(
    z: NDArray[np.floating], loc: NDArray[np.floating], *, symmetric: bool = False
) -> Floats:
    """Quantiles [H, 99] of the residuals z - loc at every horizon, pooled over the rows.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005): with m residuals the level p is
    the p * (m + 1)-th smallest ("weibull" in NumPy), so an exchangeable new one falls below it
    with probability p. Returns are not exchangeable; standardising by a causal volatility brings
    them close, and coverage is measured out of sample, not assumed.

    Args:
        z: [n, H] realised standardised returns at horizons 1..H; NaN where not known yet.
        loc: [n, K] locations at the knots, from a model that had not seen these rows.
        symmetric: take the levels from |z - loc| and mirror them, so that the median is exactly
            zero: for the random walk, which knows no direction.

    Raises:
        ShortHistory: a horizon has fewer than 100 known residuals.
    """
    horizons = z.shape[1]
    weights = interpolation_matrix(horizons)
    calibration = np.empty((horizons, len(GRID)))
    upper = np.array([2 * level - 1 for level in GRID[len(GRID) // 2 + 1 :]])
    for row in range(horizons):
        residual = np.asarray(z[:, row], dtype=np.float64) - loc @ weights[:, row]
        residual = residual[np.isfinite(residual)]
        if len(residual) < FEWEST_RESIDUALS:
            raise ShortHistory(
                f"calibration needs {FEWEST_RESIDUALS} out-of-sample residuals at every horizon",
                f"{len(residual)} at horizon {row + 1}",
                "Give a longer history, more symbols or fewer folds",
            )
        if symmetric:
            half = np.quantile(np.abs(residual), upper, method="weibull")
            calibration[row] = np.concatenate([-half[::-1], [0.0], half])
        else:
            calibration[row] = np.quantile(residual, GRID, method="weibull")
    return np.maximum.accumulate(calibration, axis=1)
