"""Directional scores against SciPy, statsmodels and counts made by hand."""

import numpy as np
import pytest
from scipy import stats

from forecasting.evaluation.directional import (
    brier_score,
    confusion,
    hit_rate,
    outcome_ranks,
    rank_correlation,
    wilson_interval,
)


def test_wilson_interval_agrees_with_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for hits, count in ((0, 10), (53, 100), (10, 10)):
        expected = proportion_confint(hits, count, method="wilson")
        np.testing.assert_allclose(wilson_interval(hits / count, count), expected, atol=1e-6)
    assert np.isnan(wilson_interval(0.5, 0)).all()


def test_hit_rate_takes_only_forecasts_that_do_not_overlap():
    forecast = np.array([1.0, -1, 1, 1, -1, 1, 1, 0])
    realised = np.array([1.0, 1, 1, 1, -1, -1, 1, 1])
    result = hit_rate(forecast, realised, np.arange(8), horizon=3)  # rows 0, 3, 6
    assert (result.accuracy, result.forecasts) == (1, 3)


def test_symbols_that_move_together_do_not_narrow_the_hit_rates_interval():
    rng = np.random.default_rng(12)
    market = np.where(rng.random(400) < 0.5, 1.0, -1.0)
    periods = np.repeat(np.arange(400), 50)
    together = hit_rate(np.ones(20_000), np.repeat(market, 50), periods, horizon=1)
    apart = hit_rate(np.ones(20_000), rng.choice([-1.0, 1.0], 20_000), periods, horizon=1)
    assert together.effective == pytest.approx(400, rel=0.01)
    assert apart.effective > 15_000
    assert together.high - together.low > 5 * (apart.high - apart.low)


def test_symbols_that_always_hit_together_count_once_a_period():
    for outcome in (1.0, -1.0):
        result = hit_rate(
            np.ones(500), np.full(500, outcome), np.repeat(np.arange(10), 50), horizon=1
        )
        assert (result.forecasts, result.effective) == (500, 10)
        assert result.high - result.low == pytest.approx(0.2775, abs=1e-3)


def test_a_model_without_a_direction_has_no_hit_rate():
    result = hit_rate(np.zeros(10), np.ones(10), np.arange(10), horizon=1)
    assert np.isnan(result.accuracy)
    assert result.forecasts == 0


def test_information_coefficient_is_the_mean_of_spearmans_correlation_by_date():
    rng = np.random.default_rng(14)
    periods = np.repeat(np.arange(30), 12)
    realised = rng.normal(size=360)
    forecast = realised + rng.normal(0, 3, 360)
    realised[5] = np.nan
    expected = []
    for period in range(30):
        at = (periods == period) & np.isfinite(realised)
        expected.append(stats.spearmanr(forecast[at], realised[at]).statistic)
    ranks = outcome_ranks(realised, periods, symbols=12)
    result = rank_correlation(forecast, ranks, periods, horizon=1, symbols=12)
    assert result.value == pytest.approx(np.mean(expected), rel=1e-12)
    assert result.dates == 30
    assert np.isnan(rank_correlation(forecast * 0, ranks, periods, horizon=1, symbols=12).value)


def test_information_coefficient_is_pooled_for_a_few_symbols():
    rng = np.random.default_rng(15)
    realised = rng.normal(size=300)
    forecast = realised + rng.normal(0, 2, 300)
    periods = np.repeat(np.arange(100), 3)
    ranks = outcome_ranks(realised, periods, symbols=3)
    result = rank_correlation(forecast, ranks, periods, horizon=5, symbols=3)
    assert result.value == pytest.approx(stats.spearmanr(forecast, realised).statistic, rel=1e-12)
    assert result.dates == 0


def test_brier_score_of_always_saying_one_half_is_a_quarter():
    assert brier_score(np.full(9, 0.5), np.arange(9) > 3) == 0.25


def test_confusion_has_what_was_said_in_rows():
    said = np.array([1, 1, 0, -1], dtype=np.int8)
    came = np.array([1, -1, 0, 1], dtype=np.int8)
    assert confusion(said, came).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 1]]
