"""Questions over gRPC, through the gateway."""

from collections import Counter

import grpc

from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from tests.e2e.cluster import DOMAIN, GATEWAY_PORT
from tests.time_limits import seconds

SERVICE = "/inference.GRPCInferenceService"


def _channel() -> grpc.Channel:
    host = [("grpc.default_authority", f"grpc.{DOMAIN}")]
    return grpc.insecure_channel(f"127.0.0.1:{GATEWAY_PORT}", options=host)


def server_ready() -> bool:
    """Whether a model server says that it is ready."""
    with _channel() as channel:
        ask = channel.unary_unary(f"{SERVICE}/ServerReady")
        raw = ask(pb.ServerReadyRequest().SerializeToString(), timeout=seconds(10))
    return bool(pb.ServerReadyResponse.FromString(raw).ready)


def versions_that_answer(symbol: str, count: int) -> Counter[str]:
    """Ask for so many forecasts, one after the other; how many each version gave."""
    request = pb.ModelInferRequest(model_name="bellwether")
    tensor = request.inputs.add(name="symbols", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(symbol.encode())
    body = request.SerializeToString()
    found: Counter[str] = Counter()
    with _channel() as channel:
        ask = channel.unary_unary(f"{SERVICE}/ModelInfer")
        for _ in range(count):
            answer = pb.ModelInferResponse.FromString(ask(body, timeout=seconds(10)))
            assert answer.outputs, "an answer without a forecast"
            found[answer.model_version] += 1
    return found
