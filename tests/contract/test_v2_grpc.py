"""The V2 protocol over gRPC, through a real channel, with a real bundle and real features."""

import asyncio
import random
import socket
import threading

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import DEFAULT_OUTPUTS, INPUTS, MAX_BODY_BYTES, OUTPUTS
from forecasting.inference_protocol.tensors import pack_texts, unpack_texts
from forecasting.settings import Settings
from serving.grpc_server import HealthService, V2GrpcServer
from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from serving.v2_grpc import V2Service, read_request
from serving.work_queue import WorkQueue
from tests.ports import free_port
from tests.served_models import make_bundle, make_features, make_predictor, own_bars, publish
from tests.time_limits import seconds, wait_until

CODE = grpc.StatusCode
SERVICE = "/inference.GRPCInferenceService"


class Channel:
    """Calls methods with raw bytes or messages."""

    def __init__(self, channel, predictor, port, reasons, message_time):
        self.channel, self.predictor, self.port = channel, predictor, port
        self.reasons, self.message_time = reasons, message_time

    def call(self, method, request, answer=None):
        data = request if isinstance(request, bytes) else request.SerializeToString()
        raw = self.channel.unary_unary(f"{SERVICE}/{method}")(data, timeout=seconds(10))
        return answer.FromString(raw) if answer else raw

    def infer(self, *inputs, **fields):
        return self.call("ModelInfer", message(*inputs, **fields), pb.ModelInferResponse)

    def refusal(self, method, request):
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request)
        return caught.value.code(), caught.value.details()


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    where = Settings(state_dir=folder, bundle_url=str(folder / "bundle"), model_version="3")
    port = free_port()
    predictor = make_predictor(where)
    service, health = V2Service(predictor, "9"), HealthService(predictor)
    reasons = []
    server = V2GrpcServer(
        service, health, reasons.append, "127.0.0.1", port, 1, message_seconds=seconds(1)
    )
    loop = asyncio.new_event_loop()

    def run():
        asyncio.set_event_loop(loop)
        serving = loop.create_task(server.start())
        loop.run_forever()
        loop.run_until_complete(serving)

    thread = threading.Thread(target=run)
    thread.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        grpc.channel_ready_future(opened).result(timeout=seconds(20))
        yield Channel(opened, predictor, port, reasons, server.message_time)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=seconds(10))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(seconds(10))
    loop.close()


def tensor(name, datatype, shape, **contents):
    made = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        made.contents.CopyFrom(pb.InferTensorContents(**contents))
    return made


def symbols(*names):
    return tensor("symbols", "BYTES", [len(names)], bytes_contents=[n.encode() for n in names])


def message(*inputs, raw=(), outputs=(), **fields):
    return pb.ModelInferRequest(
        **{"model_name": "bellwether"} | fields,
        inputs=inputs,
        raw_input_contents=raw,
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs],
    )


def raw_symbols(*names, **fields):
    return message(tensor("symbols", "BYTES", [len(names)]), raw=[pack_texts(names)], **fields)


def test_the_server_tells_the_truth_about_itself(channel):
    assert channel.call("ServerLive", b"", pb.ServerLiveResponse).live
    assert channel.call("ServerReady", b"", pb.ServerReadyResponse).ready
    about = channel.call("ServerMetadata", b"", pb.ServerMetadataResponse)
    assert (about.name, about.version) == ("bellwether", "9")


def test_model_readiness_knows_versions(channel):
    for version in ("", "3"):
        request = pb.ModelReadyRequest(name="bellwether", version=version)
        assert channel.call("ModelReady", request, pb.ModelReadyResponse).ready
    request = pb.ModelReadyRequest(name="bellwether", version="4")
    assert channel.refusal("ModelReady", request)[0] == CODE.NOT_FOUND
    request = pb.ModelReadyRequest(name="other")
    assert channel.refusal("ModelReady", request)[0] == CODE.NOT_FOUND


def test_metadata_lists_inputs_outputs_and_versions(channel):
    request = pb.ModelMetadataRequest(name="bellwether")
    about = channel.call("ModelMetadata", request, pb.ModelMetadataResponse)
    assert list(about.versions) == ["3"]
    assert {one.name: one.datatype for one in about.inputs} == {
        name: spec.datatype for name, spec in INPUTS.items()
    }
    assert {one.name: tuple(one.shape) for one in about.outputs} == {
        name: spec.shape for name, spec in OUTPUTS.items()
    }


def test_raw_and_typed_contents_get_the_same_forecast(channel):
    raw = channel.call("ModelInfer", raw_symbols("AAPL", "MSFT", id="q"), pb.ModelInferResponse)
    typed = channel.infer(symbols("AAPL", "MSFT"))
    assert (raw.id, raw.model_name, raw.model_version) == ("q", "bellwether", "3")
    assert raw.parameters["model_kind"].string_param == "ridge"
    assert raw.parameters["replay"].bool_param is True
    assert raw.parameters["calibration"].int64_param == 0
    assert [one.name for one in raw.outputs] == list(DEFAULT_OUTPUTS)
    assert not typed.raw_output_contents
    for place, one in enumerate(raw.outputs):
        data, contents = raw.raw_output_contents[place], typed.outputs[place].contents
        assert one.shape == typed.outputs[place].shape
        if one.datatype == "BYTES":
            assert [text.encode() for text in unpack_texts(data, "")] == list(
                contents.bytes_contents
            )
            continue
        field = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents"}
        dtype = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}[one.datatype]
        values = getattr(contents, field[one.datatype])
        np.testing.assert_array_equal(np.frombuffer(data, dtype), list(values))


def test_outputs_and_version_of_a_request_are_honoured(channel):
    answer = channel.infer(symbols("AAPL"), outputs=["signal", "baseline"], model_version="3")
    assert [one.name for one in answer.outputs] == ["signal", "baseline"]
    code, details = channel.refusal("ModelInfer", message(symbols("AAPL"), model_version="4"))
    assert code == CODE.NOT_FOUND
    assert "Loaded: 3" in details


def test_a_batch_answers_what_it_can_and_names_the_rest(channel):
    answer = channel.infer(symbols("XXXX", "AAPL"))
    alone = channel.infer(symbols("AAPL"))
    assert answer.outputs == alone.outputs
    assert '"symbol":"XXXX","status":404' in answer.parameters["refused"].string_param
    assert answer.parameters["model_kind"] == alone.parameters["model_kind"]
    strict = message(symbols("XXXX", "AAPL"))
    strict.parameters["all_or_nothing"].bool_param = True
    assert channel.refusal("ModelInfer", strict)[0] == CODE.NOT_FOUND


def test_own_bars_are_answered(channel):
    millis, ohlcv = own_bars()
    request = message(
        tensor("bars", "FP64", list(ohlcv.shape)),
        tensor("timestamps", "INT64", [len(millis)]),
        raw=[ohlcv.tobytes(), millis.tobytes()],
    )
    answer = channel.call("ModelInfer", request, pb.ModelInferResponse)
    quantiles = np.frombuffer(answer.raw_output_contents[1]).reshape(1, 30, 5)
    assert (np.diff(quantiles, axis=2) > 0).all()


@pytest.mark.parametrize(
    ("request_", "code", "sentence"),
    [
        (b"\xff\xff\xff", CODE.INVALID_ARGUMENT, "serialised inference.ModelInferRequest"),
        (b"", CODE.NOT_FOUND, "a model must be one"),
        (message(symbols("AAPL"), model_name="other"), CODE.NOT_FOUND, "'other'"),
        (message(), CODE.INVALID_ARGUMENT, "at least one input"),
        (message(symbols("XXXX")), CODE.NOT_FOUND, "Known: AAPL"),
        (message(symbols("NEW")), CODE.INVALID_ARGUMENT, "too few bars"),
        (message(symbols("AAPL"), symbols("MSFT")), CODE.INVALID_ARGUMENT, "sent twice"),
        (message(symbols("AAPL"), id="\0"), CODE.INVALID_ARGUMENT, "'id' must be printable"),
        (message(symbols("AAPL"), id="x" * 257), CODE.INVALID_ARGUMENT, "at most 256"),
        (message(symbols("A\0")), CODE.INVALID_ARGUMENT, "printable text"),
        (message(symbols("AAPL"), outputs=["x"]), CODE.INVALID_ARGUMENT, "Known: symbol"),
        (message(tensor("prices", "FP64", [1])), CODE.INVALID_ARGUMENT, "one the model takes"),
        (message(tensor("symbols", "INT64", [1])), CODE.INVALID_ARGUMENT, "must be BYTES"),
        (message(tensor("symbols", "BYTES", [])), CODE.INVALID_ARGUMENT, "shape"),
        (message(tensor("symbols", "BYTES", [-1])), CODE.INVALID_ARGUMENT, "shape"),
        (message(tensor("symbols", "BYTES", [10**12])), CODE.INVALID_ARGUMENT, "shape"),
        (message(tensor("symbols", "BYTES", [1])), CODE.INVALID_ARGUMENT, "no contents"),
        (
            message(tensor("symbols", "BYTES", [1], int64_contents=[1])),
            CODE.INVALID_ARGUMENT,
            "bytes_contents: int64_contents",
        ),
        (
            message(tensor("symbols", "BYTES", [1], bytes_contents=[b"\xff"])),
            CODE.INVALID_ARGUMENT,
            "UTF-8",
        ),
        (message(symbols("AAPL"), raw=[b"x"]), CODE.INVALID_ARGUMENT, "has both"),
        (message(symbols("AAPL"), raw=[b"x", b"y"]), CODE.INVALID_ARGUMENT, "2 entries for 1"),
        (
            message(tensor("symbols", "BYTES", [1]), raw=[b"\x09\x00\x00\x00A"]),
            CODE.INVALID_ARGUMENT,
            "runs past the end",
        ),
        (
            message(
                tensor("bars", "FP64", [2, 5], fp64_contents=[float("nan")] * 10),
                tensor("timestamps", "INT64", [2], int64_contents=[1, 2]),
            ),
            CODE.INVALID_ARGUMENT,
            "must be finite",
        ),
    ],
)
def test_a_malformed_request_gets_a_status_that_blames_the_caller(
    channel, request_, code, sentence
):
    found, details = channel.refusal("ModelInfer", request_)
    assert found == code
    assert sentence in details


def test_health_is_told_as_grpc_defines_it(channel, monkeypatch):
    stub = health_pb2_grpc.HealthStub(channel.channel)
    kinds = health_pb2.HealthCheckResponse

    def status(service=""):
        request = health_pb2.HealthCheckRequest(service=service)
        return stub.Check(request, timeout=seconds(10)).status

    assert [status(), status("inference.GRPCInferenceService")] == [kinds.SERVING] * 2
    with pytest.raises(grpc.RpcError) as caught:
        status("other.Service")
    assert caught.value.code() == CODE.NOT_FOUND
    monkeypatch.setattr(channel.predictor, "draining", True)
    assert status() == kinds.NOT_SERVING


def test_reflection_lists_the_services_and_their_methods(channel):
    database = ProtoReflectionDescriptorDatabase(channel.channel)
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(
        database.get_services()
    )
    found = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    assert "ModelInfer" in {method.name for method in found.service[0].method}


def test_a_message_may_be_packed_and_is_refused_if_it_is_too_long_when_unpacked(channel):
    method = channel.channel.unary_unary(f"{SERVICE}/ModelInfer")
    options = {"compression": grpc.Compression.Gzip, "timeout": seconds(10)}
    packed = method(raw_symbols("AAPL").SerializeToString(), **options)
    assert pb.ModelInferResponse.FromString(packed).model_version == "3"
    with pytest.raises(grpc.RpcError) as caught:
        method(bytes(50_000_000), **options)
    assert caught.value.code() == CODE.RESOURCE_EXHAUSTED


def test_metadata_without_end_are_refused(channel):
    method = channel.channel.unary_unary(f"{SERVICE}/ServerLive")
    with pytest.raises(grpc.RpcError) as caught:
        method(b"", metadata=[("x", "v" * 100_000)], timeout=seconds(10))
    assert caught.value.code() in {CODE.RESOURCE_EXHAUSTED, CODE.UNAVAILABLE}
    assert channel.call("ServerLive", b"", pb.ServerLiveResponse).live


def test_more_long_requests_than_may_wait_are_unavailable(channel, monkeypatch):
    monkeypatch.setattr(channel.predictor, "work", WorkQueue(limit=0))
    millis, ohlcv = own_bars()
    request = message(
        tensor("bars", "FP64", list(ohlcv.shape)),
        tensor("timestamps", "INT64", [len(millis)]),
        raw=[ohlcv.tobytes(), millis.tobytes()],
    )
    code, details = channel.refusal("ModelInfer", request)
    assert code == CODE.UNAVAILABLE
    assert "Ask again" in details
    assert channel.call("ServerLive", b"", pb.ServerLiveResponse).live


def test_a_message_that_is_too_long_is_refused(channel):
    code, _ = channel.refusal("ModelInfer", b"\x00" * (2 * MAX_BODY_BYTES + 1))
    assert code == CODE.RESOURCE_EXHAUSTED


def test_damaged_messages_never_are_the_servers_fault(channel):
    rng = random.Random(0)
    good = bytearray(raw_symbols("AAPL").SerializeToString())
    allowed = {CODE.INVALID_ARGUMENT, CODE.NOT_FOUND}
    for _ in range(300):
        damaged = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            channel.call("ModelInfer", bytes(damaged[: rng.randint(0, len(damaged))]))
        except grpc.RpcError as error:
            assert error.code() in allowed, error.details()  # noqa: PT017


TENSOR = st.builds(
    tensor,
    st.sampled_from([*INPUTS, "x"]),
    st.sampled_from(["BYTES", "INT64", "FP64", "FP32", ""]),
    st.lists(st.integers(-2, 6), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=3), max_size=3),
    int64_contents=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    fp64_contents=st.lists(st.floats(), max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TENSOR, max_size=3),
    st.lists(st.binary(max_size=50), max_size=3),
    st.lists(st.sampled_from([*OUTPUTS, "x"]), max_size=3),
)
def test_a_made_up_message_is_well_formed_or_refused(inputs, raw, outputs):
    try:
        request = read_request(message(*inputs, raw=raw, outputs=outputs))
    except InvalidRequest:
        return
    assert set(request.inputs) <= set(INPUTS)
    assert set(request.outputs) <= set(OUTPUTS)


def frame(kind, flags, stream, payload=b""):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def half_a_call(message):
    """A call of ModelInfer as HTTP/2's bytes: its headers, and a message that does not end."""
    fields = {
        ":method": "POST", ":scheme": "http", ":authority": "x", ":path": f"{SERVICE}/ModelInfer",
        "content-type": "application/grpc", "te": "trailers",
    }  # fmt: skip
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
    return preface + frame(1, 4, 1, block) + (frame(0, 0, 1, message) if message else b"")


def end_of_call(connection):
    """Waits for the frame that ends stream 1: its last headers, or a reset."""
    data = b""
    while True:
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            length = int.from_bytes(data[:3], "big")
            kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
            data = data[9 + length :]
            if stream == 1 and (kind == 3 or (kind, flags & 1) == (1, 1)):
                return
        got = connection.recv(65_536)
        assert got, "the connection ended, not the call"
        data += got


@pytest.mark.parametrize(
    "message", [b"", b"\0\0\0\x10\0" + b"x" * 100], ids=["no message", "half a message"]
)
def test_a_call_whose_message_does_not_come_ends_and_is_counted(channel, message):
    channel.reasons.clear()
    with socket.create_connection(("127.0.0.1", channel.port), timeout=seconds(20)) as connection:
        connection.sendall(half_a_call(message))
        end_of_call(connection)
        assert channel.reasons == ["too_slow"]
        assert channel.call("ServerLive", b"", pb.ServerLiveResponse).live


def test_the_caller_whose_message_does_not_come_is_told_so(channel):
    channel.reasons.clear()
    silent = threading.Event()

    def messages():
        silent.wait(seconds(20))
        yield b""

    call = channel.channel.stream_unary(f"{SERVICE}/ModelInfer")
    with pytest.raises(grpc.RpcError) as caught:
        call(messages(), timeout=seconds(20))
    silent.set()
    assert caught.value.code() == CODE.DEADLINE_EXCEEDED
    assert "must come within" in caught.value.details()
    assert channel.reasons == ["too_slow"]


def test_a_call_without_a_message_is_refused_and_a_caller_that_leaves_is_forgotten(channel):
    channel.reasons.clear()
    call = channel.channel.stream_unary(f"{SERVICE}/ServerLive")
    with pytest.raises(grpc.RpcError) as caught:
        call(iter(()), timeout=seconds(10))
    assert caught.value.code() == CODE.INVALID_ARGUMENT
    left = threading.Event()
    leaving = call.future(iter(left.wait, True), timeout=seconds(10))
    wait_until(lambda: channel.message_time.waiting == 1, 5)
    leaving.cancel()
    wait_until(lambda: channel.message_time.waiting == 0, 5)
    left.set()
    assert channel.reasons == []


def test_calls_whose_message_came_are_not_waited_for(channel):
    channel.call("ServerLive", b"", pb.ServerLiveResponse)
    assert channel.message_time.waiting == 0
