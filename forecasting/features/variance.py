"""Computes how much one symbol's price moved, bar by bar, from ranges, gaps and returns.

The variance of a bar is read from its open, high, low and close where they differ, which tells
about seven times as much as the squared return does (Garman and Klass 1980, "On the estimation of
security price volatilities from historical data", Journal of Business 53), and the gap from the
close before is added. Everything is relative to the squared scale, the EWMA variance that is known
at the same close, so that features say how far the bars ahead will differ from it.
As in `indicators`, no bar after t moves a value at t, not even in its last bit.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.arrays import Floats

if TYPE_CHECKING:
    from forecasting.features.indicators import Bars

DOWNSIDE: Final = (5, 21, 63)
"""Bars of the share of squared returns that were losses (Barndorff-Nielsen, Kinnebrock and
Shephard 2010, "Measuring downside risk: realised semivariance")."""

LEVERAGE: Final = (1, 5, 21)
"""Bars of returns over volatility: a fall is followed by larger moves than a rise."""

ESTIMATORS: Final = ("parkinson", "rogers_satchell", "yang_zhang")
"""Estimators of the variance that are taken over `ESTIMATED` bars."""

WINDOWS: Final = (1, 2, 5, 10, 21, 63, 126, 252)
"""Bars of the averages of a bar's variance: a day, a week, a month, a quarter, half a year, a year."""

DECAYS: Final = (0.85, 0.9, 0.94, 0.97)
"""Decays per bar of the averages of squared returns that the state of a GARCH recursion is made of:
the grid of its coefficient of the variance before."""

MEMORY: Final = 252
"""Bars those averages look back on, and of the long-run variance beside them: a year of days."""

ESTIMATED: Final = 21
MARKET: Final = (1, 5, 21)
"""Bars of the variance ratios that are also averaged over the symbols of the same instant."""

STATE_PREFIXES: Final = ("squared_return_ratio_", "squared_loss_ratio_")
"""What the names of the features begin with that the state of a GARCH recursion is made of."""

FEATURE_PREFIXES: Final = (
    *STATE_PREFIXES,
    "variance_ratio_",
    "market_variance_ratio_",
    *(f"{name}_ratio_" for name in ESTIMATORS),
    "downside_share_",
    "return_ratio_",
    "jump_share_",
    "range_known_",
)
"""What the names of all features of variance begin with."""

LEAST_RATIO: Final = 1e-4
"""Ratio to the squared scale below which a variance counts as this: a standing price has none."""


def feature_names(windows: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the features that need one symbol only, for these windows of `variance_ratio`."""
    return (
        *(f"variance_ratio_{window}" for window in windows),
        *(f"{name}_ratio_{ESTIMATED}" for name in ESTIMATORS),
        *(f"downside_share_{window}" for window in DOWNSIDE),
        *(f"return_ratio_{window}" for window in LEVERAGE),
        f"jump_share_{ESTIMATED}",
        f"range_known_{ESTIMATED}",
    )


def state_names(decays: tuple[float, ...]) -> tuple[str, ...]:
    """Names of the features of `state_features`, in their order; none without decays."""
    if not decays:
        return ()
    averages = (f"{prefix}{decay:g}" for decay in decays for prefix in STATE_PREFIXES)
    return (f"{STATE_PREFIXES[0]}{MEMORY}", *averages)


def bar_variance(bars: "Bars") -> Floats:
    """Variance of every bar's log return, gap before it included, float64 [t]; the first is NaN.

    Garman and Klass (1980), their practical estimator without the small cross terms: 0.5 (ln H/L)^2
    - (2 ln 2 - 1) (ln C/O)^2, plus the squared gap (ln O_t / C_(t-1))^2. Where a bar is made of
    its close alone, O = H = L = C, that is the squared return.
    """
    return garman_klass(bars) + np.square(_gap(bars))


def garman_klass(bars: "Bars") -> Floats:
    """Variance within each bar, float64 [t], never negative: |ln C/O| is at most ln H/L."""
    reach, body = np.log(bars.high / bars.low), np.log(bars.close / bars.open)
    within: Floats = 0.5 * np.square(reach) - (2.0 * np.log(2.0) - 1.0) * np.square(body)
    return np.maximum(within, 0.0)


def variance_features(
    bars: "Bars", scale: Floats, variance: Floats, windows: tuple[int, ...]
) -> Iterator[tuple[str, Floats]]:
    """Every feature of `feature_names`, as (name, float64 [t]); NaN before its warm-up.

    Args:
        bars: adjusted bars of one symbol.
        scale: `indicators.ewma_volatility` of the same bars [t].
        variance: `bar_variance` of the same bars [t].
        windows: bars that variances are averaged over.
    """
    import talib

    square = np.square(np.maximum(scale, 1e-12))
    returns = _returns(bars)
    for window in windows:
        yield f"variance_ratio_{window}", _log_ratio(_mean(talib, variance, window), square)
    for name, estimate in _estimates(talib, bars):
        yield f"{name}_ratio_{ESTIMATED}", _log_ratio(estimate, square)
    losses = np.square(np.minimum(returns, 0.0))
    for window in DOWNSIDE:
        total = _mean(talib, np.square(returns), window)
        moved = total > LEAST_RATIO * square
        share = _mean(talib, losses, window) / np.where(moved, total, 1.0)
        yield f"downside_share_{window}", np.where(moved | np.isnan(total), share, 0.5)
    log_close = np.log(bars.close)
    for window in LEVERAGE:
        change = np.full(log_close.size, np.nan)
        np.subtract(log_close[window:], log_close[:-window], out=change[window:])
        yield f"return_ratio_{window}", change / np.sqrt(window * square)
    yield f"jump_share_{ESTIMATED}", _jump_share(talib, returns, square)
    known = (bars.high > bars.low).astype(np.float64)
    yield f"range_known_{ESTIMATED}", _mean(talib, known, ESTIMATED)


def state_features(
    bars: "Bars", scale: Floats, decays: tuple[float, ...]
) -> Iterator[tuple[str, Floats]]:
    """Every feature of `state_names`, as (name, float64 [t]); NaN before its warm-up.

    The recursion h_(t+1) = omega + (alpha + gamma [r_t < 0]) r_t^2 + beta h_t (Glosten, Jagannathan
    and Runkle 1993) unrolls to sums of past r^2, and of past r^2 of losses, with weights beta^age.
    Given here are the logs of the weighted means and of the plain mean, over the squared scale.
    Sums end after `MEMORY` bars, where 0.97^252 = 0.0005 is left: so a caller's own bars give what
    any longer history would, and nothing has to be kept between requests.

    Args:
        bars: adjusted bars of one symbol.
        scale: `indicators.ewma_volatility` of the same bars [t].
        decays: beta, each within (0, 1).
    """
    import talib

    square = np.square(np.maximum(scale, 1e-12))
    returns = _returns(bars)
    plain, *weighted = state_names(decays)
    yield plain, _log_ratio(_mean(talib, np.square(returns), MEMORY), square)
    squares = np.square(np.stack([returns, np.minimum(returns, 0.0)]))
    means = _decayed_means(squares, np.array(decays))
    yield from zip(weighted, _log_ratio(means, square).reshape(-1, square.size), strict=True)


def _decayed_means(series: Floats, decays: Floats) -> Floats:
    """Means of the last `MEMORY` values of series [m, t], weights decay^age, float64 [D, m, t].

    NaN where one of them is unknown. Taken by doubling, as the scale is: after a step each bar holds
    the weighted sum of its last `span` values, and spans that make up the memory are put together.
    Every step is elementwise, so a value depends on its `MEMORY` bars alone, to the last bit.
    """
    rate, size = decays[:, None, None], series.shape[-1]
    sums = np.empty((decays.size, *series.shape))
    sums[:] = series
    total, reach, span = np.zeros_like(sums), 0, 1
    while True:
        if MEMORY & span:
            total[..., reach:] += rate**reach * sums[..., : max(size - reach, 0)]
            total[..., :reach] = np.nan
            reach += span
        if reach == MEMORY:
            break
        carried = rate**span * sums[..., : max(size - span, 0)]
        sums[..., span:] += carried
        sums[..., :span] = np.nan
        span *= 2
    total *= (1.0 - rate) / (1.0 - rate**MEMORY)
    return total


def _estimates(talib: Any, bars: "Bars") -> Iterator[tuple[str, Floats]]:
    """Variances of a bar by the estimators, over `ESTIMATED` bars."""
    high, low = np.log(bars.high / bars.open), np.log(bars.low / bars.open)
    body = np.log(bars.close / bars.open)
    # Parkinson 1980, "The extreme value method for estimating the variance of the rate of return".
    yield "parkinson", _mean(talib, np.square(high - low), ESTIMATED) / (4.0 * np.log(2.0))
    # Rogers and Satchell 1991, "Estimating variance from high, low and closing prices".
    drifting = np.maximum(high * (high - body) + low * (low - body), 0.0)
    rogers_satchell = _mean(talib, drifting, ESTIMATED)
    yield "rogers_satchell", rogers_satchell
    # Yang and Zhang 2000, "Drift-independent volatility estimation"; k for n bars.
    k = 0.34 / (1.34 + (ESTIMATED + 1) / (ESTIMATED - 1))
    overnight, opened = (_variance(talib, series) for series in (_gap(bars), body))
    yield "yang_zhang", overnight + k * opened + (1 - k) * rogers_satchell


def _jump_share(talib: Any, returns: Floats, square: Floats) -> Floats:
    """Share of the squared returns over `ESTIMATED` bars that bipower variation leaves, 0..1.

    Barndorff-Nielsen and Shephard 2004, "Power and bipower variation with stochastic volatility
    and jumps", Journal of Financial Econometrics 2.
    """
    size = np.abs(returns)
    pairs = np.full(size.size, np.nan)
    np.multiply(size[1:], size[:-1], out=pairs[1:])
    total = _mean(talib, np.square(returns), ESTIMATED)
    moved = total > LEAST_RATIO * square
    left = 1.0 - np.pi / 2.0 * _mean(talib, pairs, ESTIMATED) / np.where(moved, total, 1.0)
    return np.where(moved | np.isnan(total), np.clip(left, 0.0, 1.0), 0.0)


def _returns(bars: "Bars") -> Floats:
    returns = np.full(bars.close.size, np.nan)
    returns[1:] = np.diff(np.log(bars.close))
    return returns


def _gap(bars: "Bars") -> Floats:
    """Log return from the close before to the open, float64 [t]; the first is NaN."""
    gap = np.full(bars.close.size, np.nan)
    gap[1:] = np.log(bars.open[1:] / bars.close[:-1])
    return gap


def _mean(talib: Any, series: Floats, window: int) -> Floats:
    """Mean of the last `window` values, never below zero where no value is."""
    mean: Floats = series if window == 1 else np.maximum(talib.SMA(series, window), 0.0)
    return mean


def _variance(talib: Any, series: Floats) -> Floats:
    """Unbiased variance about the mean over `ESTIMATED` bars."""
    mean = talib.SMA(series, ESTIMATED)
    spread = _mean(talib, np.square(series), ESTIMATED) - np.square(mean)
    unbiased: Floats = np.maximum(spread, 0.0) * (ESTIMATED / (ESTIMATED - 1))
    return unbiased


def _log_ratio(variance: Floats, square: Floats) -> Floats:
    """Log of a variance over the squared scale, no less than that of `LEAST_RATIO`."""
    ratio: Floats = np.log(np.maximum(variance / square, LEAST_RATIO))
    return ratio
