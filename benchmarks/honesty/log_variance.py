"""Log-variances that are moving averages of normal shocks: AR(1) factors, and a rough process.

A moving average shows at every bar what is known of later ones: the shocks so far. So both the
variance and what to expect of it are exact, without a filter.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CIRCLE = 2**15
"""Bars of the circle on which a kernel is factored; correlations must have died out half-way."""


def autoregressive_kernel(persistence: float, deviation: float, length: int) -> Floats:
    """Weights [length] of the shocks of 0, 1, ... bars ago in a stationary AR(1).

    Args:
        persistence: its autocorrelation at one bar.
        deviation: its standard deviation.
        length: shocks that are looked back on.
    """
    weights: Floats = deviation * np.sqrt(1 - persistence**2) * persistence ** np.arange(length)
    return weights


def matern_correlation(lags: Floats, hurst: float, memory: float) -> Floats:
    """Autocorrelation of a rough process that is stationary.

    The process is the integral of (t - s)^(H - 1/2) exp(-(t - s) / memory) dW_s, with the increments
    of a fractional Brownian motion over times far below its memory; its autocorrelation is the
    Matern function (Bennedsen, Lunde and Pakkanen, Journal of Financial Econometrics 2022).

    Args:
        lags: bars, not negative.
        hurst: H, below 1/2.
        memory: bars after which correlations fall off exponentially.
    """
    from scipy.special import gamma, kv

    correlation = np.ones(len(lags))
    apart = lags > 0
    x = lags[apart] / memory
    correlation[apart] = 2 ** (1 - hurst) / gamma(hurst) * x**hurst * kv(hurst, x)
    return correlation


def rough_kernel(hurst: float, memory: float, deviation: float, length: int) -> Floats:
    """Weights [length] of past shocks, such that the moving average has the law of a rough process.

    The causal factor of the process's spectral density on whole bars, from the logarithm's Fourier
    series (Kolmogorov's formula; Brockwell and Davis 1991, section 5.8). At whole bars it has the
    covariances of `matern_correlation` exactly, which a sum over the kernel in continuous time has
    not: that kernel has a pole at 0.

    Args:
        hurst: H, below 1/2.
        memory: bars after which correlations fall off exponentially.
        deviation: standard deviation of the process.
        length: shocks that are looked back on.
    """
    lags = np.minimum(np.arange(_CIRCLE), _CIRCLE - np.arange(_CIRCLE)).astype(np.float64)
    density = np.fft.rfft(matern_correlation(lags, hurst, memory)).real
    series = np.fft.irfft(np.log(density), _CIRCLE)
    causal = np.zeros(_CIRCLE)
    causal[0], causal[1 : _CIRCLE // 2] = series[0] / 2, series[1 : _CIRCLE // 2]
    weights: Floats = np.fft.irfft(np.exp(np.fft.rfft(causal)), _CIRCLE)[:length]
    return deviation * weights


def moving_averages(kernels: Floats, shocks: Floats) -> Floats:
    """Sums [n, symbols, t] of shocks [t, symbols], each weighted by the kernels [n, length].

    The sum at bar t takes the shocks of bars t, t - 1, ...; before the first there are none.
    """
    bars = len(shocks)
    size = 2 ** int(np.ceil(np.log2(bars + kernels.shape[1])))
    spectrum = np.fft.rfft(kernels, size)[:, None] * np.fft.rfft(shocks.T, size)
    sums: Floats = np.fft.irfft(spectrum, size)[..., :bars]
    return sums


def expected_variances(factors: Sequence[tuple[Floats, Floats]], horizons: int) -> Floats:
    """What is expected of the variance of later bars, whose mean is 1, shape [t, symbols, H].

    The variance is the exponential of a sum of independent moving averages. Entry [t, s, h - 1] is
    the expectation of the variance of bar t + h given the shocks of bars up to t + 1; so the one of
    the next bar is that variance itself, and the last row, whose next bar is not there, is left out.

    Args:
        factors: for each moving average its kernel [length] and its shocks [t + 1, symbols].
        horizons: H, at least 1.
    """
    logarithm: Floats | float = 0.0
    for kernel, shocks in factors:
        later = np.zeros((horizons, len(kernel)))
        for ahead in range(horizons):
            later[ahead, : len(kernel) - ahead] = kernel[ahead:]
        unknown = np.concatenate([[0.0], np.cumsum(kernel[: horizons - 1] ** 2)])
        surprise = (unknown - (kernel**2).sum()) / 2
        logarithm = logarithm + moving_averages(later, shocks) + surprise[:, None, None]
    expected: Floats = np.exp(logarithm)[..., 1:].transpose(2, 1, 0)
    return expected
