"""Quantiles of standardised walk-forward residuals: what makes an interval honest."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import ShortHistory
from forecasting.models.quantiles import GRID

FEWEST_RESIDUALS: Final = 100
"""Residuals a horizon needs before its 1 % and 99 % levels mean anything."""


def quantiles_of(residuals: NDArray[np.floating]) -> Floats:
    """Quantiles [H, 99] of residuals [n, H] and their mirror image at every horizon; median 0.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005) of the absolute residual: of m, the
    p * (m + 1)-th smallest ("weibull" in NumPy) is the half-width that an exchangeable new one
    stays within with probability p. No direction comes from here: that is what a model's location
    is for, and the mean of past residuals is a forecast of its own, mostly of luck. Returns are not exchangeable; standardising by a causal volatility brings
    them close, and feedback (`recalibration`) does the rest.

    Args:
        residuals: [n, H] of standardised returns, NaN where not known.

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
        half = np.quantile(np.abs(known), upper, method="weibull")
        calibration[row] = np.concatenate([-half[::-1], [0.0], half])
    return calibration
