"""The server around the page: health, reports, and the path prefix it may be reached under."""

import logging
from collections.abc import Callable
from html import escape
from typing import Any, Final

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from forecasting.errors import BellwetherError
from gradio_app import theme
from gradio_app.access import Access
from gradio_app.data import PageData
from gradio_app.gate import App, Gate, Receive, Scope
from gradio_app.notices import Notice, notice_of
from gradio_app.views.elements import notice as notice_html

_LOG = logging.getLogger(__name__)

REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; img-src data: blob:; font-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
)
"""Reports are files from the registry and the lake: they may draw, and reach nothing else."""

DRIFT_REPORTS: Final = {
    "features": "report.html",
    "changes": "changes.html",
    "predictions": "predictions.html",
    "prediction-changes": "prediction-changes.html",
    "realised": "realised.html",
}


def build_server(data: PageData, blocks: gr.Blocks, access: Access) -> App:
    """The page with its routes, at / and at the settings' prefix.

    /live says that the page runs, whatever the servers behind it do.
    """
    app = FastAPI(title="Bellwether", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/live")
    def live() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/reports/walk-forward/{version}")
    def walk_forward(version: str) -> Response:
        return _report(
            lambda: data.walk_forward_report(version),
            Notice("This version has no walk-forward report", f"Version {version}."),
        )

    @app.get("/reports/drift/{name}")
    def drift(name: str) -> Response:
        file = DRIFT_REPORTS.get(name)
        return _report(
            lambda: data.drift_report(file) if file else None,
            Notice("There is no such drift report", "", "Run bellwether drift, then look again"),
        )

    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=data.prefix or None,
        show_error=False,
        favicon_path=str(theme.ICON),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=theme.theme(),
        js=theme.ON_LOAD,
        head=theme.head(data.prefix),
    )
    return without_prefix(Gate(app, access), data.prefix)


def without_prefix(app: App, prefix: str) -> App:
    """An app that also answers under a prefix, for proxies that do not cut it off."""
    if not prefix:
        return app

    async def cut(scope: Scope, receive: Receive, send: Any) -> None:
        path = scope.get("path", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            rest = path[len(prefix) :] or "/"
            scope = {**scope, "path": rest, "raw_path": rest.encode()}
        await app(scope, receive, send)

    return cut


def _report(read: Callable[[], bytes | None], missing: Notice) -> Response:
    try:
        report = read()
    except BellwetherError as error:
        return _notice_page(notice_of(error), error.status)
    except Exception:  # noqa: BLE001 - a reader sees no stack trace, the log does
        _LOG.exception("a report could not be read")
        return _notice_page(notice_of(RuntimeError()), 500)
    if report is None:
        return _notice_page(missing, 404)
    return HTMLResponse(
        report,
        headers={"Content-Security-Policy": REPORT_POLICY, "X-Content-Type-Options": "nosniff"},
    )


def _notice_page(notice: Notice, status: int) -> HTMLResponse:
    style = theme.STYLE.read_text()
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(notice.title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{style} body{{font-family:"
        f"var(--bw-sans);padding:24px}}</style><main>{notice_html(notice)}</main></html>",
        status_code=status,
    )
