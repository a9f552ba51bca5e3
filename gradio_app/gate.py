"""What reaches the page's server: the paths that the page uses, short bodies, and people with a role.

Gradio also serves what this page has no use for: uploads that fill the disk, a proxy, files of the
machine, calls of every handler by its name. None of it is let through.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from gradio_app.access import Access, Role

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Any], Awaitable[None]]

LIVE: Final = "/live"
"""Asked by Kubernetes, which has no login."""

MAX_BODY: Final = 65_536
"""Bytes of the longest body: an event with its inputs takes less than one thousand."""

_API: Final = "/gradio_api"
_READ: Final = frozenset(
    {
        "/", LIVE, "/config", "/favicon.ico", "/manifest.json", "/robots.txt", "/theme.css",
        *(f"{_API}/{name}" for name in ("app_id", "info", "queue/data", "startup-events", "theme.css")),
    }
)  # fmt: skip
_READ_BELOW: Final = ("/assets/", "/reports/", "/static/", "/svelte/", f"{_API}/heartbeat/")
_SENT: Final = frozenset({f"{_API}/queue/join", f"{_API}/reset", f"{_API}/cancel"})


class Gate:
    """An ASGI application that lets through to another what belongs to the page.

    Args:
        app: the other.
        access: says who may look.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        """Answer one request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal is None and scope["method"] == "POST":
            body = await _read(receive, headers)
            if body is None:
                refusal = 413, f"a body must not be longer than {MAX_BODY} bytes"
            else:
                receive = _again(body, receive)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, sentence = refusal
        answer = PlainTextResponse(sentence, status, {"connection": "close"})
        await answer(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        if path in _SENT:
            allowed = method == "POST"
        elif path in _READ or path.startswith(_READ_BELOW):
            allowed = method in {"GET", "HEAD"}
        else:
            return 404, "there is no such path"
        if not allowed:
            return 405, "this path does not take this method"
        if path != LIVE and self._access.person(headers).role < Role.READER:
            return 403, "whoever looks at this page must have a role here: ask who runs it"
        return None


async def _read(receive: Receive, headers: Headers) -> bytes | None:
    """The whole body; None if it is too long."""
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        return None
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """What receives this body once, and then what else comes."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
