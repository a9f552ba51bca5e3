"""Limits that realised coverage and skill stay within by chance, for dependent outcomes.

Outcomes of one instant share the market, those of overlapping horizons share bars, and misses
cluster with volatility. So instants, not forecasts, are counted, and the variance of their mean
is a long-run one, from the equal-weighted cosine estimator with Student's t critical values
(Lazarus, Lewis, Stock and Watson, 2018, section 3: B = 0.4 T^(2/3)), whose size holds in short
and dependent samples where Newey-West's does not.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.live.scores import RealisedPoint
from forecasting.stats.significance import long_run_variance

NOMINAL: Final = 0.90
"""Nominal coverage of the published interval."""

_NO_SKILL: Final = 1e-3
"""Skill closer to zero than this is none: a random walk compared with itself differs by rounding."""


def coverage_limits(
    points: Sequence[RealisedPoint], horizon: int, *, false_alarms: float
) -> tuple[float, float, float] | None:
    """Coverage of the 90 % interval, and the limits it stays within unless it is off.

    The variance is never taken as smaller than that of independent spells in which all symbols
    share their fate, so that a quiet sample without any miss does not look certain.

    Args:
        points: one version and horizon, oldest first.
        horizon: in bars; outcomes of so many instants in a row overlap.
        false_alarms: probability of straying past either limit by chance.

    Returns:
        Coverage, low and high limit; None when there are too few instants.
    """
    weight = np.array([point.matured for point in points], dtype=np.float64)
    covered = np.array([point.coverage for point in points])
    excess = weight * (covered - NOMINAL) / weight.mean()
    independent = NOMINAL * (1 - NOMINAL) * horizon / len(points)
    margin = margin_of_mean(excess, horizon, false_alarms / 2, smallest=independent)
    if margin is None:
        return None
    return (
        NOMINAL + float(excess.mean()),
        max(NOMINAL - margin, 0.0),
        min(NOMINAL + margin, 1.0),
    )


def skill_limit(
    points: Sequence[RealisedPoint], horizon: int, *, false_alarms: float
) -> tuple[float, float] | None:
    """Skill against the random walk, and the limit it stays above unless it is truly worse.

    Args:
        points: one version and horizon whose random walk is known, oldest first.
        horizon: in bars.
        false_alarms: probability that forecasts as good as the random walk's fall below.

    Returns:
        1 - loss / loss of the random walk, and the limit; None when there are too few instants.
    """
    weight = np.array([point.matured for point in points], dtype=np.float64)
    loss = np.array([point.pinball for point in points])
    baseline = np.array([point.baseline_pinball for point in points], dtype=np.float64)
    scale = float(np.average(baseline, weights=weight))
    if scale <= 0:
        return None
    excess = weight * (loss - baseline) / weight.mean() / scale
    margin = margin_of_mean(excess, horizon, false_alarms, smallest=0.0)
    if margin is None:
        return None
    return -float(excess.mean()), -max(margin, _NO_SKILL)


def margin_of_mean(series: Floats, horizon: int, tail: float, *, smallest: float) -> float | None:
    """How far the mean of a dependent series strays from its expectation with probability `tail`.

    Args:
        series: [T].
        horizon: bars of overlap.
        tail: one-sided.
        smallest: least variance of the mean.
    """
    from scipy.stats import t as student

    variance, freedom = long_run_variance(series, horizon)
    if not freedom:
        return None
    variance = max(variance / len(series), smallest)
    return float(student.ppf(1 - tail, freedom) * np.sqrt(variance))
