"""The server around the page: its prefix and its reports."""

import asyncio

import pytest

from gradio_app.routes import without_prefix


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
