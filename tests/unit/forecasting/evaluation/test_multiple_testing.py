from dataclasses import replace

import numpy as np
import pytest

from forecasting.evaluation.backtest import run_backtest
from forecasting.evaluation.multiple_testing import (
    deflated_accounts,
    deflated_p_value,
    effective_trials,
    settings_tried,
)
from forecasting.stats.sharpe import deflated_sharpe
from forecasting.testing import planted_forecasts


def test_deflating_a_p_value_gives_the_law_of_the_least_of_many():
    least = np.random.default_rng(7).random((20_000, 12)).min(axis=1)
    assert deflated_p_value(0.01, 12) == pytest.approx(np.mean(least < 0.01), abs=0.01)
    assert deflated_p_value(0.3, 1) == pytest.approx(0.3)
    assert deflated_p_value(1.0, 50) == 1
    assert deflated_p_value(1e-12, 100) == pytest.approx(1e-10, rel=1e-3)
    assert np.isnan(deflated_p_value(float("nan"), 5))


def test_trials_that_resemble_each_other_are_worth_fewer():
    rng = np.random.default_rng(8)
    own, common = rng.normal(size=(50_000, 3)), rng.normal(size=(50_000, 1))
    assert effective_trials(20, own) == pytest.approx(20, abs=0.5)
    assert effective_trials(20, np.sqrt(0.2) * own + np.sqrt(0.8) * common) == pytest.approx(
        0.8 + 0.2 * 20, abs=0.1
    )
    assert effective_trials(20, common.repeat(2, axis=1)) == pytest.approx(1)
    assert effective_trials(20, own[:, :1]) == 20
    assert effective_trials(1, own) == pytest.approx(1)
    # What is ahead by the same in every period varies by rounding alone, and resembles nothing.
    ahead = own[:, :1] - (own[:, :1] - 0.1)
    assert 0 < ahead.std() < 1e-15
    beside = np.column_stack([common, common, ahead])
    assert effective_trials(20, beside) == pytest.approx(1)


def test_only_searched_settings_are_counted_beyond_the_candidates():
    assert settings_tried({"ridge": 1, "xgboost": 1}) == 1
    assert settings_tried({"ridge": 20, "xgboost": 1}) == 20
    assert settings_tried({"ridge": 20, "xgboost": 20}) == 39


def test_accounts_are_deflated_by_the_formula_on_daily_returns():
    forecasts = planted_forecasts(signal=0.2, candidates=("ridge", "xgboost"), periods=500)
    accounts = {
        name: {delay: run_backtest(forecasts[name], delay=delay) for delay in (0, 1)}
        for name in ("ridge", "xgboost")
    }
    deflated = deflated_accounts(accounts, trials=30)
    one = accounts["ridge"][1]
    daily = np.diff(np.r_[1.0, one.equity]) / np.r_[1.0, one.equity[:-1]]
    ratio = daily.mean() / daily.std(ddof=1)
    assert one.daily_sharpe == pytest.approx(ratio, rel=1e-9)
    other = accounts["xgboost"][1].daily_sharpe
    expected = deflated_sharpe(
        ratio,
        observations=500,
        trials=30,
        trial_variance=max(np.var([ratio, other], ddof=1), 1 / 499),
        skew=one.skew,
        kurtosis=one.kurtosis,
    )
    assert deflated["ridge"][1].deflated_sharpe == pytest.approx(expected)
    assert replace(deflated["ridge"][1], deflated_sharpe=float("nan")).sharpe == one.sharpe
    alone = deflated_accounts(accounts, trials=1)
    assert alone["ridge"][1].deflated_sharpe > expected


def test_an_account_that_never_moved_has_nothing_to_deflate():
    forecasts = planted_forecasts(signal=0, candidates=("ridge",), periods=100, symbols=1)
    silent = run_backtest(
        replace(
            forecasts["ridge"],
            probability_above_cost=np.full((100, 2), 0.5, dtype=np.float32),
        )
    )
    accounts = deflated_accounts({"ridge": {1: silent}}, trials=5)
    assert np.isnan(accounts["ridge"][1].deflated_sharpe)
