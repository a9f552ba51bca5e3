"""Every file in examples/ runs as its first lines say, and gives the numbers it should."""

import re
import runpy
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hatchling.builders.wheel import WheelBuilder
from typer.testing import CliRunner

from bellwether.cli import app
from examples import own_csv_forecast, prediction_log, v2_client
from forecasting.adapters.ingest import ingest_prices
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.open import open_source, source_names
from forecasting.bundle.bundle import write_bundle
from forecasting.errors import InvalidSettings, ShortHistory, UnknownSymbol
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.online import serve_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.prices.calendar import horizon_times
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings
from tests.clock import machine_now
from tests.ports import free_port
from tests.processes import running
from tests.servers import answers
from tests.time_limits import seconds, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PRICES = EXAMPLES / "acme.csv"
LAST_DAY, LAST_CLOSE = date(2025, 12, 31), 190.35


def run(name, capsys, monkeypatch, *words):
    """What an example prints when it is run as a program."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


# a forecast from a CSV file


def test_a_csv_file_becomes_a_forecast_without_a_server(capsys, monkeypatch):
    printed = run("own_csv_forecast.py", capsys, monkeypatch, "--days", "3")
    rows = re.findall(r"ACME (\d{4}-\d\d-\d\d) +(.*)", printed)
    assert [day for day, _ in rows] == ["2026-01-02", "2026-01-05", "2026-01-06"]
    numbers = np.array([row.split() for _, row in rows], dtype=float)
    quantiles, rise = numbers[:, :5], numbers[:, 5]
    assert (np.diff(quantiles, axis=1) > 0).all()
    np.testing.assert_allclose(quantiles[:, 2], LAST_CLOSE)
    np.testing.assert_allclose(quantiles[0], [187.17, 189.13, 190.35, 191.58, 193.58], atol=0.1)
    np.testing.assert_allclose(rise, 0.5, atol=0.01)
    assert "Model: random_walk" in printed
    assert "must beat the random walk" in printed


def test_a_csv_file_with_too_few_bars_is_refused_in_words(tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("".join(PRICES.read_text().splitlines(keepends=True)[:200]))
    with pytest.raises(ShortHistory, match="Give a longer history"):
        own_csv_forecast.forecast_csv(few)


# a source of one's own


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example's package, built as a wheel and put on the path."""
    wheel = next(WheelBuilder(str(EXAMPLES / "custom_source")).build(directory=str(tmp_path)))
    monkeypatch.syspath_prepend(wheel)
    yield
    sys.modules.pop("sqlite_source", None)


def test_a_package_of_its_own_adds_a_source_to_the_command(
    installed, tmp_path, capsys, monkeypatch
):
    database = tmp_path / "prices.sqlite"
    printed = run("custom_source/sqlite_source.py", capsys, monkeypatch, str(database))
    assert printed.startswith("2,000 bars written")
    monkeypatch.setenv("BELLWETHER_SQLITE_PRICES", str(database))
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path / "state"))
    assert "sqlite" in source_names()
    done = CliRunner().invoke(app, ["ingest", "--source", "sqlite", "--symbols", "ACME"])
    assert done.exit_code == 0, done.output
    lake = Lake(Settings().lake)
    prices = lake.read(lake.latest("sqlite-1d"))
    assert len(prices) == 2_000
    last = prices.iloc[-1]
    assert last["close"] == LAST_CLOSE
    assert last["timestamp"] == pd.Timestamp("2025-12-31 21:00", tz="UTC")  # New York's close


def test_the_source_answers_for_days_and_symbols_and_refuses_others(
    installed, tmp_path, capsys, monkeypatch
):
    database = tmp_path / "prices.sqlite"
    run("custom_source/sqlite_source.py", capsys, monkeypatch, str(database))
    source = open_source("sqlite", Settings(), path=str(database))
    fetched = source.fetch(["ACME"], date(2025, 12, 29), None, "1d")
    assert fetched.bars["close"].tolist() == [192.51, 191.45, 190.35]
    with pytest.raises(UnknownSymbol, match="ACNE not in"):
        source.fetch(["ACNE"], None, None, "1d")
    with pytest.raises(InvalidSettings, match="BELLWETHER_SQLITE_PRICES"):
        open_source("sqlite", Settings()).fetch([], None, None, "1d")


# a feature of one's own


def test_a_feature_is_checked_for_leaks_and_measured_out_of_sample(capsys, monkeypatch):
    printed = run("custom_feature.py", capsys, monkeypatch)
    assert "Leaks of turn_of_month: none" in printed
    leaks = [line for line in printed.splitlines() if line.startswith("- features of the past")]
    assert len(leaks) == 1
    assert "other values in turn_of_month" in leaks[0]
    skills = re.findall(r"^Skill of (.*) against the random walk: (.*)%$", printed, re.MULTILINE)
    skill = {name: float(percent) for name, percent in skills}
    assert skill["ridge"] == pytest.approx(0.0, abs=0.05)
    assert skill["ridge with turn_of_month"] == pytest.approx(0.287, abs=0.05)


# clients of a running server, and the log it writes


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A state folder as a training leaves it: prices and features in the lake, and a bundle."""
    folder = tmp_path_factory.mktemp("examples")
    now = machine_now()  # the server reads it itself
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
    served = serve_features(
        table,
        spec,
        snapshot_id=snapshot.id,
        dataset="acme-1d",
        source="files",
        replay=True,
        synthetic=False,
        fetched_at=now,
        created_at=now,
        horizon_times=lambda symbol, last: horizon_times(symbol, last, "1d"),
    )
    lake.publish_features("acme-1d", served)
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


def test_the_python_client_reads_a_forecast(server):
    forecast = v2_client.ask(server, "ACME", 5)
    assert (forecast.symbol, forecast.model_version) == ("ACME", "1")
    assert forecast.last_close == LAST_CLOSE
    assert [close.date() for close in forecast.closes][:2] == [date(2026, 1, 2), date(2026, 1, 5)]
    quantiles = np.array(forecast.quantiles)
    assert quantiles.shape == (5, 5)
    np.testing.assert_allclose(quantiles[:, 2], LAST_CLOSE, rtol=1e-6)
    np.testing.assert_allclose(quantiles[0, [0, -1]], [187.1, 193.6], atol=0.3)
    assert forecast.probability_of_rise == pytest.approx([0.5] * 5, abs=0.01)


def test_the_python_client_sends_own_bars_and_gets_the_forecast_of_the_same_bars(server):
    sent = v2_client.ask(server, "OWN", 5, bars=PRICES)
    held = v2_client.ask(server, "ACME", 5)
    assert sent.last_close == held.last_close
    assert sent.closes[0].date() == date(2026, 1, 1)  # the holidays of own bars are not known
    np.testing.assert_allclose(sent.quantiles, held.quantiles, rtol=1e-6)


def test_the_python_client_prints_a_table_or_the_servers_reason(server):
    def client(*words):
        command = [sys.executable, EXAMPLES / "v2_client.py", *words, "--url", server]
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
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin", "URL": server},
            timeout=seconds(30),
        )

    done = client("ACME", "2")
    assert done.returncode == 0, done.stderr
    expected = v2_client.ask(server, "ACME", 2).quantiles
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
        v2_client.ask(server, "ACME", 30, as_of=origin.isoformat())

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
    v2_client.ask(server, "ACME", 3)
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(state))
    wait_until(lambda: prediction_log.read_log(Settings()), 30)
    printed = run("prediction_log.py", capsys, monkeypatch, "--dataset", "acme-1d")
    assert "ACME" in printed
    assert re.search(r"^\d+ forecasts; by version: \{'1': \d+\}$", printed, re.MULTILINE)
    assert re.search(r"^\d+ horizons have elapsed, \d+ inside", printed, re.MULTILINE)


def test_every_example_says_how_it_is_run():
    for file in EXAMPLES.rglob("*.py"):
        assert file.name in file.read_text().split('"""')[1], f"{file.name}: say how to run it"
    assert "sh examples/v2_client.sh" in (EXAMPLES / "v2_client.sh").read_text()
