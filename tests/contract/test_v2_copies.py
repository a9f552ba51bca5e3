"""Copies that the gateway sends to a shadow, as both versions' servers answer, count and log them."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import orjson
import pytest
from prometheus_client import CollectorRegistry

from forecasting import prometheus_metrics
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.settings import Settings
from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from serving.predictor import Predictor
from serving.telemetry import Telemetry
from serving.v2_grpc import V2Service
from serving.v2_rest import V2Application
from tests.contract.test_v2_rest import INFER, elsewhere, horizon, symbols
from tests.served_models import load_into, make_bundle, make_features, publish

SHADOW = "4"
ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class Version:
    """The servers of one version, over REST and over gRPC."""

    def __init__(self, folder, number):
        settings = Settings(
            state_dir=folder, bundle_url=str(folder / "bundle"), model_version=number
        )
        self.registry = CollectorRegistry()
        self.log = PredictionLog(settings.prediction_log)
        self.log.start()
        self.predictor = Predictor(settings, Telemetry(self.registry), self.log)
        load_into(self.predictor, settings)
        self._rest = V2Application(self.predictor, "9", elsewhere)
        self._infer = V2Service(self.predictor, "9").methods()["ModelInfer"]

    def rest(self, *inputs, **headers):
        async def call():
            transport = httpx.ASGITransport(self._rest)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                body = orjson.dumps({"inputs": inputs})
                return await client.post(INFER, content=body, headers=headers)

        return asyncio.run(call())

    def grpc(self, symbol, **metadata):
        class Context:
            def invocation_metadata(self):
                return tuple(metadata.items())

            async def abort(self, code, sentence):
                raise grpc.aio.AbortError(code, sentence)

        asked = pb.ModelInferRequest(model_name="bellwether")
        tensor = asked.inputs.add(name="symbols", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(symbol.encode())
        return asyncio.run(self._infer(asked.SerializeToString(), Context()))

    def counted(self, metric):
        """The sum of a counter or of a histogram's count over all labels."""
        names = {metric.name, f"{metric.name}_count"}
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name in names
        )


@pytest.fixture
def versions(tmp_path):
    make_bundle(tmp_path / "bundle")
    publish(tmp_path / "lake", make_features())
    stable, shadow = Version(tmp_path, "3"), Version(tmp_path, SHADOW)
    yield stable, shadow
    for version in (stable, shadow):
        version.log.close()


def marked(gateway_id):
    """What the gateway sends with a request and with its copy."""
    return {"bellwether-shadow": SHADOW, "x-request-id": gateway_id}


def test_both_answers_are_logged_under_the_gateways_id_and_only_one_is_a_users(versions):
    stable, _ = versions
    for version in versions:
        assert version.rest(symbols("AAPL", "MSFT"), horizon(5), **marked("a")).status_code == 200
        version.grpc("AAPL", **marked("b"))
    for version in versions:
        version.log.close()
    log = stable.log
    assert {(row.model_version, row.shadow) for row in log.recent()} == {("3", False)}
    assert {row.model_version for row in log.each_once()} == {"3"}
    assert {row.model_version for row in log.since(ALWAYS[0])} == {"3"}
    copied = sorted(
        (row.gateway_id, row.symbol, row.model_version, row.shadow) for row in log.mirrored(*ALWAYS)
    )
    assert copied == [
        (key, symbol, version, version == SHADOW)
        for key, symbol in (("a", "AAPL"), ("a", "MSFT"), ("b", "AAPL"))
        for version in ("3", SHADOW)
    ]
    assert log.mirrored(ALWAYS[0], ALWAYS[0] + timedelta(days=1)) == []


def test_a_shadow_counts_copies_apart_from_users_requests_refusals_too(versions):
    stable, shadow = versions
    for version in versions:
        assert version.rest(symbols("AAPL"), **marked("a")).status_code == 200
        assert version.rest(symbols("NOPE"), **marked("b")).status_code == 404
        with pytest.raises(grpc.aio.AbortError):
            version.grpc("NOPE", **marked("c"))
    users = (prometheus_metrics.REQUESTS, prometheus_metrics.REQUEST_SECONDS)
    copies = (prometheus_metrics.SHADOW_REQUESTS, prometheus_metrics.SHADOW_SECONDS)
    assert [stable.counted(metric) for metric in (*users, *copies)] == [3, 3, 0, 0]
    assert [shadow.counted(metric) for metric in (*users, *copies)] == [0, 0, 3, 3]
    assert shadow.counted(prometheus_metrics.PREDICTIONS) == 0


def test_who_asks_the_shadow_by_its_number_is_a_user(versions):
    _, shadow = versions
    assert shadow.rest(symbols("AAPL"), **{"x-request-id": "a"}).status_code == 200
    shadow.log.close()
    (row,) = shadow.log.recent()
    assert (row.shadow, row.gateway_id) == (False, "")
    assert shadow.counted(prometheus_metrics.REQUESTS) == 1
