"""The publish step says that a fallback made the newest prices, and of older ones nothing.

That what is published equals what was trained on: tests/contract/test_parity.py.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from components.publish.step import run
from forecasting.adapters.lake.fetch_record import FetchRecord
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.unit.panels import walk

PRICES = walk("AAPL", 401, actions=False)


def appended(lake: Lake, bars: int) -> Snapshot:
    prices = PRICES.iloc[:bars]
    now = prices["timestamp"].max().to_pydatetime() + timedelta(hours=1)
    return lake.append(
        "default",
        judge(prices, now=now),
        source="test",
        replay=False,
        synthetic=True,
        interval="1d",
        fetched_at=now,
    )


def test_a_fallback_is_told_of_the_newest_prices_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", "http://127.0.0.1:9")
    lake = Lake(Settings().lake)
    older, newest = appended(lake, 400), appended(lake, 401)
    record = FetchRecord(newest.fetched_at, "test", "last_good", newest.fetched_at)
    lake.record_fetch("default", record)
    for snapshot, fallback in ((older, ""), (newest, record.sentence)):
        given = run(snapshot=snapshot.id, dataset="default", symbols="")
        (specification,) = lake.specifications("default")
        served = lake.served_features("default", specification)
        assert given == lake.served_id("default", specification)
        assert (served.snapshot_id, served.fallback) == (snapshot.id, fallback)
    assert record.sentence.startswith("test failed on")
