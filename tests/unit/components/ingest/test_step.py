"""What is found in prices reaches the snapshot, the step's metadata and its report, or stops it."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from components.fetch.step import run as fetch
from components.ingest.step import run
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.errors import InvalidPrices, NotReady


@pytest.fixture
def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BELLWETHER_LAKE_URL", str(tmp_path / "lake"))

    def step(bars: pd.DataFrame) -> tuple[Any, str]:
        file = tmp_path / "bars.csv"
        bars.rename(columns={"session": "date"}).drop(columns="timestamp").to_csv(file, index=False)
        prices = SimpleNamespace(path=str(tmp_path / "prices"), metadata={})
        quality = SimpleNamespace(path=str(tmp_path / "quality"), metadata={})
        asked = {
            "symbols": "",
            "source": "files",
            "source_options": f'{{"path": "{file}"}}',
            "interval": "1d",
            "dataset": "default",
        }
        part = SimpleNamespace(path=str(tmp_path / "part"), metadata={})
        fetch(shard="1/1", bars=part, **asked)
        given = run(fetched=[part], prices=prices, quality=quality, **asked)
        assert given == Snapshot.from_bytes(Path(prices.path).read_bytes()).id
        return prices, Path(quality.path).read_text()

    return step


def made() -> pd.DataFrame:
    source = SyntheticSource(seed=4, bars=120)
    return source.fetch(["AAPL", "MSFT"], None, date(2026, 5, 29), "1d").bars


def test_what_was_found_is_told_in_notes_metadata_and_report(ingest: Any) -> None:
    bars = made()
    bars.loc[30, "close"] = float("nan")
    bars = bars.drop(index=[60, 61])
    prices, report = ingest(bars)
    assert prices.metadata["quarantined"] == {"missing_value": 1}
    assert prices.metadata["reported"] == {"missing_session": 1}
    assert prices.metadata["repaired"] == {}
    snapshot = Snapshot.from_bytes(Path(prices.path).read_bytes())
    assert any("AAPL lacks 2 of 120" in note for note in snapshot.notes)
    assert "| AAPL | missing_value | 1 | symbol, times and numbers must all be there |" in report
    assert "| AAPL | missing_session | AAPL lacks 2 of 120" in report


def test_a_refused_set_leaves_nothing_in_the_lake(ingest: Any, tmp_path: Path) -> None:
    bars = made()
    bars.loc[:50, ["open", "high", "low", "close"]] *= 2
    bars.loc[:50, "volume"] /= 2
    with pytest.raises(InvalidPrices, match="missed_split"):
        ingest(bars)
    with pytest.raises(NotReady):
        Lake(str(tmp_path / "lake")).latest("default")


def test_a_dividend_that_is_restated_is_named_and_the_first_stays(
    ingest: Any, tmp_path: Path
) -> None:
    bars = made()
    ingest(bars)
    bars.loc[40, "dividend"] = 0.25
    bars.loc[41, "low"] *= 0.999
    prices, report = ingest(bars)
    assert prices.metadata["quarantined"] == {"restated_dividend": 1, "restated_bar": 1}
    assert "| AAPL | restated_dividend | 1 | a dividend or split that is held does not" in report
    lake = Lake(str(tmp_path / "lake"))
    assert (lake.read(lake.latest("default"))["dividend"] == 0).all()


def test_new_bars_are_judged_beside_those_held(ingest: Any) -> None:
    bars = made()
    older = bars[bars.groupby("symbol").cumcount() < 100]
    newer = bars.drop(index=older.index).copy()
    ingest(older)
    newer[["open", "high", "low", "close"]] /= 4
    newer["volume"] *= 4
    with pytest.raises(InvalidPrices, match=r"like a split of 4:1 \(missed_split\)"):
        ingest(newer)
