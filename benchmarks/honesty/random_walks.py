"""Price panels whose truth is known: walks nobody can forecast, and the same with some momentum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable

Reals = NDArray[np.float64]

WALKS: Final = {
    "independent": "normal returns, independent over time",
    "garch": "GARCH(1,1), a = 0.08, b = 0.90, Student t shocks with 5 degrees of freedom",
    "regimes": "volatility 1 or 2.5, the same for all symbols, about 250 and 60 bars at a time",
}
"""Kinds of walks: how their volatility moves."""

COMMON: Final = 0.45
"""Share of the shocks' variance that all symbols have in common."""

MEMORY: Final = 10
"""Bars whose returns carry the planted momentum."""

_LEVEL = 0.012
_BURN = 100
_FIRST_CLOSE = "2010-01-04 21:00"


@dataclass(frozen=True)
class Walk:
    """A panel of prices by what moves them.

    Attributes:
        returns: simple returns [bars, symbols].
        volatility: standard deviation [bars, symbols] of each, given all that went before it.
    """

    returns: Reals
    volatility: Reals


def simple_returns(
    kind: str,
    *,
    symbols: int,
    bars: int,
    signal: float = 0.0,
    drift: float = 0.0,
    seed: np.random.SeedSequence,
) -> Reals:
    """The returns [bars, symbols] of a `random_walk`."""
    return random_walk(
        kind, symbols=symbols, bars=bars, signal=signal, drift=drift, seed=seed
    ).returns


def random_walk(
    kind: str,
    *,
    symbols: int,
    bars: int,
    signal: float = 0.0,
    drift: float = 0.0,
    seed: np.random.SeedSequence,
) -> Walk:
    """Simple returns per bar and their volatility; a fair game without a signal and a drift.

    r_t = m + v_t u_t, m the drift, and u_t = b (u_(t-1) + ... + u_(t-10)) + sqrt(1 - s^2) e_t: v_t is the
    volatility of the kind, e_t a shock of mean 0 and variance 1 that symbols have partly in
    common, and b such that u has variance 1 and the momentum explains s^2 of it (see `_weight`).
    GARCH feeds on the shocks, not on the returns: fed with returns that have momentum, whose
    squares come in swarms, its variance would have no mean.

    Args:
        kind: a key of `WALKS`.
        symbols: how many.
        bars: how many.
        signal: s, the correlation of the best possible one-bar forecast with the return.
        drift: mean return of a bar, in standard deviations of a calm bar's.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    steps = bars + _BURN
    shock = np.sqrt(COMMON) * _shocks(rng, kind, (steps, 1)) + np.sqrt(1 - COMMON) * _shocks(
        rng, kind, (steps, symbols)
    )
    weight = _weight(signal)
    level = _LEVEL * np.ones(steps)
    if kind == "regimes":
        level *= np.where(_regimes(rng, steps), 2.5, 1.0)
    variance = np.full(symbols, level[0] ** 2)
    returns, unit, deviation = (np.zeros((steps, symbols)) for _ in range(3))
    for step in range(steps):
        if kind == "garch" and step:
            # A shock beyond ten deviations is no market's; it would dwarf every later bar.
            square = np.minimum(shock[step - 1] ** 2, 100.0)
            variance = 0.02 * _LEVEL**2 + (0.08 * square + 0.90) * variance
        volatility = np.sqrt(variance) if kind == "garch" else level[step]
        momentum = weight * unit[max(step - MEMORY, 0) : step].sum(axis=0)
        unit[step] = momentum + np.sqrt(1 - signal**2) * shock[step]
        returns[step] = np.maximum(drift * _LEVEL + volatility * unit[step], -0.5)
        deviation[step] = volatility
    return Walk(returns[_BURN:], deviation[_BURN:])


def prices_of(walk: Walk, seed: np.random.SeedSequence) -> "pd.DataFrame":
    """A price frame of weekday bars that earn the walk's returns and open where the last closed.

    Highs and lows are those of a Brownian bridge of the bar's variance, see
    `intraday_paths.log_bars`: a learned width reads volatility from them.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    bars, symbols = walk.returns.shape
    close = 50.0 * np.cumprod(1 + walk.returns, axis=0)
    opening = np.vstack([np.full(symbols, 50.0), close[:-1]])
    move = np.log1p(walk.returns)
    reach = np.sqrt(move**2 + 2 * walk.volatility**2 * rng.standard_exponential((2, bars, symbols)))
    stamps = pd.date_range(_FIRST_CLOSE, periods=bars, freq="B", tz="UTC").as_unit("ns")
    columns = {
        "open": opening,
        "high": np.maximum(opening * np.exp((move + reach[0]) / 2), np.maximum(opening, close)),
        "low": np.minimum(opening * np.exp((move - reach[1]) / 2), np.minimum(opening, close)),
        "close": close,
        "volume": np.round(np.exp(rng.normal(13.0, 0.5, (bars, symbols)))),
        "dividend": np.zeros((bars, symbols)),
        "split": np.ones((bars, symbols)),
    }
    sessions = stamps.tz_localize(None).normalize()
    return pd.DataFrame(
        {
            "symbol": np.repeat([f"SYM{code:02d}" for code in range(symbols)], bars),
            "timestamp": np.tile(stamps, symbols),
            "session": np.tile(sessions, symbols),
            **{name: values.T.ravel() for name, values in columns.items()},
        }
    )


def learnable(
    kind: str,
    *,
    symbols: int,
    bars: int,
    signal: float = 0.0,
    drift: float = 0.0,
    widths: bool = False,
    seed: np.random.SeedSequence,
) -> "tuple[FeatureTable, NDArray[np.float32]]":
    """Features and horizon returns [n, 30] of a made-up panel; see `random_walk`.

    Args:
        kind: a key of `WALKS`.
        symbols: how many.
        bars: how many.
        signal: see `random_walk`.
        drift: see `random_walk`.
        widths: whether features of variance are among them, from which widths are learned.
        seed: of everything.
    """
    from forecasting.features.build import build_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import horizon_returns
    from forecasting.features.variance import DECAYS, WINDOWS
    from forecasting.schema import MAX_HORIZON

    path, shape = seed.spawn(2)
    prices = prices_of(
        random_walk(kind, symbols=symbols, bars=bars, signal=signal, drift=drift, seed=path),
        shape,
    )
    spec = FeatureSpec(
        symbols=tuple(prices["symbol"].unique()),
        variance=WINDOWS if widths else (),
        decays=DECAYS if widths else (),
    )
    table = build_features(prices, spec)
    return table, horizon_returns(prices, range(1, MAX_HORIZON + 1)).astype(np.float32)


def correlation_at(signal: float, horizon: int) -> float:
    """Correlation of the best forecast of the next `horizon` units' sum with that sum.

    Args:
        signal: the correlation at one bar.
        horizon: bars.
    """
    weight = _weight(signal)
    moving = np.ones(horizon)  # what a shock adds to the sum of the units from its own on
    for bar in range(1, horizon):
        moving[bar] = weight * moving[max(bar - MEMORY, 0) : bar].sum()
    unknown = (1 - signal**2) * (np.cumsum(moving) ** 2).sum()
    alike = [1.0]
    for lag in range(1, horizon):
        alike.append(_alike(weight) if lag <= MEMORY else weight * sum(alike[-MEMORY:]))
    total = horizon + 2 * sum((horizon - lag) * alike[lag] for lag in range(1, horizon))
    return float(np.sqrt(1 - unknown / total))


def _alike(weight: float) -> float:
    """Autocorrelation of the units at every lag up to `MEMORY`."""
    return weight / (1 - (MEMORY - 1) * weight)


def _weight(signal: float) -> float:
    """Weight b of each of the last M units, so that together they explain signal^2 of the next.

    By the Yule-Walker equations the first M autocorrelations are all b / (1 - (M - 1) b); the
    share explained, b times their sum, is M b^2 / (1 - (M - 1) b). The root below stays under
    1 / M for every signal below 1, so the units are stationary.
    """
    square, others = signal**2, MEMORY - 1
    root = np.sqrt((others * square) ** 2 + 4 * MEMORY * square)
    return float((root - others * square) / (2 * MEMORY))


def _shocks(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Reals:
    """Shocks of mean 0 and variance 1."""
    if kind == "garch":
        heavy: Reals = rng.standard_t(5, shape) * np.sqrt(3 / 5)
        return heavy
    return rng.standard_normal(shape)


def _regimes(rng: np.random.Generator, steps: int) -> NDArray[np.bool_]:
    """Whether each bar is stormy."""
    storm = np.zeros(steps, dtype=bool)
    for step, chance in enumerate(rng.random(steps - 1), 1):
        storm[step] = chance >= 1 / 60 if storm[step - 1] else chance < 1 / 250
    return storm
