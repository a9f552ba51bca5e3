"""The V2 protocol over gRPC: the service of KServe's .proto on KServe's gRPC server.

Messages are decoded here, not by the library, because a message that cannot be decoded is the
caller's fault (INVALID_ARGUMENT) and the library calls it INTERNAL. Status codes carry the same
sentence as the HTTP answers do.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from forecasting.errors import BellwetherError, InvalidRequest, InvalidSettings
from forecasting.inference_protocol.messages import (
    MAX_BODY_BYTES,
    Request,
    find_input,
    read_id,
    read_output_names,
    refuse_unsupported,
)
from forecasting.inference_protocol.tensors import (
    Tensor,
    check_shape,
    from_raw,
    from_values,
    quoted,
    to_raw,
)
from serving.kserve_parts import GRPCServer
from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from serving.predictor import Predictor
from serving.state import Version
from serving.v2_rest import EXTENSIONS, LIGHT_SYMBOLS

logger = logging.getLogger("bellwether.serving")

Handler = Callable[[Any], Awaitable[Any]]

_CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
_DEFECT: Final = "the server has a defect: its log says more"


class V2Service:
    """The methods of inference.GRPCInferenceService.

    Args:
        predictor: answers.
        server_version: of the server's metadata.
    """

    def __init__(self, predictor: Predictor, server_version: str) -> None:
        self._predictor = predictor
        self._server_version = server_version
        self._heads: dict[Version, bytes] = {}

    def handler(self) -> grpc.GenericRpcHandler:
        """All methods, for a server to register."""
        methods: dict[str, tuple[Any, Handler]] = {
            "ServerLive": (pb.ServerLiveRequest, self._server_live),
            "ServerReady": (pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self._server_metadata),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": (pb.ModelInferRequest, self._model_infer),
        }
        return grpc.method_handlers_generic_handler(
            "inference.GRPCInferenceService",
            {
                name: grpc.unary_unary_rpc_method_handler(_guarded(message, method))
                for name, (message, method) in methods.items()
            },
        )

    async def _server_live(self, _request: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any) -> Any:
        return pb.ServerReadyResponse(ready=await self._predictor.healthy())

    async def _server_metadata(self, _request: Any) -> Any:
        return pb.ServerMetadataResponse(
            name="bellwether", version=self._server_version, extensions=EXTENSIONS
        )

    async def _model_ready(self, request: Any) -> Any:
        self._check_name(request.name)
        if request.version:
            self._predictor.state.find(request.version)  # an unknown version is not "not ready"
        try:
            self._predictor.check_ready(request.version or None)
        except BellwetherError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def _model_metadata(self, request: Any) -> Any:
        self._check_name(request.name)
        described = self._predictor.describe(request.version or None)
        return pb.ModelMetadataResponse(**described)

    async def _model_infer(self, message: Any) -> bytes:
        started = time.perf_counter()
        request = None
        try:
            self._check_name(message.model_name)
            request = read_request(message)
            number = message.model_version or None
            raw = bool(message.raw_input_contents)
            symbols = request.inputs.get("symbols")
            if "bars" not in request.inputs and (
                symbols is None or symbols.shape[0] <= LIGHT_SYMBOLS
            ):
                return self._finish(request, number, started, raw=raw)
            return await asyncio.to_thread(self._finish, request, number, started, raw=raw)
        except Exception as error:
            self._predictor.refuse(error, "grpc", started, request)
            raise

    def _finish(self, request: Request, number: str | None, started: float, *, raw: bool) -> bytes:
        version, answer = self._predictor.respond(request, number, "grpc", started)
        cache, key = answer.renderings, ("grpc", raw, request.outputs)
        body: bytes | None = cache.get(key) if cache is not None else None
        if body is None:
            body = self._rendered(answer.tensors(request.outputs), raw=raw)
            if cache is not None:
                cache[key] = body
        # Serialised protobuf messages merge when put one after the other.
        head = self._head(version)
        if request.id:
            head += pb.ModelInferResponse(id=request.id).SerializeToString()
        return head + body

    @staticmethod
    def _rendered(tensors: list[Tensor], *, raw: bool) -> bytes:
        outputs = [
            pb.ModelInferResponse.InferOutputTensor(
                name=tensor.name,
                datatype=tensor.datatype,
                shape=tensor.shape,
                contents=None if raw else _contents(tensor),
            )
            for tensor in tensors
        ]
        message = pb.ModelInferResponse(
            outputs=outputs,
            raw_output_contents=[to_raw(tensor) for tensor in tensors] if raw else None,
        )
        return message.SerializeToString()  # type: ignore[no-any-return]

    def _head(self, version: Version) -> bytes:
        """The part of an answer that is the same for all answers of a version."""
        head = self._heads.get(version)
        if head is None:
            parameters = {
                name: pb.InferParameter(bool_param=value)
                if isinstance(value, bool)
                else pb.InferParameter(string_param=value)
                for name, value in version.parameters.items()
            }
            message = pb.ModelInferResponse(
                model_name=self._predictor.name,
                model_version=version.number,
                parameters=parameters,
            )
            if len(self._heads) > 16:
                self._heads.clear()
            head = self._heads[version] = message.SerializeToString()
        return head

    def _check_name(self, name: str) -> None:
        if name != self._predictor.name:
            raise UnknownModel(
                "a model must be one the server has", quoted(name), f"Known: {self._predictor.name}"
            )


class UnknownModel(InvalidRequest):
    """The server has no model of that name."""

    status = 404


def read_request(message: Any) -> Request:
    """Check a ModelInferRequest and read its tensors.

    Raises:
        InvalidRequest: names the first rule it breaks.
    """
    entries, raw = message.inputs, message.raw_input_contents
    if not entries:
        raise InvalidRequest(
            "a request must have at least one input",
            "none",
            "Send 'symbols', or 'bars' with 'timestamps'",
        )
    if raw and len(raw) != len(entries):
        raise InvalidRequest(
            "raw_input_contents must hold one entry per input",
            f"{len(raw)} entries for {len(entries)} inputs",
        )
    refuse_unsupported(message.parameters, "the request")
    inputs: dict[str, Tensor] = {}
    for place, entry in enumerate(entries):
        spec = find_input(entry.name)
        shape = list(entry.shape)
        count = check_shape(spec, entry.datatype, shape)
        refuse_unsupported(entry.parameters, f"input '{spec.name}'")
        if spec.name in inputs:
            raise InvalidRequest("an input may be sent once", f"'{spec.name}' is sent twice")
        if not raw:
            inputs[spec.name] = from_values(spec, shape, count, _values(entry, spec.datatype))
        elif entry.HasField("contents"):
            raise InvalidRequest(
                "an input has either contents or raw contents", f"'{spec.name}' has both"
            )
        else:
            inputs[spec.name] = from_raw(spec, shape, count, raw[place])
    for output in message.outputs:
        refuse_unsupported(output.parameters, f"output {quoted(output.name)}")
    names = read_output_names([output.name for output in message.outputs])
    return Request(read_id(message.id), inputs, names)


def _values(entry: Any, datatype: str) -> list[Any]:
    filled = [field.name for field, _ in entry.contents.ListFields()]
    field_name = _CONTENTS[datatype]
    if filled != [field_name]:
        raise InvalidRequest(
            f"input '{entry.name}' must carry its data in contents.{field_name}",
            ", ".join(filled) or "no contents",
        )
    values = list(getattr(entry.contents, field_name))
    if datatype != "BYTES":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"input '{entry.name}' must be text in UTF-8", str(error)) from None


def _contents(tensor: Tensor) -> Any:
    if isinstance(tensor.data, list):
        return pb.InferTensorContents(bytes_contents=[text.encode() for text in tensor.data])
    return pb.InferTensorContents(**{_CONTENTS[tensor.datatype]: tensor.data.reshape(-1).tolist()})


def _guarded(message: Any, method: Handler) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """A handler on bytes that turns every failure into a status with a sentence."""

    async def handle(data: bytes, context: Any) -> bytes:
        try:
            request = message.FromString(data)
        except DecodeError:
            await _abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"a message must be a serialised inference.{message.DESCRIPTOR.name}",
            )
        try:
            answer = await method(request)
        except BellwetherError as error:
            code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
            await _abort(context, code, str(error))
        except Exception:
            logger.exception("%s failed", message.DESCRIPTOR.name)
            await _abort(context, grpc.StatusCode.INTERNAL, _DEFECT)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    return handle


async def _abort(context: Any, code: grpc.StatusCode, sentence: str) -> NoReturn:
    await context.abort(code, sentence)
    raise AssertionError  # abort raises


class V2GrpcServer(GRPCServer):  # type: ignore[misc]
    """KServe's gRPC server with the V2 service, and no log line per call.

    Args:
        service: the methods.
        host: address to listen on.
        port: port to listen on.
        grace_seconds: how long calls may go on when the server stops.
    """

    def __init__(self, service: V2Service, host: str, port: int, grace_seconds: int) -> None:
        super().__init__(port, None, None, {}, grace_period=grace_seconds)
        self._host = f"[{host}]" if ":" in host else host
        self._service = service

    async def start(self, max_workers: int = 1) -> None:
        """Serve until stopped.

        Raises:
            InvalidSettings: the port cannot be listened to.
        """
        limit = 2 * MAX_BODY_BYTES  # a message wraps its body
        options: Sequence[tuple[str, int]] = (
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        )
        self._server = grpc.aio.server(ThreadPoolExecutor(max_workers), options=options)
        self._server.add_generic_rpc_handlers((self._service.handler(),))
        try:
            self._server.add_insecure_port(f"{self._host}:{self._port}")
        except RuntimeError as error:
            raise InvalidSettings(
                "the gRPC port must be free",
                f"{self._port}: {error}",
                "Stop what listens there, or set BELLWETHER_GRPC_PORT",
            ) from error
        await self._server.start()
        await self._server.wait_for_termination()
