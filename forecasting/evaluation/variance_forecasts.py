"""Scores forecast variances against squared returns: QLIKE, and Mincer and Zarnowitz's regression.

A variance is never seen, only a squared return, which is right on average and very noisy. QLIKE
ranks forecasts by it as the true variance would (Patton 2011, "Volatility forecast comparison using
imperfect volatility proxies", Journal of Econometrics 160), and one wild day weighs far less
than in a squared error. What is forecast is `OutOfSample.variance`, about zero and so without a
candidate's location: candidates that learn none but a location have the random walk's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Floats
from forecasting.evaluation.loss_sums import Panel
from forecasting.models.out_of_sample import OutOfSample
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import diebold_mariano, does_not_vary, long_run_variance

_MOMENTS = 6
"""Sums of products of the constant, the forecast and the squared return: cc, cv, vv, cy, vy, yy."""


@dataclass(frozen=True)
class VarianceScore:
    """How good the forecast variance of the return over h bars was. NaN where it cannot be said.

    Attributes:
        horizon: bars ahead.
        forecasts: known outcomes behind it.
        qlike: mean over periods of log(v / s) + r^2 / v for the forecast v, the squared return r^2
            and s = scale^2 * h; less is better.
        qlike_p: one-sided p-value of a loss below the random walk's (Diebold-Mariano, overlap
            counted); NaN for itself.
        intercept: of r^2 on v, in units of the mean s of the symbol; 0 if honest.
        slope: of r^2 on v; 1 if honest, below where v moves too much.
        slope_error: its standard error, with overlap counted and an instant's symbols taken as one.
        slope_p: two-sided p-value of a slope so far from 1.
        r_squared: share of the variance of r^2 that the regression explains.
    """

    horizon: int
    forecasts: int
    qlike: float
    qlike_p: float
    intercept: float
    slope: float
    slope_error: float
    slope_p: float
    r_squared: float


@dataclass(frozen=True)
class VarianceSums:
    """Sums per period; those of parts of the rows add up. T periods, R horizons.

    Attributes:
        horizons: the horizons counted, bars.
        count: known outcomes, shape [T, R].
        qlike: sum of QLIKE losses, shape [T, R].
        moments: weighted sums of products for the regression, shape [T, R, 6]: constant squared,
            constant * v, v^2, constant * r^2, v * r^2, r^4.
    """

    horizons: tuple[int, ...]
    count: Floats
    qlike: Floats
    moments: Floats


def sum_variances(candidate: OutOfSample, panel: Panel, horizons: Sequence[int]) -> VarianceSums:
    """Add up a candidate's losses and moments per period.

    Errors of squared returns grow with the variance, so the regression weighs a row by 1 / s^2
    with s = scale^2 * h, which all candidates share (generalised least squares as of Patton and
    Sheppard 2009, "Evaluating volatility and correlation forecasts"). The constant is the
    symbol's mean s, so that symbols of any volatility have one intercept.

    Args:
        candidate: its forecasts.
        panel: the rows all candidates share.
        horizons: horizons, bars; those between the knots, whose variance is not told, are left out.
    """
    told = tuple(horizon for horizon in horizons if horizon in KNOTS)
    times = panel.instants.size
    count, qlike = np.zeros((times, len(told))), np.zeros((times, len(told)))
    moments = np.zeros((times, len(told), _MOMENTS))
    square = np.square(panel.scale)
    rows_of = np.bincount(panel.codes, minlength=len(panel.symbols))
    mean = np.bincount(panel.codes, square, len(panel.symbols)) / np.maximum(rows_of, 1)
    constant = mean[panel.codes] / square
    for at, horizon in enumerate(told):
        came = np.square(panel.realised[:, horizon - 1].astype(np.float64)) / (square * horizon)
        said = candidate.variance[:, KNOTS.index(horizon)] / (square * horizon)
        met = np.isfinite(came) & (said > 0)
        period, c, v, y = panel.periods[met], constant[met], said[met], came[met]
        count[:, at] = np.bincount(period, minlength=times)
        qlike[:, at] = np.bincount(period, np.log(v) + y / v, times)
        for place, product in enumerate((c * c, c * v, v * v, c * y, v * y, y * y)):
            moments[:, at, place] = np.bincount(period, product, times)
    return VarianceSums(told, count, qlike, moments)


def variance_scores(
    sums: VarianceSums, null: VarianceSums | None, panel: Panel
) -> tuple[VarianceScore, ...]:
    """Scores of a candidate per horizon.

    Args:
        sums: its sums.
        null: the random walk's; None for the random walk itself.
        panel: the rows behind them, for how far forecasts overlap.
    """
    return tuple(
        _score(sums, null, at, overlap=panel.lags(horizon) + 1)
        for at, horizon in enumerate(sums.horizons)
    )


def _score(
    sums: VarianceSums, null: VarianceSums | None, at: int, *, overlap: int
) -> VarianceScore:
    series = _mean(sums.qlike[:, at], sums.count[:, at])
    p_value = float("nan")
    if null is not None:
        benchmark = _mean(null.qlike[:, at], null.count[:, at])
        p_value = diebold_mariano(benchmark - series, horizon=overlap).p_value
    known = series[np.isfinite(series)]
    fit = regression(sums.moments[sums.count[:, at] > 0, at], overlap=overlap)
    return VarianceScore(
        horizon=sums.horizons[at],
        forecasts=int(sums.count[:, at].sum()),
        qlike=float(known.mean()) if known.size else float("nan"),
        qlike_p=p_value,
        intercept=fit.intercept,
        slope=fit.slope,
        slope_error=fit.slope_error,
        slope_p=fit.slope_p,
        r_squared=fit.r_squared,
    )


@dataclass(frozen=True)
class Regression:
    """A regression of squared returns on forecasts; see `VarianceScore`."""

    intercept: float
    slope: float
    slope_error: float
    slope_p: float
    r_squared: float


def regression(moments: Floats, *, overlap: int) -> Regression:
    """Mincer and Zarnowitz's (1969) regression from sums of products, and a test of slope 1.

    The slope's error is the long-run deviation of its influence function summed per period, so
    that it is robust to heteroskedasticity, to overlap and to symbols that move together; Student's
    t has that variance's degrees of freedom (see `long_run_variance`).

    Args:
        moments: sums of products per period, time order, shape [T, 6]; see `VarianceSums`.
        overlap: periods neighbouring forecasts have in common, and 1.
    """
    from scipy.special import stdtr

    unknown = float("nan")
    cc, cv, vv, cy, vy, yy = moments.sum(axis=0)
    determinant = cc * vv - cv**2
    if not determinant > 1e-12 * cc * vv:  # the forecast is the constant, or there is none
        return Regression(unknown, unknown, unknown, unknown, unknown)
    intercept = (vv * cy - cv * vy) / determinant
    slope = (cc * vy - cv * cy) / determinant
    of_constant = moments[:, 3] - intercept * moments[:, 0] - slope * moments[:, 1]
    of_forecast = moments[:, 4] - intercept * moments[:, 1] - slope * moments[:, 2]
    influence = (cc * of_forecast - cv * of_constant) / determinant
    variance, freedom = long_run_variance(influence, overlap)
    error = float(np.sqrt(variance * len(moments))) if freedom else unknown
    slope_p = unknown
    if freedom:
        terms = (cc * moments[:, 4] - cv * moments[:, 3]) / determinant
        if does_not_vary(variance, terms):  # every r^2 lies on the line
            slope_p = float(np.isclose(slope, 1, rtol=1e-9))
        else:
            slope_p = float(2 * stdtr(freedom, -abs(slope - 1) / error))
    left = yy - intercept * cy - slope * vy
    total = yy - cy**2 / cc
    return Regression(
        intercept=float(intercept),
        slope=float(slope),
        slope_error=error,
        slope_p=slope_p,
        r_squared=float(1 - left / total) if total > 0 else unknown,
    )


def _mean(total: Floats, count: Floats) -> Floats:
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
