"""Every registered version answers by its number: a real MLflow, over REST and gRPC, one server."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest

from forecasting.adapters.registry.server import MlflowServer
from forecasting.inference_protocol.tensors import pack_texts
from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from serving.loader import Loader
from tests.integration.test_served_versions import House
from tests.ports import free_port
from tests.processes import running
from tests.served_models import make_bundle
from tests.servers import answers
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.integration

KEPT = 2
MODEL = "/inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return {
        str(seed): (folder / str(seed), make_bundle(folder / str(seed), seed=seed).digest)
        for seed in range(6)
    }


@pytest.fixture(scope="module")
def house(mlflow_url, tmp_path_factory, bundles):
    """Versions 1 to 6: 1 is champion, 6 challenger, the bundle of 5 is not what is promised."""
    house = House(mlflow_url, tmp_path_factory.mktemp("house"), bundles)
    for seed in range(6):
        number = house.register(str(seed), digest="f" * 64 if seed == 4 else None)
        assert number == str(seed + 1)
    house.promote("1")
    house.registry.set_challenger("6")
    yield house
    house.loader.close()
    house.reader.close()
    house.registry.close()
    house.ledger.close()


class Server:
    """A model server as a process, and its two doors."""

    def __init__(self, settings, process):
        self.url, self.grpc = settings.inference_url, settings.grpc_port
        self.model, self.process = settings.registered_model, process

    def path(self, number, what=""):
        return f"{self.url}/v2/models/{self.model}/versions/{number}{what}"

    def get(self, number, what=""):
        return httpx.get(self.path(number, what), timeout=seconds(20))

    def infer(self, number):
        symbols = {"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["AAPL"]}
        body = {"inputs": [symbols]}
        return httpx.post(self.path(number, "/infer"), json=body, timeout=seconds(20))

    def call(self, method, request, answer):
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc}") as channel:
            call = channel.unary_unary(f"{MODEL}/{method}")
            return answer.FromString(call(request.SerializeToString(), timeout=seconds(20)))

    def infer_over_grpc(self, number):
        tensor = pb.ModelInferRequest.InferInputTensor(name="symbols", datatype="BYTES", shape=[1])
        request = pb.ModelInferRequest(
            model_name=self.model,
            model_version=number,
            inputs=[tensor],
            raw_input_contents=[pack_texts(["AAPL"])],
        )
        return self.call("ModelInfer", request, pb.ModelInferResponse)

    def loads(self, number):
        return self.process.said().count(f"model {number} loaded")


@pytest.fixture(scope="module")
def server(house):
    changes = {"http_port": free_port(), "grpc_port": free_port(), "versions_on_demand": KEPT}
    changes["inference_url"] = f"http://127.0.0.1:{changes['http_port']}"
    changes["reload_seconds"] = 0.5
    settings = house.settings.model_copy(update=changes)
    env = {**os.environ, **settings.as_variables()}
    log = settings.state_dir / "server.txt"
    with running([sys.executable, "-m", "serving.server"], log, env) as process:
        ready = f"{settings.inference_url}/v2/health/ready"
        wait_until(lambda: process.up() and answers(ready), 90, process.said)
        yield Server(settings, process)


def test_all_registered_versions_are_listed_and_a_server_without_the_setting_lists_two(
    server, house
):
    about = httpx.get(f"{server.url}/v2/models/{server.model}").json()
    assert about["versions"] == ["1", "2", "3", "4", "5", "6"]
    loader = Loader(house.settings, lambda *_: None)
    from serving.state import ServingState

    state = loader.next_state(ServingState())
    loader.close()
    assert (state.registered, set(state.versions)) == ((), {"1", "6"})


@pytest.mark.parametrize("number", ["2", "3", "4"])
def test_a_version_that_is_neither_champion_nor_challenger_answers_by_its_number(server, number):
    answer = server.infer(number)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == number
    assert server.infer_over_grpc(number).model_version == number


def test_its_metadata_and_its_readiness_are_asked_for_by_number(server):
    about = server.get("2").json()
    assert (about["versions"], "AAPL" in about["symbols"]) == (["2"], True)
    assert server.get("3", "/ready").json()["ready"] is True
    request = pb.ModelReadyRequest(name=server.model, version="4")
    assert server.call("ModelReady", request, pb.ModelReadyResponse).ready


def test_few_are_kept_and_champion_and_challenger_always(server):
    for number in ("2", "3", "4", "2"):
        assert server.infer(number).status_code == 200
    metrics = httpx.get(f"{server.url}/metrics").text
    held = [line for line in metrics.splitlines() if line.startswith("bellwether_model_info{")]
    assert len(held) == 2 + KEPT
    assert sum('alias="on demand"' in line for line in held) == KEPT


def test_a_version_that_nobody_registered_is_not_found(server):
    for number in ("7", "0", "latest"):
        answer = server.infer(number)
        assert answer.status_code == 404
        assert "a version must be registered" in answer.json()["error"]
    with pytest.raises(grpc.RpcError) as caught:
        server.infer_over_grpc("7")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_version_whose_bundle_is_not_what_is_promised_is_refused_in_words(server):
    for answer in (server.infer("5"), server.get("5"), server.get("5", "/ready")):
        assert answer.status_code == 500
        assert answer.json()["kind"] == "BundleRejected"
        assert "SHA-256" in answer.json()["error"]
    request = pb.ModelReadyRequest(name=server.model, version="5")
    assert not server.call("ModelReady", request, pb.ModelReadyResponse).ready
    with pytest.raises(grpc.RpcError) as caught:
        server.infer_over_grpc("5")
    assert "SHA-256" in caught.value.details()


def test_many_first_requests_load_a_version_once_and_others_are_answered_meanwhile(server):
    for number in ("3", "4"):  # 2 is kept no more
        server.infer(number)
    before = server.loads("2")
    with ThreadPoolExecutor(24) as callers:
        first = [callers.submit(server.infer, "2") for _ in range(16)]
        others = [callers.submit(server.infer, "1") for _ in range(8)]
        assert {one.result().status_code for one in (*first, *others)} == {200}
    assert server.loads("2") == before + 1


def test_a_version_that_was_just_registered_is_found_and_one_that_is_deleted_is_not(server, house):
    number = house.register("1")
    wait_until(lambda: server.infer(number).status_code == 200, 20)
    with MlflowServer(house.settings.registry_url).client() as client:
        client.delete_model_version(house.model, number)
    wait_until(lambda: server.infer(number).status_code == 404, 20)
