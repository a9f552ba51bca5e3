"""Options become parameters, and outcomes become exit codes. Trainings: test_jobs.py."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.commands.options import DEFAULT_SAMPLE
from forecasting.errors import EXIT_DRIFT, InvalidSettings


@pytest.fixture
def called(monkeypatch):
    """What the commands called, with what, but for the settings."""
    calls = {}

    def note(target, outcome=None):
        def function(*words, **named):
            calls[target.rpartition(".")[2]] = (*words[1:], *named.values())
            return outcome

        monkeypatch.setattr(target, function)

    note("bellwether.demo.demo.run_demo")
    note("bellwether.jobs.ingest_prices")
    note("bellwether.jobs.refresh_features")
    note("bellwether.jobs.measure_drift", outcome=True)
    note("bellwether.jobs.start_training_if_due")
    note("bellwether.bootstrap.prepare")
    return calls


def run(*words, **variables):
    return CliRunner().invoke(app, [*words], env={"COLUMNS": "200", **variables})


def test_the_demo_trains_on_the_bundled_sample(called):
    assert run("demo").exit_code == 0
    (params,) = called["run_demo"]
    assert (params.symbols, params.source, params.dataset, params.who) == (
        DEFAULT_SAMPLE,
        "sample",
        "sample-1d",
        "demo",
    )


def test_an_ingest_names_its_data_set_after_source_and_interval(called, tmp_path):
    prices = tmp_path / "prices.csv"
    words = ("--source", "files", "--files", str(prices), "--interval", "1h", "--symbols", "A,B")
    assert run("ingest", *words).exit_code == 0
    assert called["ingest_prices"] == (
        *("files", ("A", "B"), "1h", "files-1h"),
        {"path": str(prices)},
    )
    run("ingest", "--dataset", "mine")
    assert called["ingest_prices"][3] == "mine"


def test_a_refresh_takes_the_same_options(called):
    assert run("refresh", "--symbols", "A", "--dataset", "d").exit_code == 0
    (params,) = called["refresh_features"]
    assert (params.symbols, params.dataset) == (("A",), "d")


@pytest.mark.parametrize(
    ("words", "url", "code", "starts"),
    [
        ((), "", EXIT_DRIFT, False),
        (("--exit-zero",), "http://kfp", 0, True),
        (("--no-start-training",), "http://kfp", EXIT_DRIFT, False),
    ],
)
def test_drift_has_an_exit_code_and_may_start_a_training(called, words, url, code, starts):
    done = run("drift", *words, "--level-bars", "30", BELLWETHER_PIPELINES_URL=url)
    assert done.exit_code == code
    assert ("start_training_if_due" in called) is starts
    (options,) = called["measure_drift"]
    assert (options.rules.level_bars, options.rules.change_bars) == (30, 10)


def test_preparing_reads_its_secrets_from_the_environment(called):
    variables = {"MLFLOW_BACKEND_STORE_URI": "sqlite://", "BELLWETHER_READER_PASSWORD": "x"}
    assert run("prepare", "--wait", "5", **variables).exit_code == 0
    assert called["prepare"] == ("sqlite://", "x", 5.0)


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "--source", "nowhere"),
        ("forecast", "AAPL", "--plot", "fan.pdf"),
        ("train", "--outcome-file", "/there/is/no/such/folder/outcome.json"),
        ("demo", "--files", "prices.csv"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(called, words):
    done = run(*words)
    assert done.exit_code == InvalidSettings.exit_code
    assert "remedy" in done.output
    assert called == {}


def test_python_runs_the_package_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "bellwether", "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(name in done.stdout for name in ("demo", "rollout", "pipeline", "cluster", "doctor"))
