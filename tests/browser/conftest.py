"""The real platform for the browser: trained by the pipeline, served by the model server."""

import contextlib
import re
import sys
from datetime import timedelta

import pytest
import sqlalchemy
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect, sync_playwright

from forecasting.adapters.drift.job import run_drift
from forecasting.adapters.inference import InferenceClient
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.settings import Settings
from gradio_app.screenshots import FLAGS
from pipelines.local import RefreshParams, TrainingParams, run_refresh, run_training
from tests import failure_artifacts
from tests.clock import machine_now
from tests.ports import free_port
from tests.processes import running
from tests.programs import program
from tests.servers import answers
from tests.time_limits import milliseconds, seconds, wait_until

SYMBOLS = ("ALFA", "BRAVO")
DATASET = "synthetic-1d"
REPLAYED = 12


def environment(settings):
    """The settings as variables, for a process of its own."""
    told = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"BELLWETHER_{name.upper()}": str(value) for name, value in told.items()}


@contextlib.contextmanager
def served(settings, module, url, path):
    """Run `python -m module` until the end of the block."""
    log = settings.state_dir / f"{module}-{url.rsplit(':', 1)[1].partition('/')[0]}.log"
    with running([sys.executable, "-m", module], log, environment(settings)) as server:
        wait_until(lambda: server.up() and answers(url + path), 90, server.said)
        yield url


@contextlib.contextmanager
def page(settings, **changes):
    """The page as a process of its own, on a free port."""
    changed = settings.model_copy(update={"page_port": free_port(), **changes})
    changed = Settings(**{name: getattr(changed, name) for name in
                          {*settings.model_fields_set, "page_port", *changes}})  # fmt: skip
    with served(changed, "gradio_app", f"http://127.0.0.1:{changed.page_port}", "/live") as url:
        yield url


def settings_of(state_dir, mlflow_url, model):
    """Settings of a platform of its own, with addresses on free ports."""
    port = free_port()
    return Settings(
        state_dir=state_dir,
        registry_url=mlflow_url,
        registered_model=model,
        http_port=port,
        grpc_port=0,
        inference_url=f"http://127.0.0.1:{port}",
        inference_timeout_seconds=seconds(10),
        reload_seconds=0.5,
    )


@pytest.fixture(scope="module")
def settings(mlflow_url, tmp_path_factory):
    return settings_of(tmp_path_factory.mktemp("page") / "state", mlflow_url, "shown")


def as_if_made_in_time(settings):
    """Date every logged forecast just after the bar it was made from: a late one counts in no figure."""
    engine = sqlalchemy.create_engine(settings.prediction_log)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE predictions SET made_at = as_of + 1000"))
    engine.dispose()


@pytest.fixture(scope="module")
def platform(settings):
    """Trained up to ninety days ago, served, asked about the past, and watched for drift once."""
    about = {"source": "synthetic", "symbols": SYMBOLS, "dataset": DATASET}
    until = (machine_now() - timedelta(days=90)).date().isoformat()
    run_training(
        settings,
        TrainingParams(
            **about,
            train_until=until,
            candidates=("ridge", "random_walk"),
            width="ewma",
            folds=3,
            who="the pipeline",
        ),
    )
    run_refresh(settings, RefreshParams(**about))
    with served(settings, "serving.server", settings.inference_url, "/v2/health/ready"):
        lake = Lake(settings.lake)
        stamps = sorted(lake.read(lake.latest(DATASET))["timestamp"].unique())[-40:]
        with InferenceClient(
            settings.inference_url, settings.registered_model, timeout=seconds(10)
        ) as client:
            for stamp in stamps[:REPLAYED]:
                for version in ("1", "2"):
                    client.forecast(SYMBOLS, 20, version=version, as_of=stamp.to_pydatetime())
        log = PredictionLog(settings.prediction_log)
        asked = REPLAYED * 2 * len(SYMBOLS)
        wait_until(lambda: len(log.recent(asked)) == asked, 20)
        log.close()
        as_if_made_in_time(settings)
        run_drift(settings)
        yield settings


@pytest.fixture(scope="module")
def page_url(platform):
    """Address of the page over the whole platform."""
    with page(platform) as url:
        yield url


@pytest.fixture(scope="module")
def browser_program():
    """The Chromium of this machine, driven by Playwright.

    For one module only: while Playwright runs, no other test can run an event loop.
    """
    path = program("chromium")
    expect.set_options(timeout=milliseconds(5_000))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*FLAGS], timeout=milliseconds(30_000)
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser_program, request):
    """Opens a page in a fresh window; fails the test on a script error or an outside request.

    What was seen is traced, and kept with the last pictures where the test fails.
    """
    contexts, wrong = [], []

    def open_page(url, *, size=(1440, 900), scheme="light", headers=None):
        width, height = size
        context = browser_program.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            extra_http_headers=headers or {},
            accept_downloads=True,
        )
        context.set_default_timeout(milliseconds(20_000))
        context.tracing.start(snapshots=True)
        contexts.append(context)
        window = context.new_page()
        origin = re.match(r"https?://[^/]+", url).group()

        def watch(request):
            if not request.url.startswith((origin, "data:", "blob:")):
                wrong.append(f"asked {request.url}")

        window.on("request", watch)
        window.on("pageerror", lambda error: wrong.append(f"script error {error}"))
        window.goto(url)
        return window

    yield open_page
    failed = wrong or failure_artifacts.failed(request.node)
    kept = failure_artifacts.folder_of(request.node.nodeid) if failed else None
    for number, context in enumerate(contexts):
        if kept:
            for place, window in enumerate(context.pages):
                with contextlib.suppress(PlaywrightError):  # a window that is gone has no picture
                    window.screenshot(path=kept / f"window-{number}-{place}.png")
            context.tracing.stop(path=kept / f"trace-{number}.zip")
        context.close()
    assert not wrong
