"""Directional scores against SciPy, statsmodels and counts made by hand."""

import math

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


def slow_statistic(forecast, realised, periods, horizon):
    """The t statistic of the pooled rank correlation, one row and one cosine at a time."""
    ranks = [stats.rankdata(side) for side in (forecast, realised)]
    u, v = ((rank - rank.mean()) / rank.std() for rank in ranks)
    value = sum(a * b for a, b in zip(u, v, strict=True)) / len(u)
    sums = {}
    for a, b, period in zip(u, v, periods, strict=True):
        sums[period] = sums.get(period, 0.0) + a * b - value * (a * a + b * b) / 2
    series = [sums[period] for period in sorted(sums)]
    count = len(series)
    waves = int(min(0.4 * count ** (2 / 3), count / (2 * horizon)))
    variance = 0.0
    for wave in range(1, waves + 1):
        angle = math.pi * wave / count
        total = sum(math.cos(angle * (t + 0.5)) * one for t, one in enumerate(series))
        variance += 2 / count * total**2 / waves
    return value / (math.sqrt(variance * count) / len(u)), waves


def test_the_statistic_of_a_pooled_correlation_is_that_of_a_loop_over_rows():
    rng = np.random.default_rng(16)
    realised = rng.normal(size=450)
    forecast = realised + rng.normal(0, 4, 450)
    periods = np.repeat(np.arange(150), 3)
    ranks = outcome_ranks(realised, periods, symbols=3)
    result = rank_correlation(forecast, ranks, periods, horizon=5, symbols=3)
    statistic, freedom = slow_statistic(forecast, realised, periods, 5)
    assert result.statistic == pytest.approx(statistic, rel=1e-9)
    assert result.p_value == pytest.approx(2 * stats.t.sf(abs(statistic), freedom), rel=1e-9)
    assert result.statistic > 2


@pytest.mark.parametrize("symbols", [1, 3, 12])
def test_ranks_told_exactly_are_the_surest_evidence_and_constant_ones_are_none(symbols):
    realised = np.random.default_rng(17).normal(size=120 * symbols)
    periods = np.repeat(np.arange(120), symbols)
    ranks = outcome_ranks(realised, periods, symbols=symbols)
    options = {"horizon": 5, "symbols": symbols}
    for sign in (1, -1):
        found = rank_correlation(sign * realised, ranks, periods, **options)
        assert found.value == pytest.approx(sign)
        assert (found.statistic, found.p_value) == (sign * np.inf, 0)
    for silent in (
        rank_correlation(realised * 0, ranks, periods, **options),
        rank_correlation(realised, ranks * 0, periods, **options),
    ):
        assert np.isnan([silent.value, silent.statistic, silent.p_value]).all()
    short = periods < 9
    few = rank_correlation(realised[short], ranks[short], periods[short], **options)
    assert np.isfinite(few.value)
    assert np.isnan(few.p_value)


@pytest.mark.parametrize("horizon", [1, 5, 30])
@pytest.mark.parametrize("symbols", [1, 3, 7, 8, 50])
def test_forecasts_without_skill_are_found_as_rarely_as_promised(symbols, horizon):
    rng = np.random.default_rng((symbols, horizon))
    periods = 600
    at = np.repeat(np.arange(periods), symbols)
    found = 0
    for _ in range(100):
        moves = rng.standard_t(5, (periods + horizon, 1)) + rng.standard_t(
            5, (periods + horizon, symbols)
        )
        path = np.cumsum(moves, axis=0)
        realised = (path[horizon:] - path[:-horizon]).ravel()
        forecast = rng.normal(size=(periods, 1)) + rng.normal(size=(periods, symbols))
        for step in range(1, periods):
            forecast[step] += 0.9 * forecast[step - 1]
        ranks = outcome_ranks(realised, at, symbols=symbols)
        result = rank_correlation(forecast.ravel(), ranks, at, horizon=horizon, symbols=symbols)
        found += result.p_value < 0.05
    assert found <= 12  # 5 are expected; more than 12 come by chance once in a thousand times


def test_brier_score_of_always_saying_one_half_is_a_quarter():
    assert brier_score(np.full(9, 0.5), np.arange(9) > 3) == 0.25


def test_confusion_has_what_was_said_in_rows():
    said = np.array([1, 1, 0, -1], dtype=np.int8)
    came = np.array([1, -1, 0, 1], dtype=np.int8)
    assert confusion(said, came).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 1]]
