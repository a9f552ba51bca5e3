"""Computes the technical indicators of one symbol from its adjusted bars.

Every value at bar t uses bars up to t, and is computed so that bars after t cannot move it, not
even in its last bit: running sums go forward, and no step depends on the length of the series.
TA-Lib carries the moving averages, deviations and extremes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.features.variance import state_features, variance_features
from forecasting.instants import DAY, HOUR
from forecasting.prices.adjustment import multipliers

if TYPE_CHECKING:
    from forecasting.features.spec import FeatureSpec


EWMA_LAMBDA: Final = 0.94
"""Decay of the volatility scale per bar (RiskMetrics Technical Document, 1996, daily data)."""

_EWMA_MEMORY: Final = 1_024
"""Bars the scale looks back on; 0.94 ** 1024 is 3e-28, below what a double can hold."""

_FLAT_PRICE: Final = 1e-6
"""Deviation of the price, relative to its mean, below which it counts as constant."""

_FLAT_VOLUME: Final = 1e-3
"""Deviation of log volume below which volume counts as constant."""

_THURSDAY: Final = 3  # 1970-01-01


@dataclass(frozen=True)
class Bars:
    """One symbol's bars as total-return prices relative to its first close.

    Attributes:
        open, high, low, close: float64 [t], contiguous; close[0] is 1.
        volume: float64 [t], shares of the first bar.
        timestamps: closes of the bars, int64 ns since 1970 UTC [t].
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    timestamps: Instants

    @classmethod
    def from_raw(
        cls, timestamps: Instants, ohlcv: tuple[Floats, ...], dividend: Floats, split: Floats
    ) -> "Bars":
        """Adjust raw bars and divide prices by the first close, so that units drop out."""
        volume = ohlcv[4]
        if (split != 1.0).any() or (dividend != 0.0).any():
            factor, shares = multipliers(ohlcv[3], dividend, split)
            volume = volume / shares
            prices = [column * factor for column in ohlcv[:4]]
        else:
            prices = list(ohlcv[:4])
        first = float(prices[3][0])
        opening, high, low, close = (column / first for column in prices)
        return cls(opening, high, low, close, np.ascontiguousarray(volume), timestamps)


def log_returns(bars: Bars) -> Floats:
    """Log total returns of one bar, float64 [t]; the first is NaN."""
    return _change(np.log(bars.close), 1)


def ewma_volatility(returns: Floats) -> Floats:
    """Exponentially weighted volatility of log returns, known at each bar's close.

    sigma_t^2 = sum of w_k * r_(t-k)^2 over the past, w_k proportional to 0.94^k and summing
    to 1 (RiskMetrics, 1996, with the weights of the finite sample).

    The sum is taken by doubling: after step m each bar holds the weighted sum of its last 2^m
    squares (Hillis and Steele, 1986), which is elementwise and blind to the future.

    Args:
        returns: log returns [t], the first NaN.

    Returns:
        Standard deviation per bar, float64 [t]; the first is NaN.
    """
    total = np.square(returns[1:])
    span = 1
    while span < min(_EWMA_MEMORY, total.size):
        carried = total[:-span] * EWMA_LAMBDA**span
        total = np.concatenate((total[:span], total[span:] + carried))
        span *= 2
    weights = (1.0 - EWMA_LAMBDA ** np.arange(1.0, total.size + 1.0)) / (1.0 - EWMA_LAMBDA)
    return np.concatenate(([np.nan], np.sqrt(total / weights)))


def indicators(
    bars: Bars, scale: Floats, variance: Floats, spec: "FeatureSpec"
) -> Iterator[tuple[str, Floats]]:
    """Every indicator of `spec` that needs one symbol only, as (name, float64 [t]).

    Values before an indicator's warm-up are NaN. Ranks and identity are not among them.

    Args:
        bars: adjusted bars of one symbol.
        scale: `ewma_volatility` of the same bars [t].
        variance: `variance.bar_variance` of the same bars [t].
        spec: which windows to use.
    """
    import talib

    log_close = np.log(bars.close)
    yield from _trend(talib, bars, log_close, spec)
    yield from _oscillators(talib, bars, spec)
    yield from _volatility(talib, bars, log_close, spec)
    yield "ewma_volatility", scale
    yield from _volume(talib, bars, spec)
    yield from _shape(bars, log_close)
    yield from _calendar(bars.timestamps, intraday=spec.intraday)
    if spec.variance:
        yield from variance_features(bars, scale, variance, spec.variance)
    if spec.decays:
        yield from state_features(bars, scale, spec.decays)


def _trend(
    talib: Any, bars: Bars, log_close: Floats, spec: "FeatureSpec"
) -> Iterator[tuple[str, Floats]]:
    for window in spec.returns:
        yield f"log_return_{window}", _change(log_close, window)
    for window in spec.sma:
        yield f"close_to_sma_{window}", bars.close / talib.SMA(bars.close, window) - 1.0
    for window in spec.ema:
        yield f"close_to_ema_{window}", bars.close / talib.EMA(bars.close, window) - 1.0
    for window in spec.extremes:
        yield f"close_to_high_{window}", bars.close / talib.MAX(bars.high, window) - 1.0
        yield f"close_to_low_{window}", bars.close / talib.MIN(bars.low, window) - 1.0


def _oscillators(talib: Any, bars: Bars, spec: "FeatureSpec") -> Iterator[tuple[str, Floats]]:
    for window in spec.rsi:
        # Chande's momentum with Wilder's smoothing is RSI / 50 - 1, and 0 when nothing moved.
        yield f"rsi_{window}", talib.CMO(bars.close, window) / 100.0
    fast, slow, smooth = spec.macd
    lines = talib.MACD(bars.close, fast, slow, smooth)
    for name, line in zip(("macd", "macd_signal", "macd_histogram"), lines, strict=True):
        yield f"{name}_{fast}_{slow}_{smooth}", line / bars.close
    for window in spec.bollinger:
        middle = talib.SMA(bars.close, window)
        band = 2.0 * talib.STDDEV(bars.close, window)
        flat = band <= 2.0 * _FLAT_PRICE * middle
        yield f"bollinger_position_{window}", _ratio(bars.close - middle, band, flat)
        yield f"bollinger_width_{window}", np.where(flat, 0.0, 2.0 * band / middle)


def _volatility(
    talib: Any, bars: Bars, log_close: Floats, spec: "FeatureSpec"
) -> Iterator[tuple[str, Floats]]:
    for window in spec.atr:
        yield f"atr_{window}", talib.ATR(bars.high, bars.low, bars.close, window) / bars.close
    returns = _change(log_close, 1)
    for window in spec.volatility:
        yield f"realised_volatility_{window}", talib.STDDEV(returns, window)


def _volume(talib: Any, bars: Bars, spec: "FeatureSpec") -> Iterator[tuple[str, Floats]]:
    log_volume = np.log1p(bars.volume)
    for window in spec.volume:
        mean = talib.SMA(log_volume, window)
        deviation = talib.STDDEV(log_volume, window)
        flat = deviation <= _FLAT_VOLUME
        yield f"volume_zscore_{window}", _ratio(log_volume - mean, deviation, flat)


def _shape(bars: Bars, log_close: Floats) -> Iterator[tuple[str, Floats]]:
    reach = bars.high - bars.low
    yield "intraday_range", np.log(bars.high / bars.low)
    gap = np.log(bars.open)
    gap[1:] -= log_close[:-1]
    gap[0] = np.nan
    yield "overnight_gap", gap
    place = _ratio(2.0 * bars.close - bars.high - bars.low, reach, reach <= 0.0)
    yield "close_location", place


def _calendar(timestamps: Instants, *, intraday: bool) -> Iterator[tuple[str, Floats]]:
    # The instant before the close: a bar that closes at midnight belongs to the day it ends.
    last = timestamps - 1
    days = last // DAY
    yield from _circle("day_of_week", (days + _THURSDAY) % 7, 7)
    months = days.view("datetime64[D]").astype("datetime64[M]").view(np.int64)
    yield from _circle("month", months % 12, 12)
    if intraday:
        yield from _circle("hour_of_day", last % DAY // HOUR, 24)


def _circle(name: str, place: Instants, size: int) -> Iterator[tuple[str, Floats]]:
    angles = 2.0 * np.pi * np.arange(size) / size
    yield f"{name}_sin", np.sin(angles)[place]
    yield f"{name}_cos", np.cos(angles)[place]


def _change(series: Floats, window: int) -> Floats:
    change = np.full(series.size, np.nan)
    if series.size > window:
        np.subtract(series[window:], series[:-window], out=change[window:])
    return change


def _ratio(above: Floats, below: Floats, flat: NDArray[np.bool_]) -> Floats:
    """The quotient, and 0 where the series is flat; NaN stays NaN."""
    ratio = above / np.where(flat, 1.0, below)
    ratio[flat] = 0.0
    return ratio
