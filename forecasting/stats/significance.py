"""Significance of loss differences: Diebold-Mariano, Hansen's SPA and the model confidence set.

All three work on losses per period (the cross-section of symbols averaged first), so that
symbols moving together on a day count as one piece of evidence, not as many.

Forecasts 30 bars ahead overlap, and a few years hold few stretches of 30 bars. The usual tools
then find too much: on series without any difference, Newey-West variances at the overlap's lags
and block bootstraps reject about 10 % at a nominal 5 %. The variances here average the
series' slowest cosines, of which only so many are taken as reach beyond the overlap, and each
test knows how few they are (fixed-smoothing asymptotics). `make honesty` counts both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import InvalidInput

Series: TypeAlias = NDArray[np.float64]

DRAWS: Final = 4_000
"""Simulated values behind a p-value: its own error at 5 % is 0.3 points."""

_SPANS_PER_WAVE: Final = 2
"""Overlaps the fastest cosine's half wave must span; at 2 the overlap biases a deviation by 3 %."""

_ROUNDING: Final = 1e-24
"""Share of a series' mean square below which its variance is only rounding."""

_NO_DIRECTION: Final = 1e-12
"""Share of the largest eigenvalue below which another one is only rounding."""


@dataclass(frozen=True)
class DieboldMariano:
    """A one-sided Diebold-Mariano test.

    Attributes:
        statistic: the t statistic; positive: the challenger lost less.
        p_value: chance of so large a statistic if the challenger is no better; NaN when there
            are too few periods to say.
        difference: mean loss of the benchmark minus the challenger's.
        periods: number of periods behind it.
        freedom: degrees of freedom of its variance.
    """

    statistic: float
    p_value: float
    difference: float
    periods: int
    freedom: int


def smoothing(periods: int, overlap: int) -> int:
    """How many cosines a long-run variance may average: its degrees of freedom.

    0.4 T^(2/3) (Lazarus, Lewis, Stock & Watson, 2018, eq. 4), and no more than T / (2 h): beyond,
    the overlap of forecasts h periods ahead makes faster cosines smaller than the slow ones.

    Args:
        periods: observations, T.
        overlap: periods a forecast reaches ahead, h.
    """
    return int(min(0.4 * periods ** (2 / 3), periods / (_SPANS_PER_WAVE * max(overlap, 1))))


def cosines(series: Series, count: int) -> Series:
    """Coefficients of a series on its slowest cosines, shape [count, ...].

    sqrt(2 / T) sum_t cos(pi j (t - 1/2) / T) x_t for j = 1..count: for long series independent,
    with mean 0 and the long-run variance of x whatever its mean (Mueller, 2007).

    Args:
        series: observations in time order, shape [T, ...].
        count: how many, below T.
    """
    periods = len(series)
    angles = np.pi * np.outer(np.arange(1, count + 1), np.arange(periods) + 0.5) / periods
    coefficients: Series = np.sqrt(2 / periods) * _product(np.cos(angles), series)
    return coefficients


def long_run_variance(series: Series, overlap: int) -> tuple[float, int]:
    """Variance of a series' level, and its degrees of freedom; NaN and 0 for a short series.

    Equal-weighted cosine estimator (Lazarus et al., 2018, eq. 5). Divided by the number of
    observations it is the variance of their mean, whose t ratio follows Student's t.

    Args:
        series: observations in time order, shape [T].
        overlap: periods neighbouring observations have in common, and 1.
    """
    freedom = smoothing(series.size, overlap)
    if freedom < 2:
        return float("nan"), 0
    return float(np.mean(cosines(series, freedom) ** 2)), freedom


def diebold_mariano(differential: Series, *, horizon: int) -> DieboldMariano:
    """Test whether a challenger's mean loss is below the benchmark's.

    Diebold & Mariano (1995) on the loss differential, with a variance robust to its
    heteroskedasticity and autocorrelation, and Student's t with that variance's degrees of
    freedom as the correction for small samples: fixed-smoothing asymptotics, as Coroneo &
    Iacone (2020) recommend for this test. The forecasts are walk-forward ones, so the hypothesis
    is about the forecasting method, estimation noise included (Giacomini & White, 2006): a model
    that nests the random walk and finds nothing is worse than it, and is told so.

    Args:
        differential: benchmark loss minus challenger loss per period, time order, shape [T];
            NaN (period unknown) is left out.
        horizon: periods ahead, h: neighbouring forecasts have h - 1 of them in common.
    """
    from scipy.special import stdtr

    known = np.asarray(differential, dtype=np.float64)
    known = known[np.isfinite(known)]
    periods, unknown = known.size, float("nan")
    mean = float(known.mean()) if periods else unknown
    variance, freedom = long_run_variance(known, horizon)
    if not freedom:
        return DieboldMariano(unknown, unknown, mean, periods, 0)
    statistic = mean_over_error(known, variance)
    p_value = float(stdtr(freedom, -statistic))
    return DieboldMariano(statistic, p_value, mean, periods, freedom)


def does_not_vary(variance: Series | float, series: Series) -> NDArray[np.bool_]:
    """Whether a variance is nothing but the rounding of series of shape [T, ...], shape [...].

    A series that is the same number throughout has by arithmetic a variance a little above 0.
    """
    return np.asarray(variance <= _ROUNDING * np.mean(series**2, axis=0))


def mean_over_error(series: Series, variance: float) -> float:
    """A mean over its standard error; of a series that does not vary, 0 or infinite by its sign.

    Args:
        series: observations, finite, shape [T].
        variance: of its level, see `long_run_variance`.
    """
    mean = float(series.mean())
    if does_not_vary(variance, series):
        return float(np.sign(mean)) * np.inf if mean else 0.0
    return mean / float(np.sqrt(variance / series.size))


def superior_predictive_ability(
    benchmark: Series, models: Series, *, overlap: int, draws: int = DRAWS, seed: int = 0
) -> float:
    """Hansen's (2005) SPA test: is any of the models better, though the best was picked?

    His statistic, the largest studentised gain over the benchmark, and his consistent choice of
    the models that count: one whose t is below -sqrt(2 log log T) cannot be the best. The
    statistic's law under the null is not bootstrapped but simulated: the largest of correlated
    Student t values, numerators and variances drawn with the models' own long-run correlation
    (the fixed-smoothing law of the statistic). His bootstrap holds the estimated variances
    for true ones, which they are not with few spans of the overlap. On independent losses both
    agree with `arch.bootstrap.SPA`.

    Args:
        benchmark: losses of the benchmark per period, finite, shape [T].
        models: losses of the challengers, shape [T, M].
        overlap: periods the longest forecast spans.
        draws: simulated values of the statistic.
        seed: of the simulation.

    Returns:
        The p-value of "no model beats the benchmark"; NaN where there are too few periods.
    """
    gains = benchmark[:, None] - models
    return float(picked_p_values(gains, overlap=overlap, draws=draws, seed=seed).min())


def picked_p_values(gains: Series, *, overlap: int, draws: int = DRAWS, seed: int = 0) -> Series:
    """P-value of each model's gain, whichever of the models was picked, and why.

    The share of simulations in which the largest studentised gain of all models is at least the
    model's own: the single-step adjustment by the law of the maximum (White 2000, "A reality check
    for data snooping"; Romano & Wolf 2005, "Stepwise multiple testing as formalized data
    snooping"). The chance that any model without a true gain is below alpha stays below alpha,
    also where others have one. The smallest is that of `superior_predictive_ability`, which says
    how the law is simulated.

    Args:
        gains: benchmark's loss minus the model's per period and model, finite, shape [T, M].
        overlap: periods the longest forecast spans.
        draws: simulated values of the statistic.
        seed: of the simulation.

    Returns:
        Shape [M]; 1 without a gain, the least a simulation can say, 1 / (draws + 1), for a gain
        that is the same in every period; NaN where there are too few periods.
    """
    _refuse_gaps(gains)
    periods, models = gains.shape
    freedom = smoothing(periods, overlap)
    if freedom < 2:
        return np.full(models, np.nan)
    waves = cosines(gains, freedom)
    deviation = np.sqrt(np.mean(waves**2, axis=0))
    constant = does_not_vary(deviation**2, gains)
    p_values = np.where(constant & (gains.mean(axis=0) > 0), 1 / (draws + 1), 1.0)
    moving = np.flatnonzero(~constant)
    waves = waves[:, moving] / deviation[moving]
    ratios = np.sqrt(periods) * gains[:, moving].mean(axis=0) / deviation[moving]
    if not (ratios > 0).any():
        return p_values
    waves = waves[:, ratios > -np.sqrt(2 * np.log(np.log(periods)))]
    largest = _largest_ratios(waves, draws, simulation_generator(seed))
    for model, ratio in zip(moving, ratios, strict=True):
        if ratio > 0:
            p_values[model] = (np.count_nonzero(largest >= ratio) + 1) / (draws + 1)
    return p_values


def model_confidence_set(
    losses: Series, *, overlap: int, draws: int = DRAWS, seed: int = 0
) -> Series:
    """P-value of each model's place among the best (Hansen, Lunde & Nason, 2011).

    Their sequence of tests with the statistic T_max (eq. 5 and sec. 3.1.2): is the model that lost
    most against the average of those left worse than it? If it goes, the rest is asked again. As
    in `superior_predictive_ability` the statistic's law is simulated, not bootstrapped. A model
    is in the 1 - alpha confidence set when its p-value is above alpha. Models with identical
    losses share one place.

    Args:
        losses: per period and model, finite, shape [T, M].
        overlap: periods the longest forecast spans.
        draws: simulated values of each statistic.
        seed: of the simulation.

    Returns:
        Shape [M]; 1 for the best model; NaN where there are too few periods.
    """
    _refuse_gaps(losses)
    freedom = smoothing(len(losses), overlap)
    if freedom < 2:
        return np.full(losses.shape[1], np.nan)
    distinct, place = np.unique(losses, axis=1, return_inverse=True)
    rounding = _ROUNDING * np.mean(losses**2)
    left = list(range(distinct.shape[1]))
    p_values, running = np.ones(len(left)), 0.0
    rng = simulation_generator(seed)
    while len(left) > 1:
        behind = distinct[:, left] - distinct[:, left].mean(axis=1, keepdims=True)
        # One that differs from the average by rounding only is never the worst of them.
        apart = np.flatnonzero(np.mean(behind**2, axis=0) > rounding)
        if not apart.size:
            break
        waves = cosines(behind[:, apart], freedom)
        variances = np.mean(waves**2, axis=0)
        ratios = np.array(
            [
                mean_over_error(behind[:, model], variance)
                for model, variance in zip(apart, variances, strict=True)
            ]
        )
        worst = int(ratios.argmax())
        beyond = 0  # of one that is behind by the same in every period
        if np.isfinite(ratios[worst]):
            moving = np.isfinite(ratios)
            waves = waves[:, moving] / np.sqrt(variances[moving])
            beyond = int(np.count_nonzero(_largest_ratios(waves, draws, rng) >= ratios[worst]))
        running = max(running, float((beyond + 1) / (draws + 1)))
        p_values[left.pop(int(apart[worst]))] = running
    return np.asarray(p_values[place.ravel()])


def _largest_ratios(waves: Series, draws: int, rng: np.random.Generator) -> Series:
    """The largest of correlated Student t values, drawn often, shape [draws].

    Columns are put in the order of their numbers, and equal ones count once: what is drawn does
    not depend on the order of the models.

    Args:
        waves: coefficients on the cosines, of mean square 1 per column, shape [freedom, M].
        draws: how often.
        rng: where from.
    """
    waves = np.unique(waves, axis=1)
    freedom, models = waves.shape
    mix = symmetric_root(*np.linalg.eigh(_product(waves.T, waves) / freedom))
    numerators = _product(rng.standard_normal((draws, models)), mix)
    variances = np.zeros_like(numerators)
    for _ in range(freedom):
        variances += _product(rng.standard_normal((draws, models)), mix) ** 2 / freedom
    largest: Series = (numerators / np.sqrt(variances)).max(axis=1)
    return largest


def symmetric_root(values: Series, vectors: Series) -> Series:
    """The symmetric positive semidefinite root of a matrix, from its eigenvectors.

    Any root gives normals the right covariance, but which normals are drawn depends on the root,
    and with few draws so may a verdict. Eigenvectors alone do not fix one: their signs, and the
    basis of equal eigenvalues, are LAPACK's choice and differ from processor to processor. The
    symmetric root is unique, moves little when the matrix does, and exists where Cholesky's
    factor does not: models that sum to nothing, as in a confidence set, are linearly dependent.

    Args:
        values: eigenvalues in rising order, shape [M].
        vectors: orthonormal eigenvectors in columns, shape [M, M].
    """
    roots = np.sqrt(np.where(values > _NO_DIRECTION * values[-1], values, 0.0))
    return _product(vectors * roots, vectors.T)


def _product(left: Series, right: Series) -> Series:
    """The matrix product of [n, k] and [k, m] or [k]; every sum in one order, on any processor.

    BLAS adds in the order that suits the processor's registers and the place of a column.
    `numpy.einsum` does not, unless it is asked to optimise.
    """
    return np.asarray(np.einsum("nk,km->nm" if right.ndim > 1 else "nk,k->n", left, right))


def simulation_generator(seed: int) -> np.random.Generator:
    """A stream of its own: data drawn from the same seed must not steer their own test."""
    return np.random.default_rng((seed, 0xB007))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having looked at all of them (Holm, 1979); NaN stays NaN."""
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    order = [int(i) for i in np.argsort(values) if np.isfinite(values[i])]
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * float(values[index])))
        adjusted[index] = running
    return [float(value) for value in adjusted]


def _refuse_gaps(losses: Series) -> None:
    if not np.isfinite(losses).all():
        raise InvalidInput(
            "tests of several models need every loss",
            f"{int((~np.isfinite(losses)).sum())} of {losses.size} are not finite",
            "Leave out the periods whose future is not known yet",
        )
