"""The features step: a symbol that was named must have history, one of many may have less.

That features equal, bit for bit, what is served: tests/contract/test_parity.py.
"""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from components.features.step import run, until
from components.training_table import TrainingTable
from forecasting.adapters.lake.lake import Lake
from forecasting.errors import InvalidSettings, ShortHistory, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.unit.panels import walk


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the step on a snapshot of a symbol with 400 bars and one with 60."""
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    prices = pd.concat(
        [
            walk("AAA-USD", 400, freq="D", actions=False),
            walk("BBB-USD", 60, freq="D", actions=False),
        ],
        ignore_index=True,
    )
    now = prices["timestamp"].max().to_pydatetime() + timedelta(hours=1)
    snapshot = Lake(Settings().lake).append(
        "default",
        judge(prices, now=now, interval="4h"),
        source="test",
        replay=False,
        synthetic=True,
        interval="4h",
        fetched_at=now,
    )

    def step(symbols: str) -> TrainingTable:
        table = SimpleNamespace(path=str(tmp_path / "table"), metadata={})
        reference = SimpleNamespace(path=str(tmp_path / "reference"), metadata={})
        run(
            snapshot=snapshot.id,
            dataset="default",
            symbols=symbols,
            train_until="",
            candidates=["ridge"],
            width="ewma",
            table=table,
            reference=reference,
        )
        return TrainingTable.load(Path(table.path))

    return step


def test_of_all_symbols_one_may_have_too_little_history(features: Any) -> None:
    assert features("").spec.symbols == ("AAA-USD", "BBB-USD")


def test_symbols_that_are_named_must_be_there_with_enough_history(features: Any) -> None:
    assert features("aaa-usd").spec.symbols == ("AAA-USD",)
    with pytest.raises(ShortHistory, match="BBB-USD"):
        features("AAA-USD,BBB-USD")
    with pytest.raises(UnknownSymbol, match="CCC-USD"):
        features("CCC-USD")


def test_prices_are_cut_after_a_whole_session_or_at_an_instant() -> None:
    prices = walk("AAA", 10, start="2026-03-02 21:00")
    assert len(until(prices, "")) == 10
    assert len(until(prices, "2026-03-04")) == 3
    assert len(until(prices, "2026-03-04T20:00:00")) == 2
    assert len(until(prices, "2026-03-04T22:00:00+01:00")) == 3
    for wrong in ("04.03.2026", "2020-01-01"):
        with pytest.raises(InvalidSettings, match="train_until must be an ISO date"):
            until(prices, wrong)
