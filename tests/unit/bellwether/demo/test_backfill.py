"""Only versions that learned from none of the bars are asked about them.

What is asked and logged: tests/integration/test_replay.py.
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from bellwether.demo.backfill import HELD_OUT_BARS, held_out_from, unaware_of
from forecasting.settings import Settings

SINCE = datetime(2026, 1, 30, 21, tzinfo=UTC)


def registry(**trained_until):
    tags = {
        version.removeprefix("v"): {"trained_until": until.isoformat()} if until else {}
        for version, until in trained_until.items()
    }
    aliases = dict(zip(("champion", "challenger"), tags, strict=False))
    return SimpleNamespace(
        aliases=lambda: aliases, version=lambda number: SimpleNamespace(tags=tags[number])
    )


def test_a_version_that_knows_a_later_bar_is_not_asked():
    later = SINCE + timedelta(days=1)
    assert unaware_of(SINCE, registry(v1=SINCE, v2=later)) == ["1"]
    assert unaware_of(SINCE, registry(v1=None, v2=SINCE - timedelta(days=1))) == ["2"]


def test_the_newest_bars_are_held_out(tmp_path, monkeypatch):
    from tests.unit.panels import walk

    prices = walk("AAPL", 700, seed=0)
    lake = SimpleNamespace(latest=lambda _: None, read=lambda _: prices)
    monkeypatch.setattr("bellwether.demo.backfill.Lake", lambda _: lake)
    cut = held_out_from(Settings(state_dir=tmp_path), "sample-1d")
    assert (prices["timestamp"] > cut).sum() == HELD_OUT_BARS
