"""The V2 protocol over gRPC: the service of KServe's .proto.

Messages are decoded here, not by the library, because a message that cannot be decoded is the
caller's fault (INVALID_ARGUMENT) and the library calls it INTERNAL. Status codes carry the same
sentence as the HTTP answers do.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from forecasting.errors import BellwetherError, InvalidRequest, UnknownVersion
from forecasting.inference_protocol.messages import (
    ALL_OR_NOTHING,
    REFUSED,
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
from serving.inference import refusals
from serving.kserve_parts import grpc_predict_v2_pb2 as pb
from serving.mirroring import Mirroring, of_metadata
from serving.predictor import Predictor
from serving.state import Version
from serving.v2_rest import EXTENSIONS, LIGHT_BODY, LIGHT_SYMBOLS

logger = logging.getLogger("bellwether.serving")

SERVICE: Final = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

Handler = Callable[[Any, Any], Awaitable[Any]]
"""Takes a request and the call's context."""

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
    424: grpc.StatusCode.FAILED_PRECONDITION,
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
        self._heads: WeakKeyDictionary[Version, bytes] = WeakKeyDictionary()

    def methods(self) -> dict[str, Callable[[bytes, Any], Awaitable[bytes]]]:
        """All methods, by name."""
        methods: dict[str, tuple[Any, Handler]] = {
            "ServerLive": (pb.ServerLiveRequest, self._server_live),
            "ServerReady": (pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self._server_metadata),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": (pb.ModelInferRequest, self._model_infer),
        }
        return {name: guarded(message, method) for name, (message, method) in methods.items()}

    async def _server_live(self, _request: Any, _context: Any) -> Any:
        return pb.ServerLiveResponse(live=self._predictor.live())

    async def _server_ready(self, _request: Any, _context: Any) -> Any:
        return pb.ServerReadyResponse(ready=await self._predictor.healthy())

    async def _server_metadata(self, _request: Any, _context: Any) -> Any:
        return pb.ServerMetadataResponse(
            name="bellwether", version=self._server_version, extensions=EXTENSIONS
        )

    async def _model_ready(self, request: Any, _context: Any) -> Any:
        self._check_name(request.name)
        try:
            self._predictor.check_ready(await self._predictor.version(request.version or None))
        except UnknownVersion:  # is not "not ready"
            raise
        except BellwetherError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def _model_metadata(self, request: Any, _context: Any) -> Any:
        self._check_name(request.name)
        version = await self._predictor.version(request.version or None)
        described = self._predictor.describe(version)
        return pb.ModelMetadataResponse(**described)

    async def _model_infer(self, message: Any, context: Any) -> bytes:
        started = time.perf_counter()
        request = None
        mirroring = of_metadata(context.invocation_metadata())
        try:
            self._check_name(message.model_name)
            version = await self._predictor.version(message.model_version or None)
            run = self._predictor.work.run
            if message.ByteSize() > LIGHT_BODY:
                return await run(self._read_and_finish, message, version, started, mirroring)
            request = read_request(message)
            symbols = request.inputs.get("symbols")
            if "bars" not in request.inputs and (
                symbols is None or symbols.shape[0] <= LIGHT_SYMBOLS
            ):
                return self._finish(message, request, version, started, mirroring)
            return await run(self._finish, message, request, version, started, mirroring)
        except Exception as error:
            self._predictor.refuse(error, "grpc", started, request, mirroring)
            raise

    def _read_and_finish(
        self, message: Any, asked: Version | None, started: float, mirroring: Mirroring
    ) -> bytes:
        return self._finish(message, read_request(message), asked, started, mirroring)

    def _finish(
        self,
        message: Any,
        request: Request,
        asked: Version | None,
        started: float,
        mirroring: Mirroring,
    ) -> bytes:
        raw = bool(message.raw_input_contents)
        version, answer = self._predictor.respond(request, asked, "grpc", started, mirroring)
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
        if answer.refused:
            refused = pb.InferParameter(string_param=refusals(answer.refused))
            head += pb.ModelInferResponse(parameters={REFUSED: refused}).SerializeToString()
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
            parameters = {name: _parameter(value) for name, value in version.parameters.items()}
            message = pb.ModelInferResponse(
                model_name=self._predictor.name,
                model_version=version.number,
                parameters=parameters,
            )
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
    all_or_nothing = ALL_OR_NOTHING in message.parameters and _flag(message)
    return Request(read_id(message.id), inputs, names, all_or_nothing=all_or_nothing)


def _parameter(value: object) -> Any:
    if isinstance(value, bool):
        return pb.InferParameter(bool_param=value)
    if isinstance(value, int):
        return pb.InferParameter(int64_param=value)
    return pb.InferParameter(string_param=value)


def _flag(message: Any) -> bool:
    parameter = message.parameters[ALL_OR_NOTHING]
    if parameter.WhichOneof("parameter_choice") != "bool_param":
        raise InvalidRequest(f"'{ALL_OR_NOTHING}' must be true or false", quoted(str(parameter)))
    return bool(parameter.bool_param)


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


def guarded(message: Any, method: Handler) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """A handler on bytes that turns every failure into a status with a sentence.

    Args:
        message: class of the request.
        method: takes the request and the context, returns the answer as a message or as bytes.
    """

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
            answer = await method(request, context)
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
