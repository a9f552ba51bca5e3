"""Options become parameters, and outcomes become exit codes. Trainings: test_jobs.py."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.commands.options import DEFAULT_SAMPLE
from forecasting.adapters.database_roles import Account
from forecasting.adapters.signing_keys import make_keys
from forecasting.bundle.signature import TrustedKeys
from forecasting.errors import EXIT_DRIFT, InvalidSettings, NotReady, RegistryUnavailable
from pipelines.runs import TrainingParams
from tests.ports import free_port


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
    params, named = called["run_demo"]
    assert named == {}
    assert (params.symbols, params.source, params.dataset, params.who) == (
        DEFAULT_SAMPLE,
        "sample",
        "sample-1d",
        "demo",
    )


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing, with a champion trained on a file; returns what a training was asked for."""
    champion = TrainingParams(
        ("A", "B"), "files", {"path": "/own.csv"}, "1h", "files-1h", folds=4, who="demo"
    )
    monkeypatch.setattr("bellwether.retraining.champions_params", lambda _: ("3", champion))
    asked = []

    def train(_settings, params, _outcome_file):
        asked.append(params)
        raise NotReady("far enough")

    monkeypatch.setattr("bellwether.jobs.train_models", train)

    def training(*words):
        done = run("train", "--who", "ann", *words)
        return done.output.replace("\n", " "), asked.pop() if asked else None

    return champion, training


def test_a_training_starts_from_what_the_champion_was_trained_on(trained):
    champion, training = trained
    said, params = training()
    assert params == replace(champion, who="ann")
    assert "As the champion, version 3, was trained: files /own.csv, 1h, A, B" in said


def test_options_vary_what_the_champion_was_trained_on(trained):
    champion, training = trained
    _, params = training("--symbols", "A", "--folds", "6", "--files", "other.csv")
    assert params == replace(
        champion,
        who="ann",
        symbols=("A",),
        folds=6,
        source_options={"path": str(Path("other.csv").resolve())},
    )
    assert training("--interval", "1d")[1].dataset == "files-1d"


def test_a_refresh_fetches_what_the_champion_was_trained_on(trained, called):
    champion, _ = trained
    assert run("refresh").exit_code == 0
    (params,) = called["refresh_features"]
    assert params.refresh_arguments() == champion.refresh_arguments()


@pytest.mark.parametrize(
    "words",
    [("train",), ("train", "--source", "sample"), ("refresh",), ("drift",),
     ("rollout", "adopt", "7", "--why", "x")],
)  # fmt: skip
def test_a_command_that_needs_a_registry_names_the_one_that_starts_it(words, tmp_path):
    make_keys(tmp_path / "keys")
    url = f"http://127.0.0.1:{free_port()}"
    state = {"BELLWETHER_STATE_DIR": str(tmp_path), "BELLWETHER_REGISTRY_URL": url}
    done = run(*words, **state)
    said = " ".join(done.output.split())
    assert (done.exit_code, url in said) == (RegistryUnavailable.exit_code, True), said
    assert "bellwether registry" in said


def test_a_forecast_without_a_server_names_the_command_that_starts_one():
    url = f"http://127.0.0.1:{free_port()}"
    done = run("forecast", "AAPL", BELLWETHER_INFERENCE_URL=url)
    assert done.exit_code == 3
    assert "bellwether demo" in " ".join(done.output.split())


def test_a_source_that_is_named_is_trained_on_whatever_the_champion_was(trained):
    _, params = trained[1]("--source", "sample")
    assert (params.dataset, params.symbols, params.folds) == ("sample-1d", DEFAULT_SAMPLE, 6)


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
    page = {"BELLWETHER_ROLE_PAGE": "bellwether_page", "BELLWETHER_ROLE_PAGE_PASSWORD": "y"}
    variables = {"MLFLOW_BACKEND_STORE_URI": "sqlite://", "BELLWETHER_READER_PASSWORD": "x"}
    assert run("prepare", "--wait", "5", **variables, **page).exit_code == 0
    accounts = (
        Account("page", "bellwether_page", "y"),
        Account("grafana", "bellwether_reader", "x"),
    )
    assert called["prepare"] == ("sqlite://", accounts, 5.0)


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


def test_a_key_is_made_once_and_its_id_is_printed(tmp_path):
    first = run("key", "--out", str(tmp_path / "keys"))
    second = run("key", "--out", str(tmp_path / "keys"))
    assert (first.exit_code, second.exit_code) == (0, 0)
    (trusted,) = TrustedKeys((tmp_path / "keys" / "trusted.pem").read_bytes()).ids
    for done, words in ((first, "was made"), (second, "is there")):
        printed = done.output.replace("\n", "")
        assert f"signing.pem {words}" in printed
        assert trusted in printed


def test_a_version_is_adopted_with_who_and_why(monkeypatch):
    calls = []

    def adopt(settings, version, *, who, why):
        calls.append((version, who, why))
        return "e" * 64

    monkeypatch.setattr("bellwether.adoption.adopt_version", adopt)
    done = run("rollout", "adopt", "7", "--who", "ada", "--why", "ours")
    assert (done.exit_code, calls) == (0, [("7", "ada", "ours")])
    assert f"signed by {'e' * 16}" in done.output
    assert run("rollout", "adopt", "7").exit_code == 2
