"""The files in examples/ that need no server run as their first lines say, and give the numbers they should.

Those that ask a server are in tests/integration/test_examples.py.
"""

import re
import runpy
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hatchling.builders.wheel import WheelBuilder
from typer.testing import CliRunner

from bellwether.cli import app
from examples import own_csv_forecast
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.open import open_source, source_names
from forecasting.errors import InvalidSettings, ShortHistory, UnknownSymbol
from forecasting.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
PRICES = EXAMPLES / "acme.csv"
LAST_CLOSE = 190.35


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


def test_every_example_says_how_it_is_run():
    for file in EXAMPLES.rglob("*.py"):
        assert file.name in file.read_text().split('"""')[1], f"{file.name}: say how to run it"
    assert "sh examples/v2_client.sh" in (EXAMPLES / "v2_client.sh").read_text()
