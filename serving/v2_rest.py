"""The V2 protocol over HTTP: one ASGI application in front of KServe's.

KServe's own routes build pydantic models, answer many malformed bodies with 500 and know no
versions; FastAPI's routing alone costs more than a forecast. So every path under /v2 is answered
here, with orjson on plain dicts, and the rest (/, /metrics) goes to KServe's application.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import orjson

from forecasting.errors import BellwetherError
from forecasting.inference_protocol.messages import (
    HEADER_LENGTH,
    REFUSED,
    Request,
    error_body,
    parse_request,
    render_message,
    rendered,
)
from forecasting.inference_protocol.tensors import quoted
from serving.http_body import (
    BodyReader,
    Header,
    HttpError,
    Message,
    Receive,
    read_headers,
    unpack,
)
from serving.inference import refusals
from serving.mirroring import Mirroring, of_headers
from serving.predictor import Predictor
from serving.state import Version
from serving.work_queue import Busy

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("bellwether.serving")

LIGHT_SYMBOLS: Final = 64
"""Requests for more symbols, or with the caller's bars, run in a thread: they take over 1 ms."""

LIGHT_BODY: Final = 16_384
"""Longer bodies are parsed in a thread, too."""

EXTENSIONS: Final = ("binary_tensor_data",)

_JSON: Final = (b"content-type", b"application/json")
_BINARY: Final = (b"content-type", b"application/octet-stream")
_HEADER_LENGTH: Final = HEADER_LENGTH.encode()
_UNREAD: Final = {413: "body_too_long", 415: "encoding"}
"""Refusals of a body that was not read, and the reasons by which they are counted."""

_CLOSE: Final = (b"connection", b"close")


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
        self._infer_path = f"/v2/models/{quote(predictor.name, safe='')}/infer".encode()
        self._bodies = BodyReader()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._otherwise(scope, receive, send)
            return
        path: bytes = scope["raw_path"]  # a %2F in it separates nothing
        try:
            if path == self._infer_path and scope["method"] == "POST":
                reply = await self._infer(scope, receive, None)
            elif path == b"/v2" or path.startswith(b"/v2/"):
                reply = await self._route(path.decode("latin-1"), scope, receive)
            else:
                await self._otherwise(scope, receive, send)
                return
        except HttpError as error:
            reply = self._refused(error)
        except BellwetherError as error:
            reply = Reply(error.status, error_body(str(error), type(error).__name__))
            if isinstance(error, Busy):
                reply = reply._replace(headers=(_JSON, (b"retry-after", b"%d" % error.retry_after)))
        except ConnectionError:
            return  # the caller is gone
        except Exception:
            logger.exception("%s %r failed", scope["method"], path[:200])
            reply = Reply(500, error_body("the server has a defect: its log says more"))
        head = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        if self._predictor.draining:
            head.append(_CLOSE)
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.body})

    def _refused(self, error: HttpError) -> Reply:
        if error.status in _UNREAD:
            self._predictor.turn_away(_UNREAD[error.status])
        return Reply(error.status, error_body(error.sentence), (_JSON, *error.headers))

    async def _route(self, path: str, scope: Scope, receive: Receive) -> Reply:
        match [unquote(part) for part in path.split("/")[2:]]:
            case ["models", name, *rest]:
                self._check_name(name)
                number = None
                if len(rest) > 1 and rest[0] == "versions" and rest[1]:
                    number, rest = rest[1], rest[2:]
                if rest == ["infer"]:
                    self._only(scope, "POST")
                    return await self._infer(scope, receive, number)
                if not rest or rest == ["ready"]:
                    self._only(scope, "GET")
                    version = await self._predictor.version(number)
                    return _json(self._about_model(version, ready=bool(rest)))
            case [] | ["health", "live" | "ready"] | ["models"] as parts:
                self._only(scope, "GET")
                return _json(self._about_server(parts[-1] if parts else ""))
        raise HttpError(404, f"there is no path {quoted(path, 80)}")

    def _about_server(self, what: str) -> dict[str, Any]:
        match what:
            case "live":
                self._predictor.check_live()
                return {"live": True}
            case "ready":
                self._predictor.check_loaded()
                return {"ready": True}
            case "models":
                return {"models": [self._predictor.name]}
        version = self._server_version
        return {"name": "bellwether", "version": version, "extensions": list(EXTENSIONS)}

    def _about_model(self, version: Version | None, *, ready: bool) -> dict[str, Any]:
        if not ready:
            # Both are additions to the protocol, which readers of its fields ignore.
            added: dict[str, Any] = {"symbols": self._predictor.symbols(version)}
            if (longest := self._predictor.max_horizon(version)) is not None:
                added["max_horizon"] = longest
            return {**self._predictor.describe(version), **added}
        version = self._predictor.check_ready(version)
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
        mirroring = of_headers(scope["headers"])
        try:
            json_length, encoding = read_headers(scope["headers"])
            body = await self._bodies.read(receive)
            started = time.perf_counter()
            version = await self._predictor.version(number)
            if encoding or len(body) > LIGHT_BODY:
                return await self._predictor.work.run(
                    self._parse_and_finish,
                    *(body, encoding, json_length, version, started, mirroring),
                )
            request = parse_request(body, json_length)
            symbols = request.inputs.get("symbols")
            if "bars" not in request.inputs and (
                symbols is None or symbols.shape[0] <= LIGHT_SYMBOLS
            ):
                return self._finish(request, version, started, mirroring)
            return await self._predictor.work.run(
                self._finish, request, version, started, mirroring
            )
        except ConnectionError:
            raise
        except Exception as error:
            self._predictor.refuse(error, "rest", started, request, mirroring)
            raise

    def _parse_and_finish(
        self,
        body: bytes | bytearray,
        encoding: bytes,
        json_length: int | None,
        version: Version | None,
        started: float,
        mirroring: Mirroring,
    ) -> Reply:
        if encoding:
            body = unpack(body, encoding)
        return self._finish(parse_request(body, json_length), version, started, mirroring)

    def _finish(
        self, request: Request, asked: Version | None, started: float, mirroring: Mirroring
    ) -> Reply:
        version, answer = self._predictor.respond(request, asked, "rest", started, mirroring)
        fields: dict[str, Any] = {
            "model_name": self._predictor.name,
            "model_version": version.number,
            "parameters": version.parameters
            if not answer.refused
            else {**version.parameters, REFUSED: refusals(answer.refused)},
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
