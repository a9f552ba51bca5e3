import numpy as np
import pytest

from benchmarks.honesty.random_walks import learnable
from forecasting.errors import InvalidSettings
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.models.incumbent import forecast_as_incumbent
from forecasting.models.training import train_candidate


@pytest.fixture(scope="module")
def training():
    table, returns = learnable("independent", symbols=3, bars=900, seed=np.random.SeedSequence(4))
    forecasts = {
        kind: train_candidate(kind, table, returns, folds=3, seed=1).out_of_sample
        for kind in ("random_walk", "ridge")
    }
    return table, returns, forecasts


def test_a_champion_of_another_kind_is_forecast_on_the_challengers_rows(training):
    table, returns, forecasts = training
    champion = forecast_as_incumbent(
        "lightgbm", {"n_estimators": 20}, table, returns, beside=forecasts["ridge"], seed=1
    )
    assert champion.params["n_estimators"] == 20
    np.testing.assert_array_equal(champion.fold, forecasts["ridge"].fold)
    evaluation = evaluate({**forecasts, "lightgbm": champion}, incumbent="lightgbm")
    assert evaluation.best == "ridge"
    gate = next(
        gate
        for gate in decide(evaluation, "lightgbm").gates
        if gate.name == "not_worse_than_champion"
    )
    assert "against lightgbm's" in gate.found


def test_a_champion_nobody_can_train_any_more_is_refused(training):
    table, returns, forecasts = training
    with pytest.raises(InvalidSettings):
        forecast_as_incumbent("oracle", {}, table, returns, beside=forecasts["ridge"])
