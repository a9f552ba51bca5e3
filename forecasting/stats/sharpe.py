"""Sharpe ratios: their standard error, and how they are deflated for the trials counted.

All ratios here are per observation (a day's, say), not annualised.
"""

from typing import Final

import numpy as np

EULER_GAMMA: Final = 0.5772156649015329


def sharpe_error(
    sharpe: float, observations: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Standard error of a Sharpe ratio; NaN below two observations.

    Lo (2002, eq. 9) for normal returns, sqrt((1 + S^2/2) / T); with skewness and kurtosis the
    form of Mertens (2002): sqrt((1 - skew S + (kurtosis - 1)/4 S^2) / (T - 1)).
    """
    if observations < 2:
        return float("nan")
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe
    return float(np.sqrt(max(spread, 0.0) / (observations - 1)))


def expected_best(trials: int, variance: float) -> float:
    """Sharpe ratio that the best of N worthless trials is expected to show; 0 for one trial.

    Bailey & Lopez de Prado (2014), eq. 1.

    Args:
        trials: how many were tried, N.
        variance: of the ratios over the trials.
    """
    from scipy.special import ndtri

    if trials <= 1:
        return 0.0
    return float(np.sqrt(variance)) * (
        (1 - EULER_GAMMA) * float(ndtri(1 - 1 / trials))
        + EULER_GAMMA * float(ndtri(1 - 1 / (trials * np.e)))
    )


def deflated_sharpe(
    sharpe: float,
    *,
    observations: int,
    trials: int,
    trial_variance: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the true Sharpe ratio is above zero, given that the best of N was kept.

    Bailey & Lopez de Prado (2014), "The deflated Sharpe ratio", eq. 2.

    Args:
        sharpe: the kept strategy's ratio.
        observations: returns behind it.
        trials: how many were tried, N.
        trial_variance: variance of the ratios over the trials.
        skew: of the returns.
        kurtosis: of the returns; 3 for the normal distribution.
    """
    from scipy.special import ndtr

    error = sharpe_error(sharpe, observations, skew, kurtosis)
    excess = sharpe - expected_best(trials, trial_variance)
    return float(ndtr(excess / error)) if error > 0 else float("nan")
