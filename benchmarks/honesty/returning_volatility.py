"""Made-up forecasts of markets whose volatility returns to its mean, by the EWMA's width or the true one."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.random_walks import COMMON

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample

Floats = NDArray[np.float64]

DEVIATION: Final = 0.6
"""Deviation of the logarithm of the volatility."""

PERIODS: Final = 2_500
SYMBOLS: Final = 6
_BURN_IN: Final = 300


@dataclass(frozen=True)
class Returning:
    """A market whose volatility's logarithm is an AR(1).

    Attributes:
        persistence: its coefficient; the lower, the sooner volatility is back at its mean.
        seed: of everything.
    """

    persistence: float
    seed: int


def returning_forecasts(market: Returning) -> "tuple[OutOfSample, OutOfSample]":
    """Forecasts with the EWMA's width, and with the deviation expected of who knows the volatility.

    Both are located at zero, their width times one constant per horizon that makes the interval
    hold 90 % of all outcomes: right on average, so that calm and storm alone tell them apart.
    """
    from forecasting.features.indicators import EWMA_LAMBDA
    from forecasting.schema import MAX_HORIZON
    from forecasting.testing import planted_forecasts

    rng = np.random.default_rng((market.seed, 96))
    shape = (_BURN_IN + PERIODS + MAX_HORIZON, SYMBOLS)
    coefficient, shocks = market.persistence, _alike(rng, shape)
    log_volatility = np.zeros(shape)
    for bar in range(1, len(shocks)):
        log_volatility[bar] = (
            coefficient * log_volatility[bar - 1]
            + DEVIATION * np.sqrt(1 - coefficient**2) * shocks[bar]
        )
    returns = 0.01 * np.exp(log_volatility) * _alike(rng, shape)
    variance = np.empty(shape)
    variance[0] = 0.01**2
    for bar in range(1, len(returns)):
        variance[bar] = EWMA_LAMBDA * variance[bar - 1] + (1 - EWMA_LAMBDA) * returns[bar] ** 2
    path = np.cumsum(returns, axis=0)
    made = np.arange(_BURN_IN, _BURN_IN + PERIODS)
    steps = np.arange(1, MAX_HORIZON + 1)
    realised = np.stack([path[made + step] - path[made] for step in steps], axis=2)
    scale = np.sqrt(variance[made])
    decay = coefficient**steps
    expected = np.exp(
        2 * decay * log_volatility[made][..., None] + 2 * DEVIATION**2 * (1 - decay**2)
    )
    plain = planted_forecasts(signal=0, candidates=(), symbols=SYMBOLS, periods=PERIODS)
    same = replace(
        plain["random_walk"], realised=_rows(realised).astype(np.float32), scale=_rows(scale)
    )
    widths = (scale[..., None] * np.sqrt(steps), np.sqrt(np.cumsum(expected, axis=2)))
    ewma, true = (replace(same, quantiles=_quantiles(width, realised)) for width in widths)
    return ewma, true


def _alike(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Standard normals [t, S] that symbols have partly in common."""
    drawn: Floats = np.sqrt(COMMON) * rng.standard_normal((shape[0], 1)) + np.sqrt(
        1 - COMMON
    ) * rng.standard_normal(shape)
    return drawn


def _quantiles(width: Floats, realised: Floats) -> NDArray[np.float32]:
    """Symmetric quantiles [n, H, 5] for widths and outcomes [T, S, H], right over all rows."""
    from forecasting.schema import QUANTILE_LEVELS

    size = np.abs(realised / width).reshape(-1, width.shape[2])
    ends = np.stack(
        [
            np.sign(level - 0.5) * np.quantile(size, abs(2 * level - 1), axis=0)
            for level in QUANTILE_LEVELS
        ],
        axis=1,
    )
    return _rows(width[..., None] * ends).astype(np.float32)


def _rows(grid: Floats) -> Floats:
    """[T, S, ...] by date to [S * T, ...], symbol by symbol."""
    rows: Floats = np.ascontiguousarray(grid.swapaxes(0, 1)).reshape(-1, *grid.shape[2:])
    return rows
