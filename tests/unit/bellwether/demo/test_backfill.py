"""Only versions that learned from none of the bars are asked about them.

What is asked and logged: tests/integration/test_replay.py.
"""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from bellwether.demo.backfill import HELD_OUT_BARS, held_out_from, replay_forecasts, unaware_of
from forecasting.settings import Settings
from tests.unit.panels import walk

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
    prices = walk("AAPL", 700, seed=0)
    lake = SimpleNamespace(latest=lambda _: None, read=lambda _: prices)
    monkeypatch.setattr("bellwether.demo.backfill.Lake", lambda _: lake)
    cut = held_out_from(Settings(state_dir=tmp_path), "sample-1d")
    assert (prices["timestamp"] > cut).sum() == HELD_OUT_BARS


def test_only_forecasts_that_the_log_lacks_are_asked_for(tmp_path, monkeypatch):
    prices = walk("AAPL", 300, seed=0)
    instants = [stamp.to_pydatetime() for stamp in sorted(prices["timestamp"].unique())]
    logged = SimpleNamespace(model_version="1", as_of=instants[-3])
    asked = []
    client = SimpleNamespace(
        forecast=lambda symbols, *, version, as_of: asked.append((symbols, version, as_of))
    )
    lake = SimpleNamespace(
        latest=lambda _: SimpleNamespace(symbols=("AAPL",)), read=lambda _: prices
    )
    module = "bellwether.demo.backfill"
    monkeypatch.setattr(f"{module}.Lake", lambda _: lake)
    log = SimpleNamespace(each_once=lambda: iter([logged]), close=lambda: None)
    monkeypatch.setattr(f"{module}.PredictionLog", lambda _: log)
    monkeypatch.setattr(f"{module}.InferenceClient.of", lambda _: nullcontext(client))
    settings = Settings(state_dir=tmp_path)
    count = replay_forecasts(settings, "d", ["1", "2"], instants[-4], lambda _: None)
    # The newest bar has no outcome yet.
    assert asked == [
        (("AAPL",), "1", instants[-2].isoformat()),
        (("AAPL",), "2", instants[-3].isoformat()),
        (("AAPL",), "2", instants[-2].isoformat()),
    ]
    assert count == 3
