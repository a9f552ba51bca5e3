from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from forecasting.errors import InvalidInput
from forecasting.stats.significance import (
    cosines,
    diebold_mariano,
    holm,
    long_run_variance,
    model_confidence_set,
    picked_p_values,
    smoothing,
    superior_predictive_ability,
    symmetric_root,
)


def overlapping(rng, periods, horizon, mean=0.0):
    news = rng.normal(size=periods + horizon)
    return np.convolve(news, np.ones(horizon), "valid")[:periods] / np.sqrt(horizon) + mean


def textbook_p(series, horizon):
    """Newey-West at the overlap's lags and the factor of Harvey, Leybourne & Newbold (1997)."""
    import statsmodels.api as sm

    periods = len(series)
    fit = sm.OLS(series, np.ones(periods)).fit(
        cov_type="HAC", cov_kwds={"maxlags": horizon - 1, "use_correction": False}
    )
    factor = (periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods) / periods
    return stats.t.sf(fit.tvalues[0] * np.sqrt(factor), periods - 1)


def test_cosine_coefficients_are_the_discrete_cosine_transform():
    from scipy.fft import dct

    series = np.random.default_rng(0).normal(3, 1, (90, 2))
    expected = dct(series, type=2, axis=0, norm="ortho")[1:8]
    np.testing.assert_allclose(cosines(series, 7), expected, atol=1e-10)


def test_long_run_variance_is_what_a_regression_on_cosines_finds():
    import statsmodels.api as sm

    series, overlap = overlapping(np.random.default_rng(1), 200, 5), 5
    count = smoothing(200, overlap)
    t = (np.arange(200) + 0.5) / 200
    waves = [np.sqrt(2) * np.cos(np.pi * j * t) for j in range(1, count + 1)]
    fit = sm.OLS(series, np.column_stack([np.ones(200), *waves])).fit()
    variance, freedom = long_run_variance(series, overlap)
    assert freedom == count == 13
    assert variance == pytest.approx(200 * np.mean(fit.params[1:] ** 2), rel=1e-9)


def test_long_run_variance_agrees_with_statsmodels_hac_where_there_are_many_spans():
    import statsmodels.api as sm

    series = overlapping(np.random.default_rng(2), 60_000, 5)
    fit = sm.OLS(series, np.ones(60_000)).fit(cov_type="HAC", cov_kwds={"maxlags": 100})
    theirs = float(fit.cov_params()[0, 0]) * 60_000
    assert theirs == pytest.approx(5, rel=0.15)  # the sum of five equal moves' covariances
    assert long_run_variance(series, 5)[0] == pytest.approx(theirs, rel=0.15)


@pytest.mark.parametrize("horizon", [1, 5, 30])
def test_diebold_mariano_is_the_mean_over_its_error_and_students_t(horizon):
    from scipy.fft import dct

    periods = 300
    series = overlapping(np.random.default_rng(horizon), periods, horizon, mean=0.2)
    freedom = {1: 17, 5: 17, 30: 5}[horizon]  # 0.4 * 300^(2/3) = 17.9; 300 / 60 = 5
    error = np.sqrt(np.mean(dct(series, norm="ortho")[1 : freedom + 1] ** 2) / periods)
    result = diebold_mariano(series, horizon=horizon)
    assert result.freedom == freedom
    assert result.statistic == pytest.approx(series.mean() / error, rel=1e-10)
    assert result.p_value == pytest.approx(stats.t.sf(series.mean() / error, freedom), rel=1e-8)
    assert result.periods == periods


def test_diebold_mariano_decides_like_the_textbook_where_forecasts_do_not_overlap():
    rng = np.random.default_rng(4)
    pairs = []
    for _ in range(200):
        series = rng.normal(0.03, 1, 4_000)
        pairs.append((diebold_mariano(series, horizon=1).p_value, textbook_p(series, 1)))
    ours, theirs = np.array(pairs).T
    assert np.abs(ours - theirs).mean() < 0.02
    assert np.mean((ours < 0.05) == (theirs < 0.05)) > 0.9


def test_diebold_mariano_leaves_unknown_periods_out():
    series = np.random.default_rng(5).normal(size=100)
    padded = np.concatenate([series, [np.nan] * 10])
    assert diebold_mariano(padded, horizon=5) == diebold_mariano(series, horizon=5)


def test_diebold_mariano_says_nothing_about_too_few_periods():
    assert np.isnan(diebold_mariano(np.ones(10), horizon=30).p_value)
    assert np.isnan(diebold_mariano(np.array([]), horizon=1).p_value)


def test_equal_forecasts_are_no_evidence_and_a_lead_that_never_fails_is():
    assert diebold_mariano(np.zeros(100), horizon=5).p_value == 0.5
    assert diebold_mariano(np.full(100, 0.1), horizon=5).p_value == 0


def test_a_lead_that_never_varies_is_the_surest_evidence_for_every_test():
    benchmark, models = related_losses()
    losses = np.column_stack([benchmark - 0.1, models[:, 0], benchmark, benchmark + 0.1])
    gains = benchmark[:, None] - losses
    assert 0 < np.abs(gains[:, 0] - 0.1).max() < 1e-15  # by arithmetic it varies a little
    alone = superior_predictive_ability(benchmark, losses[:, :1], overlap=5)
    assert diebold_mariano(gains[:, 0], horizon=5).p_value == 0
    assert alone == 1 / 4001
    p_values = picked_p_values(gains, overlap=5)
    assert p_values[0] == alone
    assert p_values[1] == picked_p_values(gains[:, 1:2], overlap=5)[0]
    assert p_values[2:].tolist() == [1, 1]
    for start in (np.zeros(300), benchmark):
        in_set = model_confidence_set(np.column_stack([start, start + 0.1]), overlap=5)
        assert in_set.tolist() == [1, 1 / 4001]


def test_diebold_mariano_holds_its_level_where_the_textbook_does_not():
    rng = np.random.default_rng(6)
    runs = [overlapping(rng, 500, 5) for _ in range(1000)]
    ours = np.mean([diebold_mariano(run, horizon=5).p_value < 0.05 for run in runs])
    textbook = np.mean([textbook_p(run, 5) < 0.05 for run in runs])
    assert 0.03 < ours < 0.07
    assert textbook > 0.07


@given(
    arrays(np.float64, st.integers(40, 120), elements=st.floats(-1e3, 1e3, width=32)),
    st.floats(0.001, 1000),
)
def test_the_unit_of_losses_does_not_matter(series, unit):
    one, two = (diebold_mariano(factor * series, horizon=3) for factor in (1.0, unit))
    np.testing.assert_allclose(one.p_value, two.p_value, atol=1e-6)
    worse = diebold_mariano(-series, horizon=3)
    np.testing.assert_allclose(one.p_value + worse.p_value, 1, atol=1e-9)


def test_spa_equals_its_law_drawn_out_one_statistic_at_a_time():
    rng = np.random.default_rng(7)
    benchmark = rng.normal(1, 1, 200)
    models = benchmark[:, None] - rng.normal([0.10, -3, 0.02], [0.5, 3, 1], (200, 3))
    gains = benchmark[:, None] - models
    freedom = smoothing(200, 5)
    found, kept = [], []
    for gain in gains.T:
        ratio = diebold_mariano(gain, horizon=5).statistic
        found.append(ratio)
        kept.append(ratio > -np.sqrt(2 * np.log(np.log(200))))
    assert kept == [True, False, True]  # the second is too bad to have been the best
    related = np.corrcoef(np.r_[cosines(gains, freedom), -cosines(gains, freedom)][:, kept].T)
    beyond = 0
    for _ in range(20_000):
        draws = rng.multivariate_normal(np.zeros(2), related, freedom + 1)
        beyond += max(draws[0] / np.sqrt((draws[1:] ** 2).mean(axis=0))) > max(found)
    ours = superior_predictive_ability(benchmark, models, overlap=5, draws=20_000)
    assert 0.01 < ours < 0.5
    assert ours == pytest.approx(beyond / 20_000, abs=0.01)


def test_spa_of_a_single_model_is_diebold_mariano():
    rng = np.random.default_rng(16)
    gain = overlapping(rng, 400, 5, mean=0.2)
    ours = superior_predictive_ability(gain, np.zeros((400, 1)), overlap=5, draws=40_000)
    assert ours == pytest.approx(diebold_mariano(gain, horizon=5).p_value, abs=0.01)


def test_spa_agrees_with_arch_where_losses_are_independent():
    from arch.bootstrap import SPA

    for seed in range(4):
        rng = np.random.default_rng(seed)
        benchmark = rng.normal(1, 1, 3_000)
        models = benchmark[:, None] - rng.normal(0.01, 1, (3_000, 3))
        theirs = SPA(benchmark, models, block_size=1, reps=2_000, seed=np.random.default_rng(0))
        theirs.compute()
        ours = superior_predictive_ability(benchmark, models, overlap=1)
        assert ours == pytest.approx(theirs.pvalues["consistent"], abs=0.06)


def test_an_erratic_model_does_not_hide_a_good_one_from_spa():
    rng = np.random.default_rng(8)
    benchmark = rng.normal(1, 0.1, 400)
    good = benchmark - rng.normal(0.1, 0.3, 400)
    erratic = benchmark - rng.normal(-0.5, 30, 400)
    p_value = superior_predictive_ability(benchmark, np.stack([good, erratic], axis=1), overlap=5)
    assert p_value < 0.01


def test_spa_is_the_same_for_the_same_seed_and_counts_the_picking():
    rng = np.random.default_rng(9)
    benchmark = rng.normal(1, 0.1, 400)
    lucky = benchmark - rng.normal(0.02, 0.2, 400)
    crowd = benchmark[:, None] - rng.normal(0, 0.2, (400, 30))
    alone = superior_predictive_ability(benchmark, lucky[:, None], overlap=1, seed=1)
    picked = superior_predictive_ability(
        benchmark, np.column_stack([lucky, crowd]), overlap=1, seed=1
    )
    again = superior_predictive_ability(
        benchmark, np.column_stack([lucky, crowd]), overlap=1, seed=1
    )
    assert picked == again
    assert alone < picked


def test_each_models_p_counts_all_of_them_and_the_least_is_spas():
    rng = np.random.default_rng(11)
    gains = rng.normal([0.02, 0.01, 0.0, -0.05], 0.2, (600, 4))
    p_values = picked_p_values(gains, overlap=5, seed=2)
    benchmark = np.ones(600)
    ability = superior_predictive_ability(benchmark, benchmark[:, None] - gains, overlap=5, seed=2)
    assert p_values.min() == ability
    assert p_values[3] == 1.0
    statistics = [diebold_mariano(column, horizon=5).statistic for column in gains.T]
    assert np.argsort(p_values[:3]).tolist() == np.argsort(statistics[:3])[::-1].tolist()
    alone = [diebold_mariano(column, horizon=5).p_value for column in gains.T[:3]]
    assert (p_values[:3] > np.array(alone) - 0.02).all()


def test_a_model_without_a_gain_is_rarely_found_beside_one_that_has_one():
    rng = np.random.default_rng(12)
    false = 0
    for run in range(200):
        gains = rng.normal(0, 1, (300, 4))
        gains[:, 0] += 1  # the best is good in truth; the others were picked for nothing
        false += picked_p_values(gains, overlap=1, draws=300, seed=run)[1:].min() < 0.05
    assert false <= 18


def test_spa_judges_neither_too_few_spans_nor_gaps():
    losses = np.random.default_rng(10).normal(size=(50, 2))
    assert np.isnan(superior_predictive_ability(losses[:, 0], losses[:, 1:], overlap=30))
    assert superior_predictive_ability(losses[:, 0], losses[:, :1], overlap=5) == 1.0
    losses[3, 1] = np.nan
    with pytest.raises(InvalidInput, match="1 of 50 are not finite"):
        superior_predictive_ability(losses[:, 0], losses[:, 1:], overlap=5)


def test_the_confidence_set_drops_a_clearly_worse_model_and_keeps_twins_together():
    rng = np.random.default_rng(11)
    common = rng.normal(1, 0.3, 400)
    fine = common + rng.normal(0, 0.1, 400)
    losses = np.column_stack([fine, fine, common + rng.normal(0.3, 0.1, 400)])
    p_values = model_confidence_set(losses, overlap=5)
    assert p_values[0] == p_values[1] == 1
    assert p_values[2] < 0.05
    assert model_confidence_set(losses[:, :2], overlap=5).tolist() == [1, 1]


def test_the_confidence_set_agrees_with_arch_where_losses_are_independent():
    from arch.bootstrap import MCS

    for seed in range(3):
        rng = np.random.default_rng(seed)
        losses = rng.normal([1.0, 1.01, 1.04, 1.1], 1, (3_000, 4))
        theirs = MCS(
            losses, 0.05, reps=2_000, block_size=1, method="max", seed=np.random.default_rng(0)
        )
        theirs.compute()
        expected = theirs.pvalues["Pvalue"].sort_index().to_numpy()
        ours = model_confidence_set(losses, overlap=1)
        np.testing.assert_allclose(ours, expected, atol=0.06)


def test_the_confidence_set_of_two_models_is_a_two_sided_test():
    rng = np.random.default_rng(17)
    gain = overlapping(rng, 400, 5, mean=0.15)
    one = diebold_mariano(gain, horizon=5)
    p_values = model_confidence_set(np.column_stack([gain, np.zeros(400)]), overlap=5)
    assert p_values[1] == 1
    assert p_values[0] == pytest.approx(2 * min(one.p_value, 1 - one.p_value), abs=0.02)
    assert np.isnan(model_confidence_set(rng.normal(size=(50, 2)), overlap=30)).all()


def related_losses(seed=19, periods=300):
    """Losses of a benchmark and of four models whose errors are related, one slightly better."""
    rng = np.random.default_rng(seed)
    benchmark = rng.normal(1, 0.3, periods)
    mix = rng.normal(size=(4, 4)) + 1
    return benchmark, benchmark[:, None] - rng.normal(0.03, 0.3, (periods, 4)) @ mix / 3


def test_the_root_of_a_covariance_is_the_same_whichever_eigenvectors_come():
    rng = np.random.default_rng(18)
    twins = np.full((4, 4), 0.5) + 0.5 * np.eye(4)  # three equal eigenvalues
    factor = rng.normal(size=(4, 2))
    flat = factor @ factor.T  # two of the eigenvalues are 0
    for matrix, equal in ((twins, slice(0, 3)), (flat, slice(0, 2))):
        values, vectors = np.linalg.eigh(matrix)
        root = symmetric_root(values, vectors)
        np.testing.assert_allclose(root @ root, matrix, atol=1e-14)
        turned = vectors.copy()
        turned[:, equal] @= np.linalg.qr(rng.normal(size=2 * (equal.stop,)))[0]
        for basis, signs in product((vectors, turned), product((1, -1), repeat=4)):
            np.testing.assert_allclose(symmetric_root(values, basis * signs), root, atol=1e-14)


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=4)))
def test_p_values_do_not_depend_on_the_signs_that_lapack_gives_eigenvectors(monkeypatch, signs):
    def p_values():
        benchmark, models = related_losses()
        ability = superior_predictive_ability(benchmark, models, overlap=5, draws=50)
        every = np.column_stack([benchmark, models])
        return [ability, *model_confidence_set(every, overlap=5, draws=50)]

    expected, plain = p_values(), np.linalg.eigh

    def flipped(matrix):
        values, vectors = plain(matrix)
        return values, vectors * (1, *signs)[-len(values) :]

    monkeypatch.setattr(np.linalg, "eigh", flipped)
    assert p_values() == expected


def test_p_values_depend_neither_on_the_order_of_models_nor_on_copies_of_them():
    benchmark, models = related_losses()
    every = np.column_stack([benchmark, models])
    ability = superior_predictive_ability(benchmark, models, overlap=5)
    in_set = model_confidence_set(every, overlap=5)
    assert 0.001 < ability < 0.5
    for order in ([3, 1, 0, 2], [2, 0, 1, 3, 0, 2]):
        again = superior_predictive_ability(benchmark, models[:, order], overlap=5)
        assert again == ability
    for order in ([4, 2, 0, 1, 3], [1, 1, 4, 0, 3, 2, 4]):
        again = model_confidence_set(every[:, order], overlap=5)
        assert again.tolist() == in_set[order].tolist()


def test_models_that_only_rounding_tells_apart_are_equally_good():
    benchmark, models = related_losses()
    fine, worse = models[:, 0], models[:, 0] + 0.2 + 0.1 * np.sin(np.arange(300))
    assert not np.array_equal(fine, fine * 3 / 3)
    nearly = np.column_stack([fine, fine * 3 / 3, worse])
    p_values = model_confidence_set(nearly, overlap=5)
    assert p_values[:2].tolist() == [1, 1]
    assert p_values[2] < 0.01
    between = np.column_stack([benchmark, fine, (benchmark + fine) / 2])
    with np.errstate(all="raise"):
        assert np.isfinite(model_confidence_set(between, overlap=5)).all()


def test_holm_adjusts_like_statsmodels_and_leaves_the_unknown_unknown():
    from statsmodels.stats.multitest import multipletests

    given = [0.01, 0.04, 0.03, 0.5]
    np.testing.assert_allclose(holm(given), multipletests(given, method="holm")[1])
    adjusted = holm([0.01, float("nan"), 0.04])
    assert adjusted[0] == 0.02
    assert np.isnan(adjusted[1])
