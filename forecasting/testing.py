"""Fake walk-forward forecasts whose skill is known, to test evaluation and gates with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.instants import DAY
from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
from forecasting.models.knot_forecasts import percent_ranks
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import GRID, KNOT_COLUMNS, KNOTS
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS

_FIRST_CLOSE = 1_420_232_400_000_000_000  # 2015-01-02 21:00 UTC


def planted_forecasts(
    *,
    signal: float,
    candidates: Sequence[str] = ("ridge", "random_forest", "xgboost"),
    symbols: int = 5,
    periods: int = 750,
    persistence: float = 0.9,
    commonality: float = 0.4,
    noise: float = 0.03,
    seed: int = 0,
) -> dict[str, OutOfSample]:
    """Forecasts of the random walk and of candidates that know the planted signal, or nothing.

    One-bar log returns are 0.01 * (signal * m + sqrt(1 - signal^2) * e), m a normal AR(1) known
    at the bar's close, e normal with a part common to all symbols. With a signal, every
    candidate forecasts its conditional mean plus an error of its own; without, only the error. The
    random walk with drift, if it is asked for, forecasts the mean of a thousand bars before.

    Args:
        signal: correlation of the best one-bar forecast with the return; 0 plants none, 0.05 to
            0.1 is what is found in daily prices at the most.
        candidates: names besides the random walk.
        symbols: number of symbols.
        periods: out-of-sample bars per symbol.
        persistence: autocorrelation of m from bar to bar.
        commonality: share of variance that symbols have in common.
        noise: deviation of a candidate's own error, in standard deviations of the return.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    horizons = np.arange(1, MAX_HORIZON + 1)
    bars = periods + MAX_HORIZON
    known = _persistent(rng, (bars, symbols), persistence, commonality)
    surprise = _persistent(rng, (bars, symbols), 0.0, commonality)
    returns = 0.01 * (signal * known + np.sqrt(1 - signal**2) * surprise)
    # Row t is the close before returns[t]: `known[t]` is what is known there about it.
    path = np.concatenate([np.zeros((1, symbols)), np.cumsum(returns, axis=0)])
    realised = np.stack([path[h : h + periods] - path[:periods] for h in horizons], axis=2)
    scale = np.full((periods, symbols), 0.01)
    unit = scale[:, :, None] * np.sqrt(horizons)
    decay = (1 - persistence**horizons) / (1 - persistence) / np.sqrt(horizons)
    truth = signal * known[:periods, :, None] * decay
    stamps = _FIRST_CLOSE + np.arange(periods) * DAY
    outcomes = _rows(realised).astype(np.float32)
    result: dict[str, OutOfSample] = {}
    for name in (NULL_MODEL, *candidates):
        if name == NULL_MODEL:
            location = np.zeros_like(realised)
        elif name == DRIFT_MODEL:
            error = np.sqrt((commonality + (1 - commonality) / symbols) / 1_000)
            mean = error * np.random.default_rng((seed, 2)).standard_normal()
            location = np.broadcast_to(mean * np.sqrt(horizons), realised.shape)
        else:
            error = _persistent(rng, (periods, symbols), persistence, commonality)
            location = truth + noise * error[:, :, None]
        residual = realised / unit - location
        spread = _spread(residual)
        quantiles = unit[..., None] * (location[..., None] + spread)
        result[name] = OutOfSample(
            kind=name,
            params={},
            symbols=tuple(f"SYM{number:03d}" for number in range(symbols)),
            codes=np.repeat(np.arange(symbols, dtype=np.int32), periods),
            timestamps=np.tile(stamps, symbols),
            fold=np.tile((2 + np.arange(periods) * 5 // periods).astype(np.int16), symbols),
            close=_rows(100 * np.exp(path[:periods])),
            scale=_rows(scale),
            loc=_rows(location[:, :, KNOT_COLUMNS]),
            log_width=np.zeros((realised[..., 0].size, len(KNOTS))),
            quantiles=_rows(quantiles).astype(np.float32),
            variance=_variance(_rows(unit), outcomes),
            ranks=_ranks(_rows(residual)[:, KNOT_COLUMNS]),
            probability_above_cost=_above_cost(location[:, :, 4], 0.01 * np.sqrt(5)),
            realised=outcomes,
        )
    return result


def with_wandering_volatility(
    forecasts: OutOfSample, *, swing: float, seed: int = 0
) -> OutOfSample:
    """The same forecasts, of a volatility that wanders though that of the market does not.

    The scale's logarithm follows an AR(1) with coefficient 0.98 and deviation 0.3. The quantiles
    are normal ones without a location, their width right but for an error that wanders along.

    Args:
        forecasts: of `planted_forecasts` without a signal, symbol by symbol.
        swing: deviation of the logarithm of the width; 0 makes all intervals honest.
        seed: of the wandering.
    """
    from scipy.special import ndtr, ndtri

    symbols = len(forecasts.symbols)
    shape = (len(forecasts) // symbols, symbols)
    wander = _rows(_persistent(np.random.default_rng((seed, 1)), shape, 0.98, 0.4))
    width = 0.01 * np.exp(swing * wander)[:, None] * np.sqrt(np.arange(1, MAX_HORIZON + 1))
    quantiles = width[:, :, None] * ndtri(np.array(forecasts.levels))
    return replace(
        forecasts,
        scale=0.01 * np.exp(0.3 * wander),
        quantiles=quantiles.astype(np.float32),
        variance=np.square(width[:, KNOT_COLUMNS]).astype(np.float32),
        ranks=(100 * ndtr(forecasts.realised / width)).astype(np.uint8)[:, KNOT_COLUMNS],
    )


def _persistent(
    rng: np.random.Generator, shape: tuple[int, int], persistence: float, commonality: float
) -> Floats:
    """Standard normal AR(1) columns that share `commonality` of their variance."""
    bars, symbols = shape
    drawn: Floats = np.sqrt(commonality) * rng.standard_normal((bars, 1)) + np.sqrt(
        1 - commonality
    ) * rng.standard_normal((bars, symbols))
    if persistence:
        innovation = np.sqrt(1 - persistence**2)
        for bar in range(1, bars):
            drawn[bar] = persistence * drawn[bar - 1] + innovation * drawn[bar]
    return drawn


def _spread(residual: Floats) -> Floats:
    """Symmetric quantiles [H, Q] of the residual over all rows: right on average, no hindsight."""
    flat = residual.reshape(-1, residual.shape[2])
    spread: Floats = np.quantile(np.concatenate([flat, -flat]), QUANTILE_LEVELS, axis=0).T
    return spread


def _variance(unit: Floats, realised: NDArray[np.float32]) -> NDArray[np.float32]:
    """Variance [n, K] of the returns [n, H] for their units [n, H]: right on average."""
    level = np.mean(np.square(realised / unit), axis=0)
    variance: NDArray[np.float32] = (level * np.square(unit))[:, KNOT_COLUMNS].astype(np.float32)
    return variance


def _ranks(residual: Floats) -> NDArray[np.uint8]:
    """Ranks [n, K] of residuals [n, K] among all of them and their mirror images."""
    both = np.concatenate([residual, -residual])
    return percent_ranks(np.quantile(both, GRID, axis=0).T, residual)


def _above_cost(location: Floats, unit: float) -> NDArray[np.float32]:
    from scipy.special import ndtr

    cost = 0.001 / unit
    pair = np.stack([ndtr(location - cost), ndtr(location + cost)], axis=2)
    return _rows(pair).astype(np.float32)


def _rows(grid: Floats) -> Floats:
    """[T, S, ...] by date to [S * T, ...], symbol by symbol."""
    rows: Floats = np.ascontiguousarray(grid.swapaxes(0, 1)).reshape(-1, *grid.shape[2:])
    return rows
