"""The predictor answers from its state, logs and counts, and tells whether it is ready.

What callers see of it: tests/contract/test_v2_rest.py and test_v2_grpc.py.
"""

import asyncio
import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.errors import NotReady, StaleData, UnknownVersion
from forecasting.inference_protocol.messages import Request
from forecasting.inference_protocol.tensors import Tensor
from forecasting.settings import Settings
from serving.predictor import Predictor
from serving.state import AgeLimits, ServingState
from serving.telemetry import Telemetry


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def predictor(tmp_path, version, registry):
    settings = Settings(state_dir=tmp_path)
    log = PredictionLog(settings.prediction_log)
    predictor = Predictor(settings, Telemetry(registry), log)
    predictor.state = ServingState({"1": version}, "1", "")
    predictor.offered = []
    log.offer = predictor.offered.append
    return predictor


def request(*symbols, outputs=("quantiles",)):
    tensors = {
        "symbols": Tensor("symbols", "BYTES", (len(symbols),), list(symbols)),
        "horizon": Tensor("horizon", "INT64", (1,), np.array([3])),
    }
    return Request("id", tensors, outputs)


def test_an_answer_is_logged_with_its_version(predictor, version):
    answered, answer = predictor.respond(request("AAPL"), None, "rest", time.perf_counter())
    assert answered is version
    (row,) = predictor.offered
    assert (row.request_id, row.symbols, row.model_version) == ("id", ["AAPL"], "1")
    assert (row.protocol, row.source, row.own_bars) == ("rest", "test", False)
    assert row.quantiles is answer.quantiles


def test_only_one_symbols_newest_forecast_is_cached(predictor, version):
    for symbols, outputs in (
        (("AAPL", "MSFT"), ("quantiles",)),
        (("AAPL",), ("quantiles", "baseline")),
    ):
        predictor.respond(request(*symbols, outputs=outputs), None, "rest", time.perf_counter())
        assert version.answers == {}
    predictor.respond(request("AAPL"), None, "rest", time.perf_counter())
    assert len(version.answers) == 1


def test_a_refusal_is_counted_under_a_known_symbol_alone(predictor, registry):
    for symbol in ("AAPL", "NOPE"):
        predictor.refuse(StaleData("too old"), "rest", time.perf_counter(), request(symbol))
    predictor.refuse(ZeroDivisionError(), "rest", time.perf_counter(), None)
    found = {
        (sample.labels["symbol"], sample.labels["status"])
        for metric in registry.collect()
        for sample in metric.samples
        if "status" in sample.labels and sample.name.endswith("_total")
    }
    assert found == {("AAPL", "424"), ("other", "424"), ("other", "500")}


def test_it_is_ready_while_its_newest_bar_is_fresh_and_it_does_not_stop(predictor):
    assert predictor.check_ready().number == "1"
    assert asyncio.run(predictor.healthy())
    predictor._limits = AgeLimits(0.0, -1e9)
    with pytest.raises(StaleData):
        predictor.check_ready()
    predictor.draining = True
    with pytest.raises(NotReady, match="it is stopping"):
        predictor.check_ready()
    assert not asyncio.run(predictor.healthy())


def test_its_metadata_name_versions_tensors_and_symbols(predictor):
    described = predictor.describe()
    assert described["versions"] == ["1"]
    assert {"symbols", "bars"} <= {tensor["name"] for tensor in described["inputs"]}
    assert set(predictor.symbols()) == {"AAPL", "MSFT", "BTC-USD"}
    with pytest.raises(UnknownVersion):
        asyncio.run(predictor.version("2"))


def test_a_defect_of_the_loader_leaves_what_is_served(predictor):
    class Broken:
        def next_state(self, old):
            raise ZeroDivisionError

    state = predictor.state
    predictor.reload(Broken())
    assert predictor.state is state
