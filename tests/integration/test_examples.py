"""The files in examples/ that ask a model server, on a real one: clients of V2, and the prediction log."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from examples import prediction_log, v2_client
from forecasting.adapters.ingest import ingest_prices
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.open import open_source
from forecasting.bundle.bundle import write_bundle
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings
from tests.ports import free_port
from tests.processes import running
from tests.served_models import publish_snapshot
from tests.servers import answers
from tests.time_limits import seconds, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PRICES = EXAMPLES / "acme.csv"
LAST_CLOSE = 190.35

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A state folder as a training leaves it: prices and features in the lake, and a bundle."""
    folder = tmp_path_factory.mktemp("examples")
    lake = Lake(str(folder / "lake"))
    source = open_source("files", Settings(), path=PRICES)
    options = {"symbols": (), "interval": "1d", "last_good_days": 7.0}
    snapshot = ingest_prices(source, lake, "acme-1d", **options).snapshot
    prices, spec = lake.read(snapshot), FeatureSpec(symbols=("ACME",))
    table = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1))
    trained = train_on_examples("random_walk", Examples.of(table, returns), TrainingConfig(folds=3))
    training = {"snapshot": snapshot.id, "source": "files", "dataset": "acme-1d"}
    write_bundle(folder / "bundle", trained, spec, training=training, signal=SignalRule())
    # Old prices are served as if they had just been fetched, like the bundled sample.
    publish_snapshot(lake, replace(snapshot, replay=True), table, spec)
    return folder


@pytest.fixture(scope="module")
def server(state):
    """Address of a real model server over that folder."""
    port = free_port()
    variables = {
        "STATE_DIR": state,
        "BUNDLE_URL": state / "bundle",
        "MODEL_VERSION": "1",
        "HTTP_PORT": port,
        "GRPC_PORT": 0,
    }
    environment = {f"BELLWETHER_{name}": str(value) for name, value in variables.items()}
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "serving.server"]
    with running(command, state / "log", environment, cwd=EXAMPLES.parent) as process:
        ready = f"{url}/v2/health/ready"
        wait_until(lambda: process.up() and answers(ready), 60, process.said)
        yield url


def ask(*words, **options):
    """What the Python client reads, given the time that this machine needs."""
    return v2_client.ask(*words, timeout=seconds(10), **options)


def test_the_python_client_reads_a_forecast(server):
    forecast = ask(server, "ACME", 5)
    assert (forecast.symbol, forecast.model_version) == ("ACME", "1")
    assert forecast.last_close == LAST_CLOSE
    assert [close.date() for close in forecast.closes][:2] == [date(2026, 1, 2), date(2026, 1, 5)]
    quantiles = np.array(forecast.quantiles)
    assert quantiles.shape == (5, 5)
    np.testing.assert_allclose(quantiles[:, 2], LAST_CLOSE, rtol=1e-6)
    np.testing.assert_allclose(quantiles[0, [0, -1]], [187.1, 193.6], atol=0.3)
    assert forecast.probability_of_rise == pytest.approx([0.5] * 5, abs=0.01)


def test_the_python_client_sends_own_bars_and_gets_the_forecast_of_the_same_bars(server):
    sent = ask(server, "OWN", 5, bars=PRICES)
    held = ask(server, "ACME", 5)
    assert sent.last_close == held.last_close
    assert sent.closes[0].date() == date(2026, 1, 1)  # the holidays of own bars are not known
    np.testing.assert_allclose(sent.quantiles, held.quantiles, rtol=1e-6)


def test_the_python_client_prints_a_table_or_the_servers_reason(server):
    def client(*words):
        options = ["--url", server, "--timeout", str(seconds(10))]
        command = [sys.executable, EXAMPLES / "v2_client.py", *words, *options]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=seconds(30)
        )

    done = client("ACME", "--days", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ACME at 190.35, version 1, hold")
    assert len(done.stdout.splitlines()) == 4
    refused = client("ACNE")
    assert refused.returncode == 1
    assert refused.stderr.startswith("404: ")
    assert "ACNE" in refused.stderr


def test_the_curl_client_gets_the_same_numbers(server):
    def client(*words):
        return subprocess.run(
            ["sh", EXAMPLES / "v2_client.sh", *words],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "URL": server, "TIMEOUT": str(seconds(10))},
            timeout=seconds(30),
        )

    done = client("ACME", "2")
    assert done.returncode == 0, done.stderr
    expected = ask(server, "ACME", 2).quantiles
    for row in expected:
        for price in row:
            assert str(price) in done.stdout
    refused = client("ACNE")
    assert refused.returncode == 22
    assert "ACNE" in refused.stdout


def test_the_log_gives_what_was_answered_and_how_often_intervals_were_right(server, state):
    settings = Settings(state_dir=state)
    closes = Lake(settings.lake).read(Lake(settings.lake).latest("acme-1d"))["timestamp"]
    origins = closes.iloc[-85:-30:5]
    for origin in origins:
        ask(server, "ACME", 30, as_of=origin.isoformat())

    def logged():
        found = prediction_log.read_log(settings)
        return [forecast for forecast in found if forecast.as_of < closes.iloc[-1]]

    wait_until(lambda: len(logged()) == len(origins), 30)
    forecasts = logged()
    assert {forecast.model_version for forecast in forecasts} == {"1"}
    assert forecasts[0].as_of == origins.iloc[-1]
    assert forecasts[0].target_times[0] - forecasts[0].as_of < timedelta(days=5)
    found = prediction_log.coverage(forecasts, settings, "acme-1d")
    assert found.scored == len(origins) * 30
    assert found.inside == pytest.approx(305, abs=6)  # 92 %, where 90 % are promised


def test_the_log_is_printed(server, state, capsys, monkeypatch):
    ask(server, "ACME", 3)
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(state))
    wait_until(lambda: prediction_log.read_log(Settings()), 30)
    monkeypatch.setattr(sys, "argv", ["prediction_log.py", "--dataset", "acme-1d"])
    prediction_log.main()
    printed = capsys.readouterr().out
    assert "ACME" in printed
    assert re.search(r"^\d+ forecasts; by version: \{'1': \d+\}$", printed, re.MULTILINE)
    assert re.search(r"^\d+ horizons have elapsed, \d+ inside", printed, re.MULTILINE)
