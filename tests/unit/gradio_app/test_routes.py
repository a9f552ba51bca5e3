"""The server around the page: its prefix, its health and its reports."""

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from forecasting.errors import RegistryUnavailable, UnknownVersion
from forecasting.settings import Settings
from gradio_app.access import Access
from gradio_app.routes import REPORT_POLICY, build_server, without_prefix


@pytest.mark.parametrize(
    ("asked", "seen"),
    [("/demo/live", "/live"), ("/demo", "/"), ("/live", "/live"), ("/demonstration", "/demonstration")],
)  # fmt: skip
def test_a_prefix_that_a_proxy_left_on_is_cut_off(asked, seen):
    paths = []

    async def app(scope, _receive, _send):
        paths.append(scope["path"])

    asyncio.run(without_prefix(app, "/demo")({"type": "http", "path": asked}, None, None))
    assert paths == [seen]


REPORTS = {
    "1": b"<p>walk-forward</p>",
    "2": None,
    "3": UnknownVersion("a version must be registered", "no <3>"),
    "4": RegistryUnavailable("gone"),
    "5": ZeroDivisionError("x / 0"),
    "report.html": b"<p>drift</p>",
}


def report(name):
    if isinstance(REPORTS[name], Exception):
        raise REPORTS[name]
    return REPORTS[name]


@pytest.fixture(scope="module")
def server():
    data = SimpleNamespace(prefix="/demo", walk_forward_report=report, drift_report=report)

    async def build():  # in an event loop: gradio opens one of its own elsewhere
        with gr.Blocks() as blocks:
            gr.HTML("the page")
        return build_server(data, blocks, Access.of(Settings()))

    return TestClient(asyncio.run(build()), raise_server_exceptions=False)


def test_the_page_is_alive_under_both_paths(server):
    assert server.get("/live").text == "ok"
    assert server.get("/demo/live").text == "ok"


@pytest.mark.parametrize("path", ["walk-forward/1", "drift/features"])
def test_a_report_is_served_under_a_policy_that_lets_it_reach_nothing(server, path):
    answer = server.get(f"/reports/{path}")
    assert answer.status_code == 200
    assert answer.content in REPORTS.values()
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert "default-src 'none'" in REPORT_POLICY


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("walk-forward/2", 404, "This version has no walk-forward report"),
        ("walk-forward/3", 404, "no &lt;3&gt;"),
        ("walk-forward/4", 503, "The model registry does not answer"),
        ("walk-forward/5", 500, "Something went wrong on this page"),
        ("drift/other", 404, "There is no such drift report"),
    ],
)
def test_a_report_that_cannot_be_shown_is_a_page_with_the_right_status(server, path, status, words):
    answer = server.get(f"/reports/{path}")
    assert answer.status_code == status
    assert words in answer.text
    assert "x / 0" not in answer.text
