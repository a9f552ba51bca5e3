"""The record of an evaluation: valid JSON, and flat figures that are finite."""

import json
from dataclasses import replace

import numpy as np
import pytest

from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.record import metrics, plain, record
from forecasting.testing import planted_forecasts, with_wandering_volatility


@pytest.fixture(scope="module")
def evaluation():
    candidates = planted_forecasts(
        signal=0.1,
        periods=90,
        symbols=3,
        seed=1,
        candidates=("ridge", "xgboost", "random_walk_drift"),
    )
    realised = candidates["ridge"].realised.copy()
    realised[-30:, 29] = np.nan
    return evaluate(
        {name: replace(one, realised=realised) for name, one in candidates.items()},
        repetitions=100,
    )


def test_the_record_is_json_with_null_for_what_is_unknown(evaluation):
    values = json.loads(json.dumps(record(evaluation), allow_nan=False))
    assert values["candidates"]["random_walk"]["overall"]["p_value"] is None
    ridge = values["candidates"]["ridge"]
    assert set(ridge["by_horizon"]) == {str(h) for h in range(1, 31)}
    assert len(ridge["confusion"]) == 3
    assert ridge["backtests"]["1"]["first"] == "2015-01-02"
    assert values["signal"] == {
        "horizon": 5, "cost": 0.001, "slippage": 0.0002, "threshold": 0.55,
    }  # fmt: skip
    assert "series" not in ridge
    split = ridge["split"]
    assert split["claims_direction"] is True
    assert set(split["by_horizon"]) == {"1", "5", "10", "20", "30"}
    parts = split["by_symbol"]["SYM001"]
    assert parts["width"] + parts["direction"] == pytest.approx(
        ridge["by_symbol"]["SYM001"]["skill"]
    )
    assert values["candidates"]["random_walk"]["split"]["overall"]["direction_p"] is None
    cells = ridge["conditional_coverage"]["cells"]
    assert [(cell["third"], cell["horizon"]) for cell in cells][:6] == [
        *(("calm", h) for h in (1, 5, 10, 20, 30)), ("middle", 1),
    ]  # fmt: skip
    (risk,) = ridge["value_at_risk"]["SYM000"]
    assert risk["level"] == 0.05
    assert risk["forecasts"] == 90
    assert [score["horizon"] for score in ridge["variance"]] == [1, 5, 10, 20, 30]
    assert ridge["variance"][4]["slope_p"] is None  # 60 days hold two stretches of 30 bars
    assert [len(found["shares"]) for found in ridge["pit"]] == [20] * 5
    assert cells[0]["coverage"] is None  # 90 days are too few to rank a row among its year


def test_metrics_are_flat_and_finite(evaluation):
    for name in evaluation.candidates:
        figures = metrics(evaluation, name)
        assert all(np.isfinite(value) for value in figures.values())
        assert {"skill", "crps", "coverage_90_h30", "brier"} <= set(figures)
    assert "p_value" not in metrics(evaluation, "random_walk")
    assert "sharpe_delay_1" in metrics(evaluation, "ridge")


def test_metrics_hold_the_random_walks_coverage_of_the_same_rows(evaluation):
    null = evaluation.benchmark
    null = replace(
        null,
        overall=replace(null.overall, coverage_90=0.81),
        by_horizon={h: replace(s, coverage_90=h / 100) for h, s in null.by_horizon.items()},
    )
    candidates = {**evaluation.candidates, "random_walk": null}
    figures = metrics(replace(evaluation, candidates=candidates), "ridge")
    assert (figures["baseline_coverage_90"], figures["baseline_coverage_90_h10"]) == (0.81, 0.1)
    assert figures["coverage_90"] == evaluation.candidates["ridge"].overall.coverage_90


def test_metrics_hold_the_deflated_figures():
    forecasts = planted_forecasts(
        signal=0.1, periods=250, symbols=2, candidates=("ridge", "random_walk_drift")
    )
    evaluation = evaluate(forecasts, repetitions=50)
    figures = metrics(evaluation, "ridge")
    assert {"deflated_p", "deflated_sharpe", "trials_of_all", "sharpe_delay_0"} <= set(figures)
    assert figures["skill_width"] + figures["skill_direction"] == pytest.approx(figures["skill"])
    split = evaluation.candidates["ridge"].split
    assert figures["direction_p"] == split.overall.direction_p
    assert figures["skill_direction_h05"] == split.by_horizon[5].direction
    assert figures["picked_drift_p"] == split.picked_drift_p
    assert "direction_p" not in metrics(evaluation, "random_walk")
    assert {"directional_accuracy_low_h05", "crps_h05", "mae_h05"} <= set(figures)
    assert "deflated_sharpe" not in metrics(evaluation, "random_walk")
    for cell in evaluation.candidates["ridge"].conditional_coverage.cells[5:10]:
        # The planted volatility never moves: every row is in the middle of its year.
        assert figures[f"coverage_90_middle_h{cell.horizon:02d}"] == cell.coverage
    assert "coverage_90_calm_h01" not in figures
    for score in evaluation.candidates["ridge"].variance:
        assert figures[f"qlike_h{score.horizon:02d}"] == score.qlike
        # The planted volatility never moves: there is no slope along it.
        assert f"mz_slope_h{score.horizon:02d}" not in figures


def test_the_slope_of_a_variance_that_moves_is_a_metric():
    planted = planted_forecasts(signal=0, candidates=(), symbols=2, periods=250)["random_walk"]
    forecasts = with_wandering_volatility(planted, swing=0.3)
    evaluation = evaluate({"random_walk": forecasts}, repetitions=50)
    slopes = [score.slope for score in evaluation.benchmark.variance]
    figures = metrics(evaluation, "random_walk")
    assert [figures[f"mz_slope_h{h:02d}"] for h in (1, 5, 10, 20, 30)] == slopes


def test_arrays_become_lists_keys_texts_and_what_is_not_finite_null():
    values = {1: np.array([1.0, np.nan]), "a": (np.float32(2), float("inf"))}
    assert plain(values) == {"1": [1.0, None], "a": [2.0, None]}
