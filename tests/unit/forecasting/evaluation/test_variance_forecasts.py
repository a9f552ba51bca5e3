"""Scores of a variance: row by row, against a regression of statsmodels, and as the truth demands."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from forecasting.evaluation.loss_sums import panel_of
from forecasting.evaluation.variance_forecasts import (
    regression,
    sum_variances,
    variance_scores,
)
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import diebold_mariano, long_run_variance
from forecasting.testing import planted_forecasts, with_wandering_volatility

HORIZONS = (1, 5, 30)


def wandering(seed, swing, periods=400):
    planted = planted_forecasts(signal=0, candidates=(), symbols=3, periods=periods, seed=seed)
    return with_wandering_volatility(planted["random_walk"], swing=swing, seed=seed)


def scores(candidate, null=None, horizons=HORIZONS):
    panel = panel_of({"random_walk": candidate})
    sums = sum_variances(candidate, panel, horizons)
    return variance_scores(sums, null and sum_variances(null, panel, horizons), panel)


def rows_of(forecasts, horizon):
    """Symbol, period, s, v and squared return of every known row, one at a time."""
    panel = panel_of({"random_walk": forecasts})
    for row in range(len(forecasts)):
        came = float(forecasts.realised[row, horizon - 1])
        if np.isfinite(came):
            unit = panel.scale[row] ** 2 * horizon
            said = float(forecasts.variance[row, KNOTS.index(horizon)])
            yield int(panel.codes[row]), int(panel.periods[row]), unit, said, came**2


@pytest.fixture(scope="module")
def gappy():
    forecasts = wandering(1, 0.3)
    realised = forecasts.realised.copy()
    realised[-40:, 4] = np.nan
    return replace(forecasts, realised=realised)


def test_qlike_is_the_mean_over_periods_of_every_rows_loss(gappy):
    found = scores(gappy)
    for score in found:
        by_period = {}
        for _, period, unit, said, came in rows_of(gappy, score.horizon):
            by_period.setdefault(period, []).append(np.log(said / unit) + came / said)
        assert score.qlike == pytest.approx(np.mean([np.mean(one) for one in by_period.values()]))
        assert score.forecasts == sum(map(len, by_period.values()))
        assert np.isnan(score.qlike_p)


def test_a_lower_qlike_is_tested_against_the_random_walks_period_by_period(gappy):
    null = wandering(1, 0.0)
    (found,) = scores(gappy, null, (5,))
    losses = {}
    for name, forecasts in (("own", gappy), ("null", replace(null, realised=gappy.realised))):
        sums = [[] for _ in range(400)]
        for _, period, unit, said, came in rows_of(forecasts, 5):
            sums[period].append(np.log(said / unit) + came / said)
        losses[name] = np.array([np.mean(one) if one else np.nan for one in sums])
    # Both symbols' scales are those of the forecasts, so the differences are the same.
    test = diebold_mariano(losses["null"] - losses["own"], horizon=5)
    assert found.qlike_p == pytest.approx(test.p_value)
    assert found.qlike_p > 0.5  # the swinging width is the worse one


def test_the_regression_is_weighted_least_squares_with_one_constant_per_symbol(gappy):
    for score in scores(gappy):
        rows = list(rows_of(gappy, score.horizon))
        mean = [np.mean(gappy.scale[gappy.codes == code] ** 2) * score.horizon for code in range(3)]
        codes, _, unit, said, came = (np.array(column) for column in zip(*rows, strict=True))
        regressors = np.column_stack([np.array(mean)[codes], said])
        oracle = sm.WLS(came, regressors, weights=1 / unit**2).fit()
        assert (score.intercept, score.slope) == pytest.approx(tuple(oracle.params))
        constant = sm.WLS(came, regressors[:, :1], weights=1 / unit**2).fit()
        assert score.r_squared == pytest.approx(1 - oracle.ssr / constant.ssr)


def test_the_slopes_error_is_of_the_influence_summed_by_period(gappy):
    (score,) = scores(gappy, horizons=(5,))
    rows = list(rows_of(gappy, 5))
    codes, periods, unit, said, came = (np.array(column) for column in zip(*rows, strict=True))
    mean = np.array([np.mean(gappy.scale[gappy.codes == code] ** 2) * 5 for code in range(3)])
    x = np.column_stack([mean[codes], said]) / unit[:, None]
    left = came / unit - x @ [score.intercept, score.slope]
    each = (np.linalg.inv(x.T @ x) @ (x * left[:, None]).T)[1]
    influence = np.bincount(periods, each)
    variance, _ = long_run_variance(influence, 5)
    assert score.slope_error == pytest.approx(np.sqrt(variance * influence.size))


def test_the_robust_error_is_near_that_of_statsmodels():
    """Newey and West's, with a rule of thumb for the lags: another estimator of the same number."""
    rng = np.random.default_rng(5)
    errors, oracles = [], []
    for _ in range(40):
        forecast = np.exp(0.4 * np.cumsum(rng.standard_normal(600)) / 20)
        came = forecast * rng.standard_normal(600) ** 2
        x = np.column_stack([np.ones(600), forecast])
        moments = np.column_stack([x[:, 0], forecast, forecast**2, came, forecast * came, came**2])
        found = regression(moments, overlap=1)
        oracle = sm.OLS(came, x).fit(cov_type="HAC", cov_kwds={"maxlags": 12})
        assert found.slope == pytest.approx(oracle.params[1])
        assert found.r_squared == pytest.approx(oracle.rsquared)
        errors.append(found.slope_error)
        oracles.append(oracle.bse[1])
    assert np.mean(errors) == pytest.approx(np.mean(oracles), rel=0.15)


def test_sums_of_parts_of_the_rows_add_up(gappy):
    panel = panel_of({"random_walk": gappy})
    whole = sum_variances(gappy, panel, HORIZONS)
    parts = [
        sum_variances(
            replace(gappy, variance=np.where(gappy.codes[:, None] == code, gappy.variance, np.nan)),
            panel,
            HORIZONS,
        )
        for code in range(3)
    ]
    for name in ("count", "qlike", "moments"):
        np.testing.assert_allclose(
            getattr(whole, name), sum(getattr(part, name) for part in parts), rtol=1e-12
        )


def test_the_true_variance_has_the_least_loss_and_a_swinging_one_a_slope_below_one():
    true, swinging = wandering(3, 0.0, 1_000), wandering(3, 0.4, 1_000)
    (better,) = scores(true, swinging, (1,))
    (worse,) = scores(swinging, true, (1,))
    assert better.qlike < worse.qlike
    assert better.qlike_p < 0.01
    assert worse.slope < 0.5
    assert worse.slope_p < 0.01


def test_one_in_twenty_slopes_of_a_true_variance_is_said_to_be_off():
    """A market whose volatility does wander, and a forecast that knows it."""
    p_values = []
    for seed in range(150):
        forecasts = wandering(seed, 0.3)
        width = np.sqrt(forecasts.variance[:, :1]) / 0.01
        moved = replace(forecasts, realised=forecasts.realised * width)
        p_values.append(scores(moved, horizons=(1,))[0].slope_p)
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.11


def test_horizons_between_the_knots_are_left_out():
    assert [score.horizon for score in scores(wandering(1, 0.1), horizons=(1, 7, 10))] == [1, 10]


def test_what_cannot_be_said_is_not_a_number():
    short = wandering(2, 0.1, periods=40)
    for score in scores(replace(short, variance=np.full_like(short.variance, np.nan))):
        assert (score.forecasts, np.isnan(score.qlike), np.isnan(score.slope)) == (0, True, True)
    still = replace(short, scale=np.full_like(short.scale, 0.01))
    constant = replace(still, variance=np.full_like(short.variance, 1e-4))
    (score,) = scores(constant, horizons=(1,))
    assert np.isfinite(score.qlike)
    assert np.isnan([score.slope, score.slope_p, score.r_squared]).all()
    (untestable,) = scores(short, horizons=(30,))
    assert np.isfinite(untestable.slope)
    assert np.isnan(untestable.slope_p)


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 1.0), (0.5, 0.0)])
def test_squares_that_lie_on_a_line_are_surely_honest_or_surely_not(slope, expected):
    said = np.random.default_rng(6).uniform(0.5, 2, 300)
    came = 0.1 + slope * said
    one = np.ones(300)
    moments = np.column_stack([one, said, said**2, came, said * came, came**2])
    found = regression(moments, overlap=5)
    assert found.slope == pytest.approx(slope)
    assert found.slope_p == expected
