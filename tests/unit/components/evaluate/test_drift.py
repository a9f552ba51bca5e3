"""The random walk with drift is forecast where a training did not name it."""

from types import SimpleNamespace

import numpy as np
import pytest

from components.evaluate.drift import with_drift
from components.training_table import TrainingTable
from forecasting.errors import InvalidInput
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import horizon_returns
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from tests.unit.panels import panel

DRIFT = "random_walk_drift"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    prices = panel(("AAA", "BBB"), 700)
    spec = FeatureSpec(symbols=("AAA", "BBB"))
    features = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, 31)).astype(np.float32)
    path = tmp_path_factory.mktemp("table") / "table.npz"
    TrainingTable(features, returns, spec, {"snapshot": "abc"}).save(path)
    examples = Examples.of(features, returns)
    forecasts = {
        kind: train_on_examples(kind, examples, TrainingConfig(folds=3)).out_of_sample
        for kind in ("random_walk", DRIFT)
    }
    return SimpleNamespace(path=str(path), metadata={}), forecasts


def test_it_is_forecast_on_the_candidates_spans_as_if_it_had_been_named(trained):
    table, forecasts = trained
    added = with_drift({"random_walk": forecasts["random_walk"]}, table, seed=7)
    assert list(added) == ["random_walk", DRIFT]
    for field in ("loc", "quantiles", "fold", "timestamps"):
        assert np.array_equal(getattr(added[DRIFT], field), getattr(forecasts[DRIFT], field))


def test_where_it_was_named_it_is_left_as_it_is(trained):
    _, forecasts = trained
    nowhere = SimpleNamespace(path="/nowhere", metadata={})
    assert with_drift(forecasts, nowhere, seed=7) == forecasts


def test_without_the_random_walk_it_is_refused(trained):
    table, _ = trained
    with pytest.raises(InvalidInput, match="Train the candidate random_walk"):
        with_drift({}, table, seed=7)
