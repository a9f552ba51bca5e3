"""What reaches the page's server, and what does not."""

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from forecasting.settings import Settings
from gradio_app.access import Access
from gradio_app.gate import MAX_BODY, Gate

NAMED = {
    "page_login": True, "page_user_header": "x-user", "page_readers": "ruth",
    "page_trainers": "", "page_operators": "",
}  # fmt: skip
JOIN = "/gradio_api/queue/join"


def client(**changes):
    """A client of an application behind the gate that answers everything with what it got."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT"])
    async def echo(request: Request):
        return {"length": len(await request.body())}

    return TestClient(Gate(app, Access.of(Settings(**changes))), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("HEAD", "/"), ("GET", "/live"), ("GET", "/reports/drift/features"),
     ("GET", "/assets/a.js"), ("GET", "/gradio_api/queue/data"), ("POST", JOIN)],
)  # fmt: skip
def test_what_the_page_uses_is_let_through(method, path):
    assert client().request(method, path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/gradio_api/upload", 404), ("GET", "/gradio_api/file=/etc/passwd", 404),
     ("GET", "/gradio_api/proxy=http://x.hf.space/", 404), ("POST", "/gradio_api/run/x", 404),
     ("POST", "/gradio_api/call/x", 404), ("GET", "/gradio_api/dev/reload", 404),
     ("POST", "/login", 404), ("GET", "/monitoring", 404),
     ("POST", "/", 405), ("GET", JOIN, 405), ("DELETE", JOIN, 405), ("OPTIONS", "/", 405)],
)  # fmt: skip
def test_what_it_does_not_use_is_not(method, path, status):
    assert client().request(method, path).status_code == status


def chunks(size):
    for _ in range(size // 1_024):
        yield b"x" * 1_024


@pytest.mark.parametrize("kind", [bytes, chunks])
def test_a_body_has_a_limit_whether_its_length_is_told_or_not(kind):
    def send(size):
        return client().post(JOIN, content=b"x" * size if kind is bytes else kind(size))

    assert send(MAX_BODY).json() == {"length": MAX_BODY}
    assert send(MAX_BODY + 1_024).status_code == 413


def test_only_people_with_a_role_get_in_and_kubernetes_to_what_it_asks():
    page = client(**NAMED)
    assert page.get("/", headers={"x-user": "ruth"}).status_code == 200
    for headers in ({}, {"x-user": "bob"}):
        assert page.get("/", headers=headers).status_code == 403
        assert page.post(JOIN, headers=headers).status_code == 403
        assert page.get("/live", headers=headers).status_code == 200
