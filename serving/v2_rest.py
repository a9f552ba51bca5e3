"""The V2 protocol over HTTP: one ASGI application in front of KServe's.

KServe's own routes build pydantic models, answer many malformed bodies with 500 and know no
versions; FastAPI's routing alone costs more than a forecast. So every path under /v2 is answered
here, with orjson on plain dicts, and the rest (/, /metrics) goes to KServe's application.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from forecasting.errors import BellwetherError, InvalidRequest
from forecasting.inference_protocol.messages import (
    HEADER_LENGTH,
    MAX_BODY_BYTES,
    Request,
    error_body,
    parse_request,
    render_message,
    rendered,
)
from forecasting.inference_protocol.tensors import quoted
from serving.predictor import Predictor

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

logger = logging.getLogger("bellwether.serving")

BODY_SECONDS: Final = 30.0
"""How long a caller may take to send a body."""

LIGHT_SYMBOLS: Final = 64
"""Requests for more symbols, or with the caller's bars, run in a thread: they take over 1 ms."""

EXTENSIONS: Final = ("binary_tensor_data",)

_JSON: Final = (b"content-type", b"application/json")
_BINARY: Final = (b"content-type", b"application/octet-stream")
_HEADER_LENGTH: Final = HEADER_LENGTH.encode()
_CLOSE: Final = (b"connection", b"close")


class HttpError(Exception):
    """A request refused for its HTTP, not for its content."""

    def __init__(self, status: int, sentence: str, *headers: Header) -> None:
        self.status, self.sentence, self.headers = status, sentence, headers
        super().__init__(sentence)


class Reply(NamedTuple):
    """A complete HTTP answer."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = (_JSON,)


class V2Application:
    """ASGI application for /v2.

    Args:
        predictor: answers.
        server_version: of the server's metadata.
        otherwise: application for every other path.
    """

    def __init__(self, predictor: Predictor, server_version: str, otherwise: Asgi) -> None:
        self._predictor = predictor
        self._server_version = server_version
        self._otherwise = otherwise
        self._infer_path = f"/v2/models/{predictor.name}/infer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._otherwise(scope, receive, send)
            return
        path: str = scope["path"]
        try:
            if path == self._infer_path and scope["method"] == "POST":
                reply = await self._infer(scope, receive, None)
            elif path == "/v2" or path.startswith("/v2/"):
                reply = await self._route(path, scope, receive)
            else:
                await self._otherwise(scope, receive, send)
                return
        except HttpError as error:
            reply = Reply(error.status, error_body(error.sentence), (_JSON, *error.headers))
        except BellwetherError as error:
            reply = Reply(error.status, error_body(str(error), type(error).__name__))
        except ConnectionError:
            return  # the caller is gone
        except Exception:
            logger.exception("%s %s failed", scope["method"], path)
            reply = Reply(500, error_body("the server has a defect: its log says more"))
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        if self._predictor.draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _route(self, path: str, scope: Scope, receive: Receive) -> Reply:
        match path.split("/")[2:]:
            case ["models", name, *rest]:
                self._check_name(name)
                number = None
                if len(rest) > 1 and rest[0] == "versions":
                    number, rest = rest[1], rest[2:]
                if rest == ["infer"]:
                    self._only(scope, "POST")
                    return await self._infer(scope, receive, number)
                if not rest or rest == ["ready"]:
                    self._only(scope, "GET")
                    return _json(self._about_model(number, ready=bool(rest)))
            case [] | ["health", "live" | "ready"] | ["models"] as parts:
                self._only(scope, "GET")
                return _json(self._about_server(parts[-1] if parts else ""))
        raise HttpError(404, f"there is no path {quoted(path, 80)}")

    def _about_server(self, what: str) -> dict[str, Any]:
        match what:
            case "live":
                return {"live": True}
            case "ready":
                self._predictor.check_ready()
                return {"ready": True}
            case "models":
                return {"models": [self._predictor.name]}
        version = self._server_version
        return {"name": "bellwether", "version": version, "extensions": list(EXTENSIONS)}

    def _about_model(self, number: str | None, *, ready: bool) -> dict[str, Any]:
        if not ready:
            # `symbols` is an addition to the protocol, which readers of its fields ignore.
            return {**self._predictor.describe(number), "symbols": self._predictor.symbols(number)}
        version = self._predictor.check_ready(number)
        return {"name": self._predictor.name, "version": version.number, "ready": True}

    def _check_name(self, name: str) -> None:
        known = self._predictor.name
        if name != known:
            raise HttpError(404, f"there is no model {quoted(name)}; the server has {known!r}")

    @staticmethod
    def _only(scope: Scope, method: str) -> None:
        if scope["method"] != method:
            raise HttpError(
                405,
                f"{quoted(scope['path'], 80)} takes {method}, not {quoted(scope['method'])}",
                (b"allow", method.encode()),
            )

    async def _infer(self, scope: Scope, receive: Receive, number: str | None) -> Reply:
        started = time.perf_counter()
        request = None
        try:
            json_length, declared = _read_headers(scope["headers"])
            body = await _read_body(receive, declared)
            started = time.perf_counter()
            request = parse_request(body, json_length)
            symbols = request.inputs.get("symbols")
            if "bars" not in request.inputs and (
                symbols is None or symbols.shape[0] <= LIGHT_SYMBOLS
            ):
                return self._finish(request, number, started)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, self._finish, request, number, started)
        except ConnectionError:
            raise
        except Exception as error:
            self._predictor.refuse(error, "rest", started, request)
            raise

    def _finish(self, request: Request, number: str | None, started: float) -> Reply:
        version, answer = self._predictor.respond(request, number, "rest", started)
        fields: dict[str, Any] = {
            "model_name": self._predictor.name,
            "model_version": version.number,
            "parameters": version.parameters,
        }
        if request.id:
            fields["id"] = request.id
        cache = answer.renderings
        if cache is not None and not request.binary:
            outputs = cache.get(request.outputs)
            if outputs is None:
                outputs = cache[request.outputs] = rendered(answer.tensors(request.outputs))
            return Reply(200, orjson.dumps({**fields, "outputs": outputs}))
        tensors = answer.tensors(request.outputs)
        body, json_length = render_message(fields, "outputs", tensors, request.binary)
        if json_length is None:
            return Reply(200, body)
        return Reply(200, body, (_BINARY, (_HEADER_LENGTH, b"%d" % json_length)))


def _json(document: dict[str, Any]) -> Reply:
    return Reply(200, orjson.dumps(document))


def _read_headers(headers: list[Header]) -> tuple[int | None, int | None]:
    """The length of the JSON part and of the whole body, where they are answer."""
    json_length = declared = None
    for name, value in headers:
        if name == b"content-length":
            declared = int(value)  # the HTTP parser has checked it
            if declared > MAX_BODY_BYTES:
                raise _too_large()
        elif name == _HEADER_LENGTH:
            if not value.isdigit() or len(value) > 9:
                raise InvalidRequest(
                    f"the header {HEADER_LENGTH} must be a number", quoted(value.decode("latin-1"))
                )
            json_length = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise HttpError(
                415,
                f"a body must come uncompressed: content-encoding {quoted(value.decode('latin-1'))}",
            )
    return json_length, declared


async def _read_body(receive: Receive, declared: int | None) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        return body
    parts = bytearray(body)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                parts += message.get("body", b"")
                if len(parts) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        what = f"{len(parts)} of {declared} bytes came" if declared else f"{len(parts)} bytes came"
        raise HttpError(
            408, f"a body must come within {BODY_SECONDS:g} s: {what}", _CLOSE
        ) from None
    return bytes(parts)


def _too_large() -> HttpError:
    # The rest of the body would be read as the next request.
    return HttpError(413, f"a body must not be longer than {MAX_BODY_BYTES} bytes", _CLOSE)
