"""Price panels whose variance is known: constant, EWMA, GJR-GARCH, stochastic, and rough."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.intraday_paths import SHARES, log_bars, price_frame
from benchmarks.honesty.log_variance import (
    autoregressive_kernel,
    expected_variances,
    rough_kernel,
)
from benchmarks.honesty.random_walks import COMMON

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

KINDS: Final = {
    "constant": "constant variance, normal shocks",
    "ewma": "variance is the EWMA(0.94) of squared returns, normal shocks",
    "gjr": "GJR-GARCH(1,1), persistence 0.96 to 0.99, Student t shocks with 6 degrees of freedom",
    "stochastic": "log-variance of two AR(1) factors, persistence 0.98 and 0.6, with leverage",
    "rough": "rough log-variance, Hurst exponent 0.1, with leverage",
}
"""Kinds of markets: how their variance moves."""

DEGREES: Final = 6
"""Degrees of freedom of the shocks of a GJR-GARCH market."""

LEVERAGE: Final = -0.4
"""Correlation of a bar's return with the next shock to its symbol's log-variance."""

HURST: Final = 0.1
MEMORY: Final = 250.0
ROUGH_DEVIATION: Final = 0.75
"""Of a rough log-variance; its daily increments have a deviation of 0.6, which is 0.3 of log
volatility (Gatheral, Jaisson and Rosenbaum, Quantitative Finance 2018, section 2)."""

FACTORS: Final = ((0.98, 0.65), (0.6, 0.4))
"""Persistence and deviation of the factors of a stochastic log-variance, the slow one first."""

BURN_IN: Final = 1_500


@dataclass(frozen=True)
class VarianceMarket:
    """A panel of prices and the truth about how far they move.

    Attributes:
        prices: a validated price frame, S symbols of as many bars each.
        variance: [bars, S] variance of each bar's log return, close to close, given all that went
            before it. With Student shocks a bar's path has more or less than that, by luck.
        ahead: [bars, S, H] expected variance of the log return over the next 1..H bars, for who
            knows at a bar's close the variance of the next.
    """

    prices: "pd.DataFrame"
    variance: Floats
    ahead: Floats


@dataclass(frozen=True)
class _Shocks:
    """Shocks of mean 0 and variance 1, and whether they came on a wild day.

    Attributes:
        pieces: [t, S, 1 + STEPS] the gap, then every stretch; their sum has variance 1.
        mixing: [t, S] factor on the variance of a bar's path, of mean 1.
    """

    pieces: Floats
    mixing: Floats

    @property
    def whole(self) -> Floats:
        """Shocks of whole bars [t, S]."""
        total: Floats = self.pieces.sum(axis=2)
        return total


def variance_market(
    kind: str, *, symbols: int, bars: int, seed: np.random.SeedSequence
) -> VarianceMarket:
    """Simulate a panel; log returns are sqrt(variance) times a shock, so that nobody knows their sign.

    Shocks of symbols share 45 % of their variance at every instant, and so do the shocks to
    log-variances. Each symbol has its own long-run volatility, 1 to 2.5 % a bar.

    - constant: the EWMA of squared returns is a noisy estimate of it, which a longer average beats.
    - ewma: v_(t+1) = 0.94 v_t + 0.06 r_t^2 (RiskMetrics 1996). Returns over what the platform takes
      as scale are then independent of all that is known, at every horizon: there is nothing to
      gain. Such a variance has no long run, its paths tend to zero though their mean does not
      (Nelson 1990), by a factor of 2 in volatility in 400 bars; it starts at twice the others'.
    - gjr: v_(t+1) = omega + (alpha + gamma [r_t < 0]) r_t^2 + beta v_t (Glosten, Jagannathan and
      Runkle 1993), alpha in 0 to 0.04, gamma in 0.06 to 0.16, persistence in 0.96 to 0.99, the
      range of fits to daily shares and indices. Of the chi-square under a Student shock one half is
      every symbol's: a wild day is partly wild for all.
    - stochastic: ln v is the sum of two AR(1) factors (Alizadeh, Brandt and Diebold 2002).
    - rough: ln v has the increments of a fractional Brownian motion up to about its memory of
      250 bars (Gatheral, Jaisson and Rosenbaum 2018; Bennedsen, Lunde and Pakkanen 2022).

    Variance is constant within a bar, apart from the gap that has a fifth of it.

    Args:
        kind: a key of `KINDS`.
        symbols: how many.
        bars: how many.
        seed: of everything.
    """
    from forecasting.schema import MAX_HORIZON

    rng = np.random.default_rng(seed)
    level = rng.uniform(0.01, 0.025, symbols) ** 2
    burn = 0 if kind in ("constant", "ewma") else BURN_IN
    shocks = _shocks(rng, (burn + bars, symbols), heavy=kind == "gjr")
    if kind in ("stochastic", "rough"):
        factors = _factors(rng, kind, shocks.whole)
        expected = level[:, None] * expected_variances(factors, MAX_HORIZON)
        first = np.full((1, symbols), np.nan)  # burnt
        variance = np.vstack([first, expected[:-1, :, 0]])
    else:
        variance, expected = _recursive(rng, kind, level, shocks.whole, MAX_HORIZON)
    variance, expected = variance[burn:], expected[burn:]
    mixing = shocks.mixing[burn:]
    moves = shocks.pieces[burn:] * np.sqrt(variance)[..., None]
    prices = price_frame(log_bars(moves, variance * mixing, rng), rng)
    return VarianceMarket(prices, variance, np.cumsum(expected, axis=2))


def _alike(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Standard normals [t, S, ...] that symbols have partly in common."""
    common = rng.standard_normal((shape[0], 1, *shape[2:]))
    own = rng.standard_normal(shape)
    drawn: Floats = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own
    return drawn


def _shocks(rng: np.random.Generator, shape: tuple[int, int], *, heavy: bool) -> _Shocks:
    mixing = np.ones(shape)
    if heavy:
        common = rng.chisquare(DEGREES / 2, (shape[0], 1))
        mixing = (DEGREES - 2) / (common + rng.chisquare(DEGREES / 2, shape))
    pieces = _alike(rng, (*shape, len(SHARES))) * np.sqrt(SHARES * mixing[..., None])
    return _Shocks(pieces, mixing)


def _factors(rng: np.random.Generator, kind: str, whole: Floats) -> list[tuple[Floats, Floats]]:
    """Kernels and shocks of a log-variance, for one bar more than there are returns [t, S].

    The first factor's shock is in part the return of the bar before.
    """
    steps, symbols = whole.shape
    if kind == "rough":
        kernels = [rough_kernel(HURST, MEMORY, ROUGH_DEVIATION, BURN_IN)]
    else:
        kernels = [autoregressive_kernel(*factor, BURN_IN) for factor in FACTORS]
    shocks = [_alike(rng, (steps + 1, symbols)) for _ in kernels]
    shocks[0][1:] = LEVERAGE * whole + np.sqrt(1 - LEVERAGE**2) * shocks[0][1:]
    return list(zip(kernels, shocks, strict=True))


def _recursive(
    rng: np.random.Generator, kind: str, level: Floats, whole: Floats, horizons: int
) -> tuple[Floats, Floats]:
    """Variances [t, S] fed by shocks [t, S], and what is expected of the next bars [t, S, H]."""
    from forecasting.features.indicators import EWMA_LAMBDA

    symbols = len(level)
    variance, rise, fall, omega = level, np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    beta = np.ones(symbols)
    if kind == "ewma":
        variance = 4 * level
        rise, beta = np.full(symbols, 1 - EWMA_LAMBDA), np.full(symbols, EWMA_LAMBDA)
        fall = rise
    elif kind == "gjr":
        rise, extra = rng.uniform(0.0, 0.04, symbols), rng.uniform(0.06, 0.16, symbols)
        persistence = rng.uniform(0.96, 0.99, symbols)
        fall = rise + extra
        beta = persistence - (rise + fall) / 2
        omega = level * (1 - persistence)
    factors = beta + np.where(whole < 0, fall, rise) * whole**2
    path = np.empty((len(whole) + 1, symbols))
    path[0] = variance
    for step, factor in enumerate(factors):
        path[step + 1] = omega + factor * path[step]
    # Shocks are symmetric, so half of the squares meet either coefficient.
    decay = (beta + (rise + fall) / 2)[:, None] ** np.arange(horizons)
    long_run = (level if kind == "gjr" else np.zeros(symbols))[:, None]
    return path[:-1], long_run + decay * (path[1:, :, None] - long_run)
