from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import InvalidInput, ShortHistory
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.record import record
from forecasting.stats.significance import diebold_mariano
from forecasting.testing import planted_forecasts

DAY = 86_400_000_000_000


def ragged(seed=1, **options):
    """Planted forecasts whose last bars are unknown and whose volatility differs by row."""
    forecasts = planted_forecasts(signal=0.1, periods=90, symbols=3, seed=seed, **options)
    rng = np.random.default_rng(seed)
    scale = 0.01 * np.exp(rng.normal(0, 0.3, 270))
    realised = forecasts["random_walk"].realised.copy()
    for code in range(3):
        for back in range(30):
            realised[(code + 1) * 90 - 1 - back, back:] = np.nan
    return {k: replace(v, scale=scale, realised=realised) for k, v in forecasts.items()}


@pytest.fixture(scope="module")
def candidates():
    return ragged(candidates=("ridge", "xgboost"))


@pytest.fixture(scope="module")
def evaluation(candidates):
    return evaluate(candidates, repetitions=100)


def slow_losses(forecasts):
    """Scaled mean pinball loss, one forecast at a time, shape [n, H]."""
    losses = np.full(forecasts.realised.shape, np.nan)
    for row, h in np.ndindex(forecasts.realised.shape):
        y = float(forecasts.realised[row, h])
        if np.isnan(y):
            continue
        total = 0.0
        for level, q in zip(
            forecasts.levels, forecasts.quantiles[row, h].astype(float), strict=True
        ):
            total += (y - q) * level if y >= q else (q - y) * (1 - level)
        losses[row, h] = total / 5 / (forecasts.scale[row] * np.sqrt(h + 1))
    return losses


def test_scores_equal_losses_added_up_one_forecast_at_a_time(candidates, evaluation):
    own, null = (slow_losses(candidates[name]) for name in ("ridge", "random_walk"))
    scored = evaluation.candidates["ridge"]
    weights = np.where(np.isnan(own), 0, 1 / np.arange(1, 31))
    pooled = np.nansum(own * weights) / weights.sum()
    assert scored.overall.pinball == pytest.approx(pooled, rel=1e-5)
    assert scored.overall.skill == pytest.approx(
        1 - np.nansum(own * weights) / np.nansum(null * weights), abs=1e-6
    )
    for h in (1, 5, 30):
        score = scored.by_horizon[h]
        assert score.pinball == pytest.approx(np.nanmean(own[:, h - 1]), rel=1e-5)
        assert score.forecasts == 3 * (90 - h)
        realised = candidates["ridge"].realised[:, h - 1]
        low, high = candidates["ridge"].quantiles[:, h - 1, [0, 4]].T
        known = np.isfinite(realised)
        inside = (realised >= low) & (realised <= high)
        assert score.coverage_90 == pytest.approx(inside[known].mean())
        assert score.width_90 == pytest.approx((high - low)[known].mean(), rel=1e-5)
    rows = candidates["ridge"].codes == 1
    mine, theirs = np.nansum((own * weights)[rows]), np.nansum((null * weights)[rows])
    assert scored.by_symbol["SYM001"].skill == pytest.approx(1 - mine / theirs, abs=1e-6)
    fold = candidates["ridge"].fold == 3
    mine, theirs = np.nansum((own * weights)[fold]), np.nansum((null * weights)[fold])
    assert scored.skill_by_fold[3] == pytest.approx(1 - mine / theirs, abs=1e-6)


def test_tests_run_on_the_mean_of_each_date(candidates, evaluation):
    difference = slow_losses(candidates["random_walk"]) - slow_losses(candidates["ridge"])
    by_date = difference[:, 4].reshape(3, 90).mean(axis=0)
    expected = diebold_mariano(by_date, horizon=5)
    score = evaluation.candidates["ridge"].by_horizon[5]
    assert score.statistic == pytest.approx(expected.statistic, rel=1e-3)
    assert score.p_value == pytest.approx(expected.p_value, abs=1e-4)


def test_the_random_walk_is_its_own_yardstick(evaluation):
    null = evaluation.benchmark.overall
    assert null.skill == 0
    assert null.relative_mae == 1
    ridge = evaluation.candidates["ridge"].overall
    assert ridge.relative_mae == pytest.approx(ridge.mae / null.mae)
    assert np.isnan(null.p_value)
    assert np.isnan(evaluation.benchmark.hit_rate[5].accuracy)
    assert evaluation.benchmark.brier == pytest.approx(0.25, abs=1e-3)


def test_candidates_on_other_rows_are_refused_by_name(candidates):
    other = replace(candidates["ridge"], timestamps=candidates["ridge"].timestamps + DAY)
    with pytest.raises(InvalidInput, match="random_walk and ridge differ in timestamps"):
        evaluate({"random_walk": candidates["random_walk"], "ridge": other})


def test_an_evaluation_without_the_random_walk_is_refused(candidates):
    with pytest.raises(InvalidInput, match="Train the candidate random_walk"):
        evaluate({"ridge": candidates["ridge"]})


def test_forecasts_that_cannot_be_scored_are_refused(candidates):
    null = candidates["random_walk"]
    broken = null.quantiles.copy()
    broken[7, 3, 2] = np.nan
    with pytest.raises(InvalidInput, match="every forecast quantile must be finite"):
        evaluate({"random_walk": replace(null, quantiles=broken)})
    with pytest.raises(InvalidInput, match="270 of 270 rows have none"):
        evaluate({"random_walk": replace(null, scale=null.scale * 0)})
    with pytest.raises(ShortHistory, match="none of them has come due"):
        evaluate({"random_walk": replace(null, realised=null.realised * np.nan)})


def test_an_evaluation_of_the_random_walk_alone_has_no_best(candidates):
    alone = evaluate({"random_walk": candidates["random_walk"]})
    assert alone.best is None
    assert np.isnan(alone.spa_p_value)


def test_the_signals_horizon_is_judged_even_if_it_is_not_reported(candidates):
    evaluation = evaluate(candidates, horizons=(1, 99), repetitions=50)
    assert evaluation.horizons == (1,)
    assert set(evaluation.candidates["ridge"].hit_rate) == {1, 5}


def test_the_same_seed_gives_the_same_evidence(candidates, evaluation):
    again = evaluate(candidates, repetitions=100)
    assert record(again) == record(evaluation)


def test_a_longer_search_is_remembered(candidates):
    counted = evaluate(candidates, trials={"ridge": 40}, repetitions=50)
    assert counted.trials == 41


def test_every_statistic_stands_for_each_symbol_as_well(candidates, evaluation):
    from scipy.stats import spearmanr

    scored = evaluation.candidates["ridge"]
    forecasts = candidates["ridge"]
    rows = np.flatnonzero(forecasts.codes == 2)
    said, came = forecasts.quantiles[rows, 4, 2], forecasts.realised[rows, 4]
    known = np.isfinite(came)
    rank = scored.symbol_information_coefficient["SYM002"].value
    scale = forecasts.scale[rows]
    expected = spearmanr((said / scale)[known], (came / scale)[known]).statistic
    assert rank == pytest.approx(expected, abs=1e-6)
    hits = np.sign(said[known][::5]) == np.sign(came[known][::5])
    assert scored.symbol_hit_rate["SYM002"].accuracy == pytest.approx(hits.mean())
    by_symbol = [scored.by_symbol[name].crps for name in evaluation.symbols]
    assert np.mean(by_symbol) == pytest.approx(scored.overall.crps, rel=1e-6)


def test_an_incumbent_that_was_not_forecast_is_refused(candidates):
    with pytest.raises(InvalidInput, match="catboost is not among"):
        evaluate(candidates, incumbent="catboost")
