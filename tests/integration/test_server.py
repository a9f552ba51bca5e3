"""A real server process: clients that are not ours, reloads and a stop under load, bad bodies."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from forecasting.adapters.inference import InferenceClient
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.errors import (
    InvalidRequest,
    NotReady,
    ServerUnavailable,
    ShortHistory,
    StaleData,
    UnknownSymbol,
    UnknownVersion,
)
from tests.ports import free_port
from tests.processes import start
from tests.served_models import SYMBOLS, make_bundle, make_features, own_bars, publish
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

# A stopping server still answers for a while: long enough here to be asked on a slow machine.
DRAINING = """
import sys
import serving.server
serving.server.DRAIN_SECONDS = float(sys.argv[1])
sys.exit(serving.server.main())
"""


class ServerProcess:
    """The model server over a state folder of its own."""

    def __init__(self, folder, **changes):
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.log_url = f"sqlite:///{folder / 'predictions.sqlite'}"
        variables = {
            "STATE_DIR": folder,
            "BUNDLE_URL": folder / "bundle",
            "MODEL_VERSION": "3",
            "HTTP_PORT": self.http_port,
            "GRPC_PORT": self.grpc_port,
            "RELOAD_SECONDS": "0.2",
        } | changes
        ours = {f"BELLWETHER_{name}": str(value) for name, value in variables.items()}
        command = [sys.executable, "-c", DRAINING, str(seconds(1))]
        self.server = start(command, folder / "server.log", ours, cwd=ROOT)
        self.process, self.said = self.server.process, self.server.said

    def get(self, path):
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=seconds(5)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait(self, path="/v2/health/ready", status=200, limit=60):
        wait_until(lambda: self.server.up() and self.get(path)[0] == status, limit, self.said)

    def client(self):
        return InferenceClient(self.url, timeout=seconds(10))

    def stop(self):
        code = self.server.stop(limit=30)
        assert code != -signal.SIGKILL, f"it did not end: {self.said()}"

    def resident_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def metric(self, line):
        for found in self.get("/metrics")[1].splitlines():
            if found.startswith(f"{line} "):
                return float(found.rsplit(" ", 1)[1])
        return None


@contextlib.contextmanager
def running(folder, **changes):
    server = ServerProcess(folder, **changes)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    return folder


@pytest.fixture(scope="module")
def server(parts):
    with running(parts) as server:
        server.wait()
        yield server


@pytest.fixture
def own(parts, tmp_path):
    shutil.copytree(parts / "bundle", tmp_path / "bundle")
    shutil.copytree(parts / "lake", tmp_path / "lake")
    return tmp_path


def triton_symbols(*names):
    one = triton_http.InferInput("symbols", [len(names)], "BYTES")
    one.set_data_from_numpy(np.array(names, dtype=object))
    return one


@pytest.fixture
def triton_rest(server):
    with triton_http.InferenceServerClient(f"127.0.0.1:{server.http_port}") as client:
        yield client


@pytest.fixture(scope="module")
def triton_grpc(server):
    millis, ohlcv = own_bars()
    script = Path(__file__).with_name("triton_over_grpc.py")
    done = subprocess.run(
        [sys.executable, script, str(server.grpc_port)],
        input=json.dumps({"bars": ohlcv.tolist(), "timestamps": millis.tolist()}),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds(60),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# a client that is not ours


def test_tritons_rest_client_gets_health_metadata_and_forecasts(triton_rest):
    assert triton_rest.is_server_live()
    assert triton_rest.is_server_ready()
    assert triton_rest.is_model_ready("bellwether")
    assert triton_rest.is_model_ready("bellwether", "3")
    assert triton_rest.get_server_metadata()["name"] == "bellwether"
    assert triton_rest.get_model_metadata("bellwether")["versions"] == ["3"]
    answer = triton_rest.infer("bellwether", [triton_symbols("AAPL", "MSFT")])
    assert answer.as_numpy("quantiles").shape == (2, 30, 5)
    assert answer.as_numpy("symbol").tolist() == [b"AAPL", b"MSFT"]
    assert answer.as_numpy("stale").tolist() == [False, False]
    assert answer.get_response()["parameters"]["model_kind"] == "ridge"


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_rest_client_gets_the_same_as_json_and_as_binary(triton_rest, binary):
    inputs = [triton_symbols("AAPL")]
    outputs = [
        triton_http.InferRequestedOutput(name, binary_data=binary)
        for name in ("quantiles", "baseline", "signal")
    ]
    answer = triton_rest.infer("bellwether", inputs, model_version="3", outputs=outputs)
    expected = triton_rest.infer("bellwether", inputs)
    np.testing.assert_array_equal(answer.as_numpy("quantiles"), expected.as_numpy("quantiles"))
    assert answer.as_numpy("baseline").shape == (1, 30, 5)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_tritons_rest_client_may_pack_what_it_sends_and_ask_for_packed_answers(
    triton_rest, algorithm
):
    inputs = [triton_symbols("AAPL", "MSFT")]
    answer = triton_rest.infer(
        "bellwether",
        inputs,
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    expected = triton_rest.infer("bellwether", inputs)
    np.testing.assert_array_equal(answer.as_numpy("quantiles"), expected.as_numpy("quantiles"))


def test_tritons_grpc_client_gets_health_metadata_and_the_same_forecasts(triton_grpc, triton_rest):
    assert triton_grpc["live"]
    assert triton_grpc["ready"]
    assert triton_grpc["version"] == "3"
    about = triton_grpc["metadata"]
    assert about["versions"] == ["3"]
    assert {one["name"] for one in about["inputs"]} >= {"symbols", "bars", "timestamps"}
    expected = triton_rest.infer("bellwether", [triton_symbols("AAPL", "MSFT")])
    for name in ("quantiles", "target_time", "probability_of_rise", "last_close", "stale"):
        assert triton_grpc["forecast"][name] == expected.as_numpy(name).tolist()


def test_tritons_clients_may_bring_their_own_bars(triton_rest, triton_grpc):
    millis, ohlcv = own_bars()
    bars = triton_http.InferInput("bars", list(ohlcv.shape), "FP64")
    bars.set_data_from_numpy(ohlcv)
    stamps = triton_http.InferInput("timestamps", [len(millis)], "INT64")
    stamps.set_data_from_numpy(millis)
    answer = triton_rest.infer("bellwether", [bars, stamps])
    assert triton_grpc["own"]["quantiles"] == answer.as_numpy("quantiles").tolist()


def test_tritons_clients_get_our_sentences(triton_rest, triton_grpc):
    with pytest.raises(InferenceServerException, match="Known: AAPL") as caught:
        triton_rest.infer("bellwether", [triton_symbols("XXXX")])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="Loaded: 3"):
        triton_rest.infer("bellwether", [triton_symbols("AAPL")], model_version="7")
    for what, sentence in (("unknown_symbol", "Known: AAPL"), ("unknown_version", "Loaded: 3")):
        status, details = triton_grpc[what]
        assert status == "StatusCode.NOT_FOUND"
        assert sentence in details


# our own client


def test_our_client_gets_forecasts_metadata_and_readiness(server):
    with server.client() as client:
        assert client.ready()
        assert client.why_not_ready() is None
        assert client.symbols() == list(SYMBOLS)
        assert client.metadata()["versions"] == ["3"]
        apple, microsoft = client.forecast(["AAPL", "MSFT"], horizon=4, baseline=True)
        assert (apple.symbol, microsoft.symbol) == ("AAPL", "MSFT")
        assert apple.quantiles.shape == apple.baseline.shape == (4, 5)
        assert len(apple.target_times) == len(apple.probability_of_rise) == 4
        assert apple.target_times[0] > apple.as_of
        assert (apple.model_version, apple.model_kind) == ("3", "ridge")
        assert apple.levels == (0.05, 0.25, 0.5, 0.75, 0.95)
        assert apple.replay
        assert not apple.stale
        past = client.forecast(["AAPL"], as_of=apple.as_of - timedelta(days=20))[0]
        assert past.as_of < apple.as_of
        millis, ohlcv = own_bars()
        stamps = [past.as_of.fromtimestamp(one / 1000, past.as_of.tzinfo) for one in millis]
        mine = client.forecast_bars(stamps, ohlcv, symbol="OWN", horizon=2)
        assert (mine.symbol, mine.quantiles.shape) == ("OWN", (2, 5))


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ({"symbols": ["XXXX"]}, UnknownSymbol),
        ({"symbols": ["AAPL"], "version": "9"}, UnknownVersion),
        ({"symbols": ["AAPL"], "version": "no such"}, UnknownVersion),
        ({"symbols": ["NEW"]}, ShortHistory),
        ({"symbols": ["AAPL"], "horizon": 99}, InvalidRequest),
        ({"symbols": []}, InvalidRequest),
        ({"symbols": ["AAPL"], "as_of": "soon"}, InvalidRequest),
    ],
)
def test_our_client_raises_the_servers_error_with_its_sentence(server, question, error):
    with server.client() as client, pytest.raises(error) as caught:
        client.forecast(**question)
    assert type(caught.value) is error
    assert len(str(caught.value)) > 20


def test_our_client_says_when_nobody_answers_or_somebody_else_does(mlflow_url):
    with InferenceClient(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(ServerUnavailable, match="must be reachable"):
            client.forecast(["AAPL"])
        with pytest.raises(ServerUnavailable):
            client.ready()
    for url in (mlflow_url, "nonsense", "http://[", ""):
        with InferenceClient(url) as client, pytest.raises(ServerUnavailable):
            client.forecast(["AAPL"])


# bodies and connections nobody should send


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"", b"{", 400),
        (b"", b'{"inputs":[{"name":"symbols","datatype":"BYTES","shape":[-1],"data":[]}]}', 400),
        (b"", b"[" * 200_000, 400),
        (b"Content-Encoding: gzip\r\n", b"xx", 400),
        (b"Content-Encoding: br\r\n", b"xx", 415),
        (b"Inference-Header-Content-Length: 99\r\n", b"{}", 400),
        (b"Inference-Header-Content-Length: x\r\n", b"{}", 400),
    ],
)
def test_malformed_bodies_get_a_4xx_and_the_connection_goes_on(server, head, body, status):
    for _ in range(2):
        with socket.create_connection(
            ("127.0.0.1", server.http_port), timeout=seconds(10)
        ) as connection:
            for _ in range(2):
                connection.sendall(
                    b"POST /v2/models/bellwether/infer HTTP/1.1\r\nHost: x\r\n"
                    + head
                    + b"Content-Length: %d\r\n\r\n" % len(body)
                    + body
                )
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                assert answer.status == status
                assert json.loads(answer.read())["error"]


def ten_megabytes(*, in_chunks):
    return (b"[" * 65_536 for _ in range(160)) if in_chunks else b"[" * 10_485_760


@pytest.mark.parametrize("in_chunks", [False, True])
def test_ten_megabytes_are_refused_in_words_that_clients_read_and_cost_no_memory(server, in_chunks):
    path = "/v2/models/bellwether/infer"
    before = server.resident_mb()
    for _ in range(5):
        address = ("127.0.0.1", server.http_port)
        connection = http.client.HTTPConnection(*address, timeout=seconds(10))
        with contextlib.closing(connection):
            connection.request("POST", path, ten_megabytes(in_chunks=in_chunks))
            answer = connection.getresponse()
            assert answer.status == 413
            assert "1048576 bytes" in json.loads(answer.read())["error"]
            connection.request("GET", "/v2/health/live")
            assert connection.getresponse().status == 200
        answer = httpx.post(
            f"{server.url}{path}", content=ten_megabytes(in_chunks=in_chunks), timeout=seconds(10)
        )
        assert answer.status_code == 413
        assert "1048576 bytes" in answer.json()["error"]
    assert server.get("/v2/health/ready")[0] == 200
    assert server.resident_mb() - before < 50


def test_garbage_on_the_grpc_port_does_not_hurt(server):
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 1000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" * 9,
    ):
        with socket.create_connection(
            ("127.0.0.1", server.grpc_port), timeout=seconds(5)
        ) as connection:
            connection.sendall(data)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/NoSuchMethod")
        with pytest.raises(grpc.RpcError) as caught:
            method(b"", timeout=seconds(5))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_kserves_other_doors_are_closed(server):
    for path in ("/v1/models", "/v2/repository/models/bellwether/unload", "/docs"):
        assert server.get(path)[0] == 404
    assert server.get("/")[0] == 200


# metrics and log


def test_answers_are_counted_and_logged(own):
    with running(own) as server:
        server.wait()
        with server.client() as client:
            for number in range(3):
                client.forecast(["AAPL", "MSFT"], horizon=2, request_id=f"r{number}")
            with pytest.raises(UnknownSymbol):
                client.forecast(["XXXX"])
        assert server.metric('bellwether_requests_total{status="200",symbol="AAPL"}') == 3
        assert server.metric('bellwether_requests_total{status="404",symbol="other"}') == 1
        assert server.metric('bellwether_request_duration_seconds_count{protocol="rest"}') == 4
        assert server.metric('bellwether_bars_held{symbol="AAPL"}') == 900
        assert server.metric("bellwether_feature_age_seconds") < 120
        text = server.get("/metrics")[1]
        assert 'bellwether_model_info{alias="pinned"' in text
        assert 'bellwether_reloads_total{outcome="loaded",what="features"} 1.0' in text
    rows = PredictionLog(server.log_url).recent()
    assert len(rows) == 6
    assert {row.request_id for row in rows} == {"r0", "r1", "r2"}
    assert {(row.symbol, row.horizon, row.model_version) for row in rows} == {
        ("AAPL", 2, "3"),
        ("MSFT", 2, "3"),
    }


# coming up, reloading, going down


def test_a_server_without_anything_is_live_then_becomes_ready(parts, tmp_path):
    with running(tmp_path) as server:
        server.wait("/v2/health/live")
        assert server.get("/v2/health/ready")[0] == 503
        with server.client() as client:
            assert isinstance(client.why_not_ready(), NotReady)
            with pytest.raises(NotReady, match="manifest"):
                client.forecast(["AAPL"])
        shutil.copytree(parts / "bundle", tmp_path / "bundle")
        publish(tmp_path / "lake", make_features())
        server.wait()


def test_stale_features_are_refused_until_fresh_ones_come(own):
    publish(own / "lake", make_features(age=timedelta(days=20)))
    with running(own) as server:
        server.wait("/v2/health/live")
        with server.client() as client:
            wait_until(lambda: isinstance(client.why_not_ready(), StaleData), 20)
            with pytest.raises(StaleData, match=r"20\.0 days old"):
                client.forecast(["AAPL"])
            assert server.metric('bellwether_stale_answers_total{outcome="refused"}') == 1
            assert server.get("/v2/health/ready")[0] == 200  # it is there, to say so
            publish(own / "lake", make_features())
            wait_until(client.ready, 20)
            assert not client.forecast(["AAPL"])[0].stale


class Load:
    """Asks for forecasts from several threads until it is stopped; keeps what failed."""

    def __init__(self, url, threads=4):
        self.url, self.failed, self.snapshots, self.asked = url, [], set(), 0
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def run(self):
        with InferenceClient(self.url, timeout=seconds(10)) as client:
            while not self.done.is_set():
                try:
                    answer = client.forecast(["AAPL"], horizon=3)[0]
                except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                    self.failed.append(error)
                else:
                    self.asked += 1
                    self.snapshots.add(answer.snapshot)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()


def test_features_reload_under_load_without_a_failed_request(own):
    with running(own) as server:
        server.wait()
        with Load(server.url) as load:
            for number in range(5):
                snapshot = f"{number:016d}"
                publish(own / "lake", make_features(snapshot_id=snapshot))
                wait_until(lambda snapshot=snapshot: snapshot in load.snapshots, 20)
            for pointer in (own / "lake").rglob("latest.json"):
                pointer.write_text("damaged")
            failed = 'bellwether_reloads_total{outcome="failed",what="features"}'
            wait_until(lambda: (server.metric(failed) or 0) >= 1, 20)
            wait_until(lambda: load.asked > 50, 20)
        assert load.failed == []
        assert server.get("/v2/health/ready")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_says_not_ready_finishes_its_work_writes_the_log_and_ends_with_0(own, number):
    server = ServerProcess(own)
    try:
        server.wait()
        with server.client() as client:
            answered = sum(len(client.forecast(["AAPL", "MSFT"])) for _ in range(50))
            server.process.send_signal(number)
            server.wait(status=503, limit=5)
            assert "stopping" in server.get("/v2/health/ready")[1]
            answered += len(client.forecast(["AAPL"]))
        assert server.process.wait(timeout=seconds(10)) == 0
    finally:
        server.stop()
    assert PredictionLog(server.log_url).count() == answered


@pytest.mark.parametrize(("setting", "name"), [("GRPC_PORT", "gRPC"), ("HTTP_PORT", "REST")])
def test_a_port_that_is_taken_ends_the_server_with_a_sentence(own, setting, name):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        server = ServerProcess(own, **{setting: taken.getsockname()[1]})
        assert server.process.wait(timeout=seconds(60)) == 2
    assert f"the {name} port must be free" in server.said()
    assert "Traceback" not in server.said()


def test_without_a_grpc_port_only_rest_is_served(own):
    with running(own, GRPC_PORT=0) as server:
        server.wait()
        assert server.process.poll() is None
    assert server.process.returncode == 0
