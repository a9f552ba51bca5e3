"""The real platform for the browser: trained by the pipeline, served by the model server."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from forecasting.adapters.drift_job import run_drift
from forecasting.adapters.inference import InferenceClient
from forecasting.adapters.lake import Lake
from forecasting.adapters.predictions import PredictionLog
from forecasting.settings import Settings
from gradio_app.screenshots import FLAGS
from pipelines.local import RefreshParams, TrainingParams, run_refresh, run_training
from tests.clock import machine_now
from tests.integration.conftest import free_port, mlflow_server
from tests.programs import program

__all__ = ["mlflow_server"]

SYMBOLS = ("ALFA", "BRAVO")
DATASET = "synthetic-1d"
REPLAYED = 12


def environment(settings):
    """The settings as variables, for a process of its own."""
    told = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {**os.environ, **{f"BELLWETHER_{name.upper()}": str(v) for name, v in told.items()}}


@dataclass
class Server:
    """A server process of ours."""

    process: subprocess.Popen
    url: str
    log: Path

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def served(settings, module, url, path):
    """Run `python -m module` until the end of the block."""
    log = settings.state_dir / f"{module}-{url.rsplit(':', 1)[1].partition('/')[0]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(settings),
            start_new_session=True,
        )
    server = Server(process, url, log)
    try:
        deadline = time.monotonic() + 90
        while not _answers(url + path):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield server
    finally:
        server.stop()


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def page(settings, **changes):
    """The page as a process of its own, on a free port."""
    changed = settings.model_copy(update={"page_port": free_port(), **changes})
    changed = Settings(**{name: getattr(changed, name) for name in
                          {*settings.model_fields_set, "page_port", *changes}})  # fmt: skip
    with served(changed, "gradio_app", f"http://127.0.0.1:{changed.page_port}", "/live") as server:
        yield server


@pytest.fixture(scope="module")
def settings(mlflow_server, tmp_path_factory):
    """A state folder, and addresses on free ports."""
    port = free_port()
    return Settings(
        state_dir=tmp_path_factory.mktemp("page") / "state",
        registry_url=mlflow_server.url,
        registered_model="shown",
        http_port=port,
        grpc_port=0,
        inference_url=f"http://127.0.0.1:{port}",
        reload_seconds=0.5,
    )


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
            folds=3,
            who="the pipeline",
        ),
    )
    run_refresh(settings, RefreshParams(**about))
    with served(settings, "serving.server", settings.inference_url, "/v2/health/ready"):
        lake = Lake(settings.lake)
        stamps = sorted(lake.read(lake.latest(DATASET))["timestamp"].unique())[-40:]
        with InferenceClient(settings.inference_url, settings.registered_model) as client:
            for stamp in stamps[:REPLAYED]:
                for version in ("1", "2"):
                    client.forecast(SYMBOLS, 20, version=version, as_of=stamp.to_pydatetime())
        log, deadline = PredictionLog(settings.prediction_log), time.monotonic() + 20
        while log.count() < REPLAYED * 2 * len(SYMBOLS):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        log.close()
        run_drift(settings)
        yield settings


@pytest.fixture(scope="module")
def page_url(platform):
    """Address of the page over the whole platform."""
    with page(platform) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser_program():
    """The Chromium of this machine, driven by Playwright.

    For one module only: while Playwright runs, no other test can run an event loop.
    """
    path = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser_program):
    """Opens a page in a fresh window; fails the test on a script error or an outside request."""
    contexts, wrong = [], []

    def open_page(url, *, size=(1440, 900), scheme="light", headers=None):
        width, height = size
        context = browser_program.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            extra_http_headers=headers or {},
            accept_downloads=True,
        )
        contexts.append(context)
        window = context.new_page()
        window.set_default_timeout(20_000)
        origin = re.match(r"https?://[^/]+", url).group()

        def watch(request):
            if not request.url.startswith((origin, "data:", "blob:")):
                wrong.append(f"asked {request.url}")

        window.on("request", watch)
        window.on("pageerror", lambda error: wrong.append(f"script error {error}"))
        window.goto(url)
        return window

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
