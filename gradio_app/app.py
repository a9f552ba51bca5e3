"""The page's components and the handlers of their events. `serve(settings)` runs it."""

import logging
import os
from typing import Any, Final, NamedTuple

import gradio as gr

from forecasting.adapters.registry.approvals import Approvals
from forecasting.adapters.registry.records import CHAMPION
from forecasting.errors import Unavailable
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings
from gradio_app.access import Access, Role, is_loopback
from gradio_app.approvals import ApprovalDesk
from gradio_app.comparison import MAX_VERSIONS
from gradio_app.data import PageData
from gradio_app.handlers import (
    DEFAULT_DAYS,
    WITH_COMMAND,
    WITH_KUBECTL,
    WITH_PIPELINES,
    Page,
)
from gradio_app.pipeline_retraining import PipelineRetraining
from gradio_app.retraining import SOURCES, Retraining, SubprocessRetraining
from gradio_app.routes import build_server
from gradio_app.views.elements import advice, loading
from gradio_app.views.forecast import answer_waiting, banner_waiting
from gradio_app.views.header import header_waiting

_LOG = logging.getLogger(__name__)

QUIET: Final[dict[str, Any]] = {"show_progress": "hidden", "api_visibility": "private"}


class Compared(NamedTuple):
    """Controls and outputs of the comparison, in the order `Comparison.compare` takes and gives."""

    controls: list[Any]
    outputs: list[Any]


class ForecastTab(NamedTuple):
    """Controls and outputs of the forecast tab, in the order `Page.forecast` takes and gives.

    At the end of both comes when the forecast that is shown was made, and of the outputs the answer.
    """

    controls: list[Any]
    button: gr.Button
    outputs: list[Any]
    plot: gr.Plot
    change: gr.HTML


def build_app(
    data: PageData,
    retraining: Retraining | None,
    access: Access,
    *,
    by_hand: str = WITH_KUBECTL,
    approvals: ApprovalDesk | None = None,
) -> gr.Blocks:
    """The page over its data.

    Args:
        data: what the page asks.
        retraining: what trains; None offers no way to start a training.
        access: who may do what.
        by_hand: what starts a training where the page does not.
        approvals: where operators approve versions; None where nobody has to.
    """
    page = Page(data, retraining, access, by_hand)
    with gr.Blocks(title="Bellwether", analytics_enabled=False, fill_width=True) as context:
        blocks: gr.Blocks = context
        header = _html(header_waiting(), elem_id="bw-header")
        with gr.Tabs(selected="forecast") as tabs:
            with gr.Tab("Forecast", id="forecast"):
                forecast = _forecast_tab()
            with gr.Tab("Models", id="models") as models_tab:
                if approvals is not None:
                    _approval_part(approvals, models_tab)
                models = _html(loading("Asking the registry ..."), elem_id="bw-models")
                compared = _comparison()
                trail = _html("", elem_id="bw-promotions")
            with gr.Tab("Monitoring", id="monitoring") as monitoring_tab:
                monitoring = _monitoring_tab()
            with gr.Tab("Live feed", id="feed") as feed_tab:
                feed = _html(loading("Reading the prediction log ..."), elem_id="bw-feed")
            with gr.Tab("Retrain", id="retrain"):
                training, offered = _retrain_tab(page)
        _html(advice())
        newest = gr.State("")
        ready = gr.State(value=True)
        asked_at = gr.State("")
        answer = gr.State(None)
        revived = gr.State(0)
        feed_timer = gr.Timer(3.0, active=False)
        status_timer = gr.Timer(5.0)

        symbol, days, version = forecast.controls
        shown = [*forecast.outputs, asked_at, answer]
        asked = gr.on(
            [forecast.button.click, symbol.input, days.release, version.input, revived.change],
            page.forecast,
            [*forecast.controls, asked_at],
            shown,
            show_progress="minimal",
            show_progress_on=forecast.plot,
            trigger_mode="always_last",
            api_visibility="private",
        )
        models_tab.select(page.models, None, [models, trail], **QUIET)
        chosen = compared.controls
        opening = models_tab.select(page.comparison.offer, [chosen[0], chosen[2]], chosen, **QUIET)
        for changed in (opening.then, chosen[0].input, chosen[1].release, chosen[2].input):
            changed(page.comparison.compare, chosen, compared.outputs, **QUIET)
        monitoring_tab.select(page.monitoring, None, monitoring, **QUIET)
        feed_tab.select(page.feed, newest, [feed, newest], **QUIET)
        tabs.select(page.selected, None, feed_timer, **QUIET)
        feed_timer.tick(page.feed, newest, [feed, newest], **QUIET)
        status_timer.tick(
            page.watch,
            [ready, revived, symbol, asked_at],
            [header, ready, revived, symbol, forecast.outputs[-1]],
            **QUIET,
        )
        opened = blocks.load(
            page.open, None, [*forecast.controls, tabs, header, feed_timer, ready], **QUIET
        )
        first = opened.then(page.forecast, [*forecast.controls, asked_at], shown, **QUIET)
        for answered in (asked, first):  # apart, so that no forecast waits for the log
            answered.then(page.explain, [answer, version], forecast.change, **QUIET)
        opened.then(page.training, None, training, **QUIET)
        blocks.load(page.offer, None, offered, **QUIET)
    blocks.queue(default_concurrency_limit=8)
    return blocks


def _html(value: str, **options: Any) -> gr.HTML:
    return gr.HTML(
        value, js_on_load=None, apply_default_css=False, elem_classes="bw-bare", **options
    )


def _forecast_tab() -> ForecastTab:
    with gr.Row(elem_classes="bw-controls"):
        symbol = gr.Dropdown(
            [], label="Symbol", allow_custom_value=True, filterable=True, scale=3, min_width=150,
            elem_id="bw-symbol",
        )  # fmt: skip
        days = gr.Slider(
            1, MAX_HORIZON, value=DEFAULT_DAYS, step=1, label="Days ahead", scale=4,
            min_width=220, buttons=[], elem_id="bw-days",
        )  # fmt: skip
        version = gr.Dropdown(
            [("Champion", CHAMPION)], value=CHAMPION, label="Model", scale=4, min_width=200,
            filterable=False, elem_id="bw-version",
        )  # fmt: skip
        button = gr.Button("Forecast", variant="primary", scale=1, min_width=110, elem_id="bw-ask")
    old = _html("", elem_id="bw-old", visible=False)
    banner = _html(banner_waiting(), elem_id="bw-banner")
    trouble = _html("", elem_id="bw-trouble", visible=False)
    with gr.Row(elem_classes="bw-answer", equal_height=False) as answer:
        with gr.Column(scale=7, min_width=340, elem_id="bw-chart-box"):
            key = _html(answer_waiting("key"))
            plot = gr.Plot(show_label=False, container=False, elem_id="bw-forecast-chart")
            change = _html("", elem_id="bw-change")
        with gr.Column(scale=3, min_width=300):
            panel = _html(loading("Asking the model server ..."), elem_id="bw-panel")
    table = _html(answer_waiting("table"), elem_id="bw-quantiles")
    outputs = [banner, trouble, answer, key, plot, panel, table, change, old]
    return ForecastTab([symbol, days, version], button, outputs, plot, change)


def _comparison() -> Compared:
    _html('<div class="bw-title"><h2>Forecasts of versions, side by side</h2></div>')
    with gr.Row(elem_classes="bw-controls"):
        symbol = gr.Dropdown(
            [], label="Symbol to compare", filterable=True, scale=2, min_width=150,
            elem_id="bw-compare-symbol",
        )  # fmt: skip
        days = gr.Slider(
            1, MAX_HORIZON, value=DEFAULT_DAYS, step=1, label="Days to compare", scale=3,
            min_width=200, buttons=[], elem_id="bw-compare-days",
        )  # fmt: skip
        versions = gr.Dropdown(
            [], label=f"Versions, up to {MAX_VERSIONS}", multiselect=True,
            max_choices=MAX_VERSIONS, scale=6, min_width=260, elem_id="bw-compare-versions",
        )  # fmt: skip
    trouble = _html("", elem_id="bw-compare-trouble")
    with gr.Column(min_width=320, elem_classes="bw-chart", elem_id="bw-compare-box"):
        title = _html("")
        plot = gr.Plot(show_label=False, container=False, elem_id="bw-compare-chart")
    table = _html("", elem_id="bw-compare-table")
    return Compared([symbol, days, versions], [title, trouble, plot, table])


def _approval_part(desk: ApprovalDesk, tab: gr.Tab) -> None:
    """What waits for approval, and the controls that an operator sees."""
    state = _html("", elem_id="bw-approval")
    with gr.Row(elem_classes="bw-controls", visible=False) as row:
        reason = gr.Textbox(
            label="Why it may have users' requests", scale=5, min_width=240, max_lines=1,
            elem_id="bw-approval-why",
        )  # fmt: skip
        button = gr.Button(
            "Approve", variant="primary", scale=1, min_width=150, elem_id="bw-approve"
        )
    seen = gr.State(None)
    outputs = [state, row, reason, seen]
    tab.select(desk.show, None, outputs, **QUIET)
    button.click(desk.approve, [reason, seen], outputs, **QUIET)
    reason.submit(desk.approve, [reason, seen], outputs, **QUIET)


def _monitoring_tab() -> list[Any]:
    tiles = _html(loading("Reading the drift history ..."), elem_id="bw-drift")
    parts: list[Any] = [tiles]
    with gr.Row(elem_classes="bw-charts", visible=False) as upper:
        for name in ("skill", "coverage", "error"):
            parts += _chart(name)
    with gr.Row(elem_classes="bw-charts", visible=False) as lower:
        parts += _chart("share")
    scores = _html("", elem_id="bw-realised")
    return [*parts, upper, lower, scores]


def _chart(name: str) -> list[Any]:
    with gr.Column(min_width=320, elem_classes="bw-chart"):
        title = _html("")
        plot = gr.Plot(show_label=False, container=False, elem_id=f"bw-{name}-chart")
    return [title, plot]


def _retrain_tab(page: Page) -> tuple[list[Any], list[Any]]:
    """What shows the training, and what is shown to those who may start one."""
    offered = page.retraining is not None
    everybody = page.access.unnamed >= Role.OPERATOR
    sources = page.retraining.sources if page.retraining is not None else SOURCES
    with gr.Row(elem_classes="bw-controls", visible=offered and everybody) as row:
        source = gr.Dropdown(
            list(sources), value=sources[0], label="Prices from", scale=2, min_width=150,
            filterable=False, elem_id="bw-source",
        )  # fmt: skip
        symbols = gr.Textbox(
            label="Symbols, comma separated (empty: the champion's, or the source's own)", scale=5, min_width=240,
            placeholder="AAPL, 2330.TW, BTC-USD", max_lines=1, elem_id="bw-symbols",
        )  # fmt: skip
        button = gr.Button(
            "Start a training", variant="primary", scale=1, min_width=150, elem_id="bw-train"
        )
    why_not = _html("", elem_id="bw-may-not")
    waiting = loading("Asking what trains ...") if offered else page.training_view()
    state = _html(waiting, elem_id="bw-training")
    timer = gr.Timer(1.5, active=False)
    outputs = [state, button, timer]
    inputs = [symbols, source]
    button.click(page.start_training, inputs, outputs, **QUIET)
    symbols.submit(page.start_training, inputs, outputs, **QUIET)
    timer.tick(page.training, None, outputs, **QUIET)
    return outputs, [row, source, symbols, why_not]


def serve(settings: Settings) -> None:
    """Serve the page until told to stop.

    Args:
        settings: where things are.

    Raises:
        Unavailable: the port cannot be listened on.
        InvalidSettings: the settings of the page's login contradict each other.
    """
    import uvicorn

    access = Access.of(settings)

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    data = PageData.of(settings)
    desk = None
    if settings.page_approvals:
        desk = ApprovalDesk(data, Approvals(settings.prediction_log), access)
    blocks = build_app(
        data, _retraining(settings, data), access, by_hand=_by_hand(settings), approvals=desk
    )
    config = uvicorn.Config(
        build_server(data, blocks, access),
        host=settings.page_host,
        port=settings.page_port,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit as stop:
        if stop.code:
            raise Unavailable(
                "the page must be able to listen on its port",
                f"{settings.page_host}:{settings.page_port} is taken or not allowed",
                "Set BELLWETHER_PAGE_PORT to a free one",
            ) from None
    finally:
        data.close()
        if desk is not None:
            desk.close()


def _retraining(settings: Settings, data: PageData) -> Retraining | None:
    """What trains: nothing, runs of Kubeflow Pipelines, or a process of this installation."""
    if not settings.page_trains:
        return None
    if not settings.page_login and not is_loopback(settings.page_host):
        _LOG.warning(
            "no training can be started from this page: it listens on %s, where no login says who "
            "asks. Set BELLWETHER_PAGE_LOGIN if one stands before it",
            settings.page_host,
        )
        return None
    if settings.pipelines_url:
        return PipelineRetraining.of(settings, data.outcome_of_run)
    return SubprocessRetraining.of(settings)


def _by_hand(settings: Settings) -> str:
    """What starts a training where the page does not."""
    if settings.pipelines_url:
        return WITH_PIPELINES
    return WITH_COMMAND if settings.page_trains else WITH_KUBECTL


def main() -> None:
    """Entry point of the page's image: `python -m gradio_app`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    serve(Settings())
