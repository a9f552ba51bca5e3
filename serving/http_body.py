"""Reads the body of a request over HTTP: its length, its encoding, and how much may wait in memory."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import HEADER_LENGTH, MAX_BODY_BYTES
from forecasting.inference_protocol.tensors import quoted
from serving.work_queue import Busy

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Header: TypeAlias = tuple[bytes, bytes]

MAX_UNFINISHED_BYTES: Final = 16 * MAX_BODY_BYTES
"""Parts of bodies that may wait for their rest, of all callers together."""

# The window bits of zlib: 15 is the zlib format, which HTTP calls deflate, 31 gzip's.
_ENCODINGS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_HEADER_LENGTH: Final = HEADER_LENGTH.encode()


class HttpError(Exception):
    """A request refused for its HTTP, not for its content."""

    def __init__(self, status: int, sentence: str, *headers: Header) -> None:
        self.status, self.sentence, self.headers = status, sentence, headers
        super().__init__(sentence)


def read_headers(headers: list[Header]) -> tuple[int | None, bytes]:
    """Read what the headers say of the body.

    Returns:
        Bytes of its JSON part when unpacked, None if all of it is JSON; and its encoding: gzip,
        deflate, or nothing.

    Raises:
        HttpError: it is too long, or encoded in a way that is not taken.
        InvalidRequest: the length of its JSON part is no number.
    """
    json_length = None
    encoding = b""
    for name, value in headers:
        if name == b"content-length":
            if int(value) > MAX_BODY_BYTES:  # the HTTP parser has checked that it is a number
                raise too_large()
        elif name == _HEADER_LENGTH:
            if not value.isdigit() or len(value) > 9:
                raise InvalidRequest(
                    f"the header {HEADER_LENGTH} must be a number", quoted(value.decode("latin-1"))
                )
            json_length = int(value)
        elif name == b"content-encoding":
            named = value.strip().lower()
            if named in {b"identity", b""}:
                continue
            if named not in _ENCODINGS or encoding:
                found = quoted((encoding + b", " + named if encoding else named).decode("latin-1"))
                raise HttpError(
                    415,
                    f"a body may come as it is, or by gzip or deflate: content-encoding {found}",
                    (b"accept-encoding", b"gzip, deflate"),
                )
            encoding = named
    return json_length, encoding


class BodyReader:
    """Reads bodies, and limits what all those that are not complete hold together."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, receive: Receive) -> bytes | bytearray:
        """The whole body as it came.

        Raises:
            HttpError: it is too long.
            Busy: too much of other bodies waits for its rest.
            ConnectionError: the caller is gone.
        """
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > MAX_BODY_BYTES:
                raise too_large()
            return body
        parts = bytearray()
        try:
            while True:
                part = message.get("body", b"")
                self._held += len(part)
                parts += part
                if len(parts) > MAX_BODY_BYTES:
                    raise too_large()
                if not message.get("more_body"):
                    return parts
                if self._held > MAX_UNFINISHED_BYTES:
                    raise Busy(
                        "bodies under way must not fill the memory",
                        f"{self._held} bytes wait for their rest",
                        "Ask again after a second",
                    )
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
        finally:
            self._held -= len(parts)


def unpack(body: bytes | bytearray, encoding: bytes) -> bytes:
    """The body without its encoding; at no time is more than a body's limit in memory.

    Raises:
        HttpError: it is too long when unpacked.
        InvalidRequest: it is not in that encoding, is cut off, or more follows.
    """
    name = encoding.decode()
    decoder = zlib.decompressobj(_ENCODINGS[encoding])
    try:
        plain = decoder.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise InvalidRequest(
            f"a body with content-encoding {name} must be {name} data",
            str(error),
            "Pack it, or leave out the header",
        ) from None
    if len(plain) > MAX_BODY_BYTES:
        raise too_large("unpacked")
    if not decoder.eof:
        raise InvalidRequest(
            f"a body with content-encoding {name} must be complete",
            f"its {len(body)} bytes end before their end mark",
        )
    if decoder.unused_data:
        raise InvalidRequest(
            f"a body with content-encoding {name} must be one stream and nothing else",
            f"{len(decoder.unused_data)} bytes follow its end",
        )
    return plain


def too_large(how: str = "") -> HttpError:
    """The refusal of a body that is too long; what is left of it is read and thrown away."""
    what = f"a body must not be longer than {MAX_BODY_BYTES} bytes"
    return HttpError(413, f"{what} when {how}" if how else what)
