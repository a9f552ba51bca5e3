import numpy as np
import pytest
from scipy import stats

from forecasting.direction import (
    brier_score,
    confusion,
    grouped_ranks,
    hit_rate,
    outcome_ranks,
    rank_correlation,
    wilson_interval,
)
from forecasting.errors import InvalidInput
from forecasting.significance import (
    bootstrap_generator,
    diebold_mariano,
    holm,
    long_run_variance,
    model_confidence_set,
    superior_predictive_ability,
)


def overlapping(rng, periods, horizon, mean=0.0):
    news = rng.normal(size=periods + horizon)
    return np.convolve(news, np.ones(horizon), "valid")[:periods] / np.sqrt(horizon) + mean


def test_long_run_variance_equals_the_double_loop():
    series = overlapping(np.random.default_rng(0), 60, 4)
    centred, lags, slow = series - series.mean(), 5, 0.0
    for i in range(60):
        for j in range(60):
            if abs(i - j) <= lags:
                slow += (1 - abs(i - j) / (lags + 1)) * centred[i] * centred[j] / 60
    assert long_run_variance(series, lags) == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("horizon", [1, 5, 30])
def test_diebold_mariano_equals_statsmodels_hac_regression_with_the_small_sample_factor(horizon):
    import statsmodels.api as sm

    periods = 300
    series = overlapping(np.random.default_rng(horizon), periods, horizon, mean=0.2)
    fit = sm.OLS(series, np.ones(periods)).fit(
        cov_type="HAC", cov_kwds={"maxlags": horizon - 1, "use_correction": False}
    )
    factor = (periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods) / periods
    expected = fit.tvalues[0] * np.sqrt(factor)
    result = diebold_mariano(series, horizon=horizon)
    assert result.statistic == pytest.approx(expected, rel=1e-10)
    assert result.p_value == pytest.approx(stats.t.sf(expected, periods - 1), rel=1e-8)
    assert result.periods == periods


def test_one_step_diebold_mariano_is_the_t_test():
    series = np.random.default_rng(4).normal(0.1, 1, 80)
    expected = stats.ttest_1samp(series, 0, alternative="greater")
    result = diebold_mariano(series, horizon=1)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-7)


def test_diebold_mariano_leaves_unknown_periods_out():
    series = np.random.default_rng(5).normal(size=100)
    padded = np.concatenate([series, [np.nan] * 10])
    assert diebold_mariano(padded, horizon=5) == diebold_mariano(series, horizon=5)


def test_diebold_mariano_says_nothing_about_too_few_periods():
    assert np.isnan(diebold_mariano(np.ones(10), horizon=30).p_value)
    assert np.isnan(diebold_mariano(np.array([]), horizon=1).p_value)


def test_equal_forecasts_are_no_evidence():
    assert diebold_mariano(np.zeros(100), horizon=5).p_value == 0.5


def test_diebold_mariano_holds_its_level_on_overlapping_forecasts_without_skill():
    rng = np.random.default_rng(6)
    runs = [diebold_mariano(overlapping(rng, 500, 5), horizon=5).p_value for _ in range(1000)]
    # Bartlett weights lean to the liberal side under overlap; far from the 18 % without them.
    assert 0.03 < np.mean(np.array(runs) < 0.05) < 0.11


def test_spa_equals_hansens_studentised_statistic_written_out():
    from arch.bootstrap import StationaryBootstrap

    rng = np.random.default_rng(7)
    benchmark = rng.normal(1, 1, 200)
    models = benchmark[:, None] - rng.normal([0.10, -0.3, 0.02], [0.5, 3, 1], (200, 3))
    block, repetitions = 5, 400
    gains = benchmark[:, None] - models
    spread = np.array([np.sqrt(long_run_variance(g, block)) for g in gains.T])
    best = max(0.0, np.max(np.sqrt(200) * gains.mean(0) / spread))
    p = 1 / block
    kappa = [(1 - i / 200) * (1 - p) ** i + i / 200 * (1 - p) ** (200 - i) for i in range(1, 200)]
    centred = (gains - gains.mean(0)) / spread
    omega = (centred**2).mean(0) + sum(
        2 * k * (centred[:-i] * centred[i:]).sum(0) / 200 for i, k in enumerate(kappa, 1)
    )
    kept = gains.mean(0) / spread >= -np.sqrt(omega / 200 * 2 * np.log(np.log(200)))
    beyond = 0
    for (index,), _ in StationaryBootstrap(
        block, np.arange(200), seed=bootstrap_generator(3)
    ).bootstrap(repetitions):
        drawn = gains[index].mean(0) - np.where(kept, gains.mean(0), 0.0)
        beyond += np.max(np.sqrt(200) * drawn / spread) > best
    ours = superior_predictive_ability(
        benchmark, models, block=block, repetitions=repetitions, seed=3
    )
    assert ours == pytest.approx(beyond / repetitions, abs=1e-12)


def test_an_erratic_model_does_not_hide_a_good_one_from_spa():
    rng = np.random.default_rng(8)
    benchmark = rng.normal(1, 0.1, 400)
    good = benchmark - rng.normal(0.1, 0.3, 400)
    erratic = benchmark - rng.normal(-0.5, 30, 400)
    p_value = superior_predictive_ability(benchmark, np.stack([good, erratic], axis=1), block=5)
    assert p_value < 0.01


def test_spa_is_the_same_for_the_same_seed_and_counts_the_picking():
    rng = np.random.default_rng(9)
    benchmark = rng.normal(1, 0.1, 400)
    lucky = benchmark - rng.normal(0.02, 0.2, 400)
    crowd = benchmark[:, None] - rng.normal(0, 0.2, (400, 30))
    alone = superior_predictive_ability(benchmark, lucky[:, None], block=1, seed=1)
    picked = superior_predictive_ability(
        benchmark, np.column_stack([lucky, crowd]), block=1, seed=1
    )
    again = superior_predictive_ability(benchmark, np.column_stack([lucky, crowd]), block=1, seed=1)
    assert picked == again
    assert alone < picked


def test_spa_does_not_judge_two_blocks_or_refuses_gaps():
    losses = np.random.default_rng(10).normal(size=(50, 2))
    assert np.isnan(superior_predictive_ability(losses[:, 0], losses[:, 1:], block=30))
    assert superior_predictive_ability(losses[:, 0], losses[:, :1], block=5) == 1.0
    losses[3, 1] = np.nan
    with pytest.raises(InvalidInput, match="1 of 50 are not finite"):
        superior_predictive_ability(losses[:, 0], losses[:, 1:], block=5)


def test_the_confidence_set_drops_a_clearly_worse_model_and_keeps_twins_together():
    rng = np.random.default_rng(11)
    common = rng.normal(1, 0.3, 400)
    fine = common + rng.normal(0, 0.1, 400)
    losses = np.column_stack([fine, fine, common + rng.normal(0.3, 0.1, 400)])
    p_values = model_confidence_set(losses, block=5, repetitions=300)
    assert p_values[0] == p_values[1] == 1
    assert p_values[2] < 0.05
    assert model_confidence_set(losses[:, :2], block=5).tolist() == [1, 1]


def test_holm_adjusts_like_statsmodels_and_leaves_the_unknown_unknown():
    from statsmodels.stats.multitest import multipletests

    given = [0.01, 0.04, 0.03, 0.5]
    np.testing.assert_allclose(holm(given), multipletests(given, method="holm")[1])
    adjusted = holm([0.01, float("nan"), 0.04])
    assert adjusted[0] == 0.02
    assert np.isnan(adjusted[1])


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


def test_a_model_without_a_direction_has_no_hit_rate():
    result = hit_rate(np.zeros(10), np.ones(10), np.arange(10), horizon=1)
    assert np.isnan(result.accuracy)
    assert result.forecasts == 0


def test_ranks_within_groups_share_ties_like_scipy():
    rng = np.random.default_rng(13)
    values = rng.integers(0, 5, 200).astype(float)
    groups = rng.integers(0, 12, 200)
    ranks = grouped_ranks(values, groups)
    for group in range(12):
        expected = stats.rankdata(values[groups == group])
        np.testing.assert_array_equal(ranks[groups == group], expected)


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
