"""A champion is compared on exactly the features that its bundle takes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from components.evaluate.incumbent import features_of, incumbent_from
from components.training_table import TrainingTable
from forecasting.bundle.bundle import write_bundle
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.features.variance import WINDOWS
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from tests.unit.panels import panel

SYMBOLS = ("AAA", "BBB")
SPEC = FeatureSpec(symbols=SYMBOLS, variance=WINDOWS)


def table_of(folder, symbols, spec, bars=700):
    prices = panel(symbols, bars)
    features = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, 31)).astype(np.float32)
    path = folder / "table.npz"
    TrainingTable(features, returns, spec, {"snapshot": "abc"}).save(path)
    return SimpleNamespace(path=str(path), metadata={}), Examples.of(features, returns)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return table_of(tmp_path_factory.mktemp("table"), SYMBOLS, SPEC)


def train(examples, kind="ridge", *, seed=0, **changes):
    return train_on_examples(kind, examples, TrainingConfig(folds=3, seed=seed, **changes))


@pytest.fixture(scope="module")
def trained(training):
    _, examples = training
    return {
        "random_walk": train(examples, "random_walk"),
        "all": train(examples),
        "selected": train(examples, select_features=True),
        "both": train(examples, params={"width": "har"}, select_features=True),
    }


@pytest.fixture
def bundle(tmp_path):
    def write(candidate, spec=SPEC):
        return write_bundle(
            tmp_path / "bundle", candidate, spec, training={}, signal=SignalRule()
        ).manifest

    return write


def walks(trained, **candidates):
    return {
        "random_walk": trained["random_walk"].out_of_sample,
        **{kind: one.out_of_sample for kind, one in candidates.items()},
    }


def champions_gate(forecasts, found):
    added = {found.name: found.forecasts} if found.forecasts else {}
    evaluation = evaluate({**forecasts, **added}, incumbent=found.name if added else "")
    decision = decide(evaluation, found.name, absence=found.absence)
    return next(gate for gate in decision.gates if gate.name == "not_worse_than_champion")


@pytest.mark.parametrize("method", ["all", "selected", "both"])
def test_a_champion_is_walked_with_the_features_of_its_bundle(training, trained, bundle, method):
    champion = trained[method]
    found = incumbent_from("3", bundle(champion), walks(trained), training[0], seed=0)
    assert found.name == "ridge"
    assert found.forecasts.features == champion.part_features
    assert np.array_equal(found.forecasts.quantiles, champion.out_of_sample.quantiles)


def test_equal_parameters_with_other_features_are_another_method(training, trained, bundle):
    forecasts = walks(trained, ridge=trained["all"])
    champion = trained["selected"]
    assert champion.params == trained["all"].params
    found = incumbent_from("3", bundle(champion), forecasts, training[0], seed=0)
    assert found.name == "ridge_v3"
    assert np.array_equal(found.forecasts.quantiles, champion.out_of_sample.quantiles)
    assert "against ridge_v3's" in champions_gate(forecasts, found).found


@pytest.mark.parametrize("method", ["all", "selected", "both"])
def test_a_candidate_of_the_same_method_and_another_seed_is_the_champions_own(
    training, trained, bundle, method
):
    forecasts = walks(trained, ridge=trained[method])
    same = replace(trained[method], seed=99)
    found = incumbent_from("3", bundle(same), forecasts, training[0], seed=0)
    assert (found.name, found.forecasts) == ("ridge", None)
    gate = champions_gate(forecasts, found)
    assert gate.passed
    assert "own method" in gate.found


@pytest.mark.parametrize("changed", [{"params": {"alpha": 7.0}}, {"signal": {"horizon": 9}}])
def test_other_parameters_or_another_signal_are_another_method(training, trained, bundle, changed):
    manifest = bundle(trained["all"])
    manifest = manifest | {name: manifest[name] | value for name, value in changed.items()}
    forecasts = walks(trained, ridge=trained["all"])
    assert incumbent_from("3", manifest, forecasts, training[0], seed=0).name == "ridge_v3"


def test_a_feature_that_the_table_lacks_refuses_and_says_what_can_be_done(
    trained, bundle, tmp_path
):
    plain = FeatureSpec(symbols=SYMBOLS)
    table, examples = table_of(tmp_path, SYMBOLS, plain)
    now = {"random_walk": train(examples, "random_walk"), "all": train(examples)}
    forecasts = walks(now, ridge=now["all"])
    found = incumbent_from("3", bundle(trained["both"]), forecasts, table, seed=0)
    assert (found.name, found.forecasts) == ("ridge_v3", None)
    gate = champions_gate(forecasts, found)
    assert not gate.passed
    assert "ridge_v3 was not forecast on these folds: its bundle takes features" in gate.found
    assert "variance_" in gate.found
    assert "the width that version 3 was trained with, or promote a version by hand" in gate.found


def test_the_column_of_a_symbol_that_is_gone_is_zero(trained, bundle, tmp_path):
    alone = FeatureSpec(symbols=("AAA",), variance=WINDOWS)
    table, examples = table_of(tmp_path, ("AAA",), alone, 1_000)
    now = {"random_walk": train(examples, "random_walk"), "all": train(examples)}
    found = incumbent_from("3", bundle(trained["all"]), walks(now), table, seed=0)
    assert "symbol_BBB" in found.forecasts.features[0]
    assert np.allclose(found.forecasts.loc, now["all"].out_of_sample.loc, atol=1e-6)


def test_an_older_bundle_tells_its_parts_features_by_what_each_can_learn_from(trained, bundle):
    for method in ("all", "selected"):
        manifest = dict(bundle(trained[method]))
        del manifest["part_features"]
        assert features_of(manifest, trained[method].params) == trained[method].part_features
    manifest = dict(bundle(trained["both"]))
    del manifest["part_features"]
    location, width = features_of(manifest, trained["both"].params)
    assert {*location, *width} == set(manifest["selected_features"])
    assert not any(name.startswith("variance_") for name in location)
