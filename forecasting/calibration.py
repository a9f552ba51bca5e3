"""Quantiles of standardised walk-forward residuals: what makes an interval honest."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import ShortHistory
from forecasting.forecast import GRID, Floats

FEWEST_RESIDUALS: Final = 100
"""Residuals a horizon needs before its 1 % and 99 % levels mean anything."""


def quantiles_of(residuals: NDArray[np.floating], *, symmetric: bool = False) -> Floats:
    """Quantiles [H, 99] of residuals [n, H], NaN where not known, at every horizon.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005): with m residuals the level p is
    the p * (m + 1)-th smallest ("weibull" in NumPy), so an exchangeable new one falls below it
    with probability p. Returns are not exchangeable; standardising by a causal volatility brings
    them close, and feedback (`recalibration`) does the rest.

    Args:
        residuals: [n, H] of standardised returns.
        symmetric: take the levels from the absolute residuals and mirror them, so that the median
            is exactly zero: for the random walk, which knows no direction.

    Raises:
        ShortHistory: a horizon has fewer than 100 known residuals.
    """
    calibration = np.empty((residuals.shape[1], len(GRID)))
    upper = np.array([2 * level - 1 for level in GRID[len(GRID) // 2 + 1 :]])
    for row, column in enumerate(np.ascontiguousarray(residuals.T, dtype=np.float64)):
        known = column[np.isfinite(column)]
        if len(known) < FEWEST_RESIDUALS:
            raise ShortHistory(
                f"calibration needs {FEWEST_RESIDUALS} out-of-sample residuals at every horizon",
                f"{len(known)} at horizon {row + 1}",
                "Give a longer history, more symbols or fewer folds",
            )
        if symmetric:
            half = np.quantile(np.abs(known), upper, method="weibull")
            calibration[row] = np.concatenate([-half[::-1], [0.0], half])
        else:
            calibration[row] = np.quantile(known, GRID, method="weibull")
    return np.maximum.accumulate(calibration, axis=1)
