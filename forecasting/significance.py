"""Could the difference be luck? Diebold-Mariano, Hansen's SPA and the model confidence set.

All three work on losses per period (the cross-section of symbols averaged first), so that
symbols moving together on a day count as one piece of evidence, not as many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import InvalidInput

Series: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class DieboldMariano:
    """A one-sided Diebold-Mariano test.

    Attributes:
        statistic: the corrected t statistic; positive: the challenger lost less.
        p_value: chance of so large a statistic if the challenger is no better; NaN when there
            are too few periods to say.
        difference: mean loss of the benchmark minus the challenger's.
        periods: number of periods behind it.
    """

    statistic: float
    p_value: float
    difference: float
    periods: int


def long_run_variance(series: Series, lags: int) -> float:
    """Newey-West variance of a series' level: Bartlett weights 1 - j/(lags+1) (1987, eq. 5).

    Never negative. Divided by the number of observations it is the variance of their mean.

    Args:
        series: observations in time order, shape [T].
        lags: highest autocovariance counted; h - 1 for forecasts h periods ahead.
    """
    centred = series - series.mean()
    total = float(centred @ centred)
    for lag in range(1, min(lags, series.size - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    return max(total, 0.0) / series.size


def diebold_mariano(
    differential: Series, *, horizon: int, lags: int | None = None
) -> DieboldMariano:
    """Test whether a challenger's mean loss is below the benchmark's.

    Diebold & Mariano (1995) on the loss differential, with a Newey-West variance because
    forecasts h periods ahead overlap, the small-sample factor
    sqrt((T + 1 - 2h + h(h-1)/T) / T) and Student's t with T - 1 degrees of freedom (Harvey,
    Leybourne & Newbold, 1997). The forecasts are walk-forward ones, so the hypothesis is about
    the forecasting method, estimation noise included (Giacomini & White, 2006): a model that
    nests the random walk and finds nothing is worse than it, and is told so.

    Args:
        differential: benchmark loss minus challenger loss per period, time order, shape [T];
            NaN (period unknown) is left out.
        horizon: periods ahead, h, for the small-sample factor.
        lags: autocovariances in the variance; h - 1 by default.
    """
    from scipy.special import stdtr

    known = np.asarray(differential, dtype=np.float64)
    known = known[np.isfinite(known)]
    periods = known.size
    if periods < max(horizon + 2, 4):
        mean = float(known.mean()) if periods else float("nan")
        return DieboldMariano(float("nan"), float("nan"), mean, periods)
    mean = float(known.mean())
    variance = long_run_variance(known, horizon - 1 if lags is None else lags) / periods
    if variance <= np.finfo(np.float64).tiny:
        statistic = float(np.sign(mean)) * np.inf if mean else 0.0
    else:
        factor = (periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods) / periods
        statistic = mean / np.sqrt(variance) * np.sqrt(max(factor, 0.0))
    p_value = float(stdtr(periods - 1, -statistic))
    return DieboldMariano(float(statistic), p_value, mean, periods)


def superior_predictive_ability(
    benchmark: Series, models: Series, *, block: int, repetitions: int = 1_000, seed: int = 0
) -> float:
    """Hansen's (2005) SPA test: is any of the models better, though the best was picked?

    The consistent p-value of `arch.bootstrap.SPA` under the stationary bootstrap. The loss
    differentials are studentised here by their Newey-West deviation, because arch 8 takes the
    `studentize` option but does not apply it; unstudentised, one erratic model hides a good one.

    Args:
        benchmark: losses of the benchmark per period, finite, shape [T].
        models: losses of the challengers, shape [T, M].
        block: mean block length in periods, at least the horizon.
        repetitions: bootstrap repetitions.
        seed: of the bootstrap.

    Returns:
        The p-value of "no model beats the benchmark"; NaN with fewer than two blocks.
    """
    from arch.bootstrap import SPA

    gains = benchmark[:, None] - models
    _refuse_gaps(gains)
    if len(gains) < 2 * block or len(gains) < 8:
        return float("nan")
    spread = np.array([np.sqrt(long_run_variance(gain, block)) for gain in gains.T])
    moving = spread > 0
    if not moving.any():
        return 1.0
    studentised = gains[:, moving] / spread[moving]
    test = SPA(
        np.zeros(len(gains)),
        -studentised,
        block_size=block,
        reps=repetitions,
        seed=bootstrap_generator(seed),
    )
    test.compute()
    return float(test.pvalues["consistent"])


def model_confidence_set(
    losses: Series, *, block: int, repetitions: int = 1_000, seed: int = 0
) -> Series:
    """P-value of each model's place among the best (Hansen, Lunde & Nason, 2011).

    A model is in the 1 - alpha confidence set when its p-value is above alpha. Models with
    identical losses share one place.

    Args:
        losses: per period and model, finite, shape [T, M].
        block: mean block length in periods.
        repetitions: bootstrap repetitions.
        seed: of the bootstrap.

    Returns:
        Shape [M]; 1 for the best model; NaN with fewer than two blocks.
    """
    from arch.bootstrap import MCS

    _refuse_gaps(losses)
    if len(losses) < 2 * block or len(losses) < 8:
        return np.full(losses.shape[1], np.nan)
    distinct, place = np.unique(losses, axis=1, return_inverse=True)
    if distinct.shape[1] == 1:
        return np.ones(losses.shape[1])
    test = MCS(distinct, 0.05, block_size=block, reps=repetitions, seed=bootstrap_generator(seed))
    test.compute()
    p_values = test.pvalues["Pvalue"].sort_index().to_numpy(dtype=np.float64)
    return np.asarray(p_values[place.ravel()])


def bootstrap_generator(seed: int) -> np.random.Generator:
    """A stream of its own: data drawn from the same seed must not steer their own bootstrap."""
    return np.random.default_rng((seed, 0xB007))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having looked at all of them (Holm, 1979); NaN stays NaN."""
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    order = [int(i) for i in np.argsort(given) if np.isfinite(given[i])]
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * float(given[index])))
        adjusted[index] = running
    return [float(value) for value in adjusted]


def _refuse_gaps(losses: Series) -> None:
    if not np.isfinite(losses).all():
        raise InvalidInput(
            "a bootstrap of losses needs every loss",
            f"{int((~np.isfinite(losses)).sum())} of {losses.size} are not finite",
            "Leave out the periods whose future is not known yet",
        )
