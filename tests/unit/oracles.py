"""Slow, obvious twins of features and forecasts: plain loops, None where unknown."""

import math
from datetime import UTC, datetime

import numpy as np

from forecasting.models.quantiles import interpolation_matrix

Series = list[float]
Maybe = list[float | None]


def total_return_prices(close: Series, dividend: Series, split: Series) -> Series:
    """Worth of one share bought at the first close, every dividend reinvested at the close."""
    shares, worth = 1.0, []
    for t, price in enumerate(close):
        if t > 0:
            shares *= split[t]
            shares += shares * dividend[t] / price
        else:
            shares = split[0] * (1.0 + dividend[0] / price)
        worth.append(shares * price)
    return worth


def log_return(close: Series, window: int) -> Maybe:
    return [
        math.log(close[t] / close[t - window]) if t >= window else None for t in range(len(close))
    ]


def sma(series: Maybe, window: int) -> Maybe:
    means: Maybe = []
    for t in range(len(series)):
        past = series[max(0, t - window + 1) : t + 1]
        known = [value for value in past if value is not None]
        means.append(sum(known) / window if len(known) == window else None)
    return means


def ema(series: Maybe, window: int) -> Maybe:
    """Exponential average with alpha 2 / (window + 1), seeded by the first simple average."""
    averages: Maybe = []
    seed = sma(series, window)
    for t, value in enumerate(series):
        before = averages[-1] if averages else None
        if before is None or value is None:
            averages.append(seed[t])
        else:
            averages.append(before + 2.0 / (window + 1) * (value - before))
    return averages


def wilder(series: Maybe, window: int) -> Maybe:
    """Wilder's average with alpha 1 / window, seeded by the first simple average."""
    averages: Maybe = []
    seed = sma(series, window)
    for t, value in enumerate(series):
        before = averages[-1] if averages else None
        if before is None or value is None:
            averages.append(seed[t])
        else:
            averages.append((before * (window - 1) + value) / window)
    return averages


def stddev(series: Maybe, window: int) -> Maybe:
    deviations: Maybe = []
    for t, mean in enumerate(sma(series, window)):
        if mean is None:
            deviations.append(None)
            continue
        past = series[t - window + 1 : t + 1]
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in past) / window))
    return deviations


def close_to(close: Series, level: Maybe) -> Maybe:
    return [None if level[t] is None else close[t] / level[t] - 1.0 for t in range(len(close))]


def highest(series: Series, window: int) -> Maybe:
    return [
        max(series[t - window + 1 : t + 1]) if t >= window - 1 else None for t in range(len(series))
    ]


def lowest(series: Series, window: int) -> Maybe:
    return [None if top is None else -top for top in highest([-value for value in series], window)]


def rsi(close: Series, window: int) -> Maybe:
    """Relative strength index, moved from 0..100 to -1..1; 0 when nothing moved."""
    gains: Maybe = [None]
    losses: Maybe = [None]
    for t in range(1, len(close)):
        gains.append(max(close[t] - close[t - 1], 0.0))
        losses.append(max(close[t - 1] - close[t], 0.0))
    strength: Maybe = []
    for gain, loss in zip(wilder(gains, window), wilder(losses, window), strict=True):
        if gain is None:
            strength.append(None)
        elif gain + loss == 0.0:
            strength.append(0.0)
        else:
            strength.append(100.0 * gain / (gain + loss) / 50.0 - 1.0)
    return strength


def macd(close: Series, fast: int, slow: int, smooth: int) -> tuple[Maybe, Maybe, Maybe]:
    """MACD, signal and histogram over the close.

    As in TA-Lib both averages start together: the fast one is seeded by the bars just before
    the slow one's first value, and a line is given from the signal's first value on.
    """
    late: Maybe = [None] * (slow - fast) + list(close[slow - fast :])
    line = [
        None if one is None or other is None else one - other
        for one, other in zip(ema(late, fast), ema(list(close), slow), strict=True)
    ]
    signal = ema(line, smooth)
    line = [value if signal[t] is not None else None for t, value in enumerate(line)]
    histogram = [None if s is None else m - s for m, s in zip(line, signal, strict=True)]
    return over(line, close), over(signal, close), over(histogram, close)


def over(series: Maybe, close: Series) -> Maybe:
    return [None if value is None else value / close[t] for t, value in enumerate(series)]


def bollinger(close: Series, window: int) -> tuple[Maybe, Maybe]:
    """Place of the close between bands of two deviations (-1 lower, 1 upper), and their width."""
    position: Maybe = []
    width: Maybe = []
    for t, (mean, deviation) in enumerate(
        zip(sma(list(close), window), stddev(list(close), window), strict=True)
    ):
        if mean is None:
            position.append(None)
            width.append(None)
        else:
            flat = deviation <= 1e-6 * mean
            position.append(0.0 if flat else (close[t] - mean) / (2.0 * deviation))
            width.append(0.0 if flat else 4.0 * deviation / mean)
    return position, width


def atr(high: Series, low: Series, close: Series, window: int) -> Maybe:
    reach: Maybe = [None]
    for t in range(1, len(close)):
        before = close[t - 1]
        reach.append(max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before)))
    return over(wilder(reach, window), close)


def ewma_volatility(close: Series) -> Maybe:
    """Root of the weighted mean of past squared returns, weights 0.94^age."""
    returns = log_return(close, 1)
    volatility: Maybe = [None]
    for t in range(1, len(close)):
        weights = [0.94**age for age in range(t)]
        squares = [returns[t - age] ** 2 for age in range(t)]
        total = sum(w * s for w, s in zip(weights, squares, strict=True))
        volatility.append(math.sqrt(total / sum(weights)))
    return volatility


def volume_zscore(volume: Series, window: int) -> Maybe:
    logs: Maybe = [math.log(1.0 + value) for value in volume]
    scores: Maybe = []
    for t, (mean, deviation) in enumerate(
        zip(sma(logs, window), stddev(logs, window), strict=True)
    ):
        if mean is None:
            scores.append(None)
        else:
            scores.append(0.0 if deviation <= 1e-3 else (logs[t] - mean) / deviation)
    return scores


def close_location(high: Series, low: Series, close: Series) -> Maybe:
    return [
        0.0 if h == low[t] else 2.0 * (close[t] - low[t]) / (h - low[t]) - 1.0
        for t, h in enumerate(high)
    ]


def overnight_gap(opening: Series, close: Series) -> Maybe:
    return [None, *(math.log(opening[t] / close[t - 1]) for t in range(1, len(close)))]


def circle(place: int, size: int) -> tuple[float, float]:
    angle = 2.0 * math.pi * place / size
    return math.sin(angle), math.cos(angle)


def day_before(nanoseconds: int) -> datetime:
    """The instant just before a close: one microsecond, the finest a datetime knows."""
    return datetime.fromtimestamp((nanoseconds - 1_000) / 1e9, UTC)


def ranks(instants: list[int], values: Maybe) -> Maybe:
    """(r - 1/2) / m among the known values of the same instant, ties at their mean rank."""
    places: Maybe = []
    for t, own in enumerate(values):
        if own is None:
            places.append(None)
            continue
        others = [
            value
            for instant, value in zip(instants, values, strict=True)
            if instant == instants[t] and value is not None
        ]
        below = sum(value < own for value in others)
        same = sum(value == own for value in others)
        places.append((below + (same + 1) / 2.0 - 0.5) / len(others))
    return places


def probability_above(loc, scale, calibration, threshold: float = 0.0) -> np.ndarray:
    """P(log return > threshold) [n, H]: one minus the distribution interpolated on the grid."""
    levels = np.concatenate([[0.005], np.arange(1, 100) / 100, [0.995]])
    root = np.sqrt(np.arange(1.0, len(calibration) + 1))
    points = threshold / (scale[:, None] * root) - loc @ interpolation_matrix(len(calibration))
    return 1.0 - np.stack(
        [np.interp(column, row, levels) for column, row in zip(points.T, calibration, strict=True)],
        axis=1,
    )
