"""Prices fetched in shards make the snapshot that one process makes, bit for bit."""

import json
from dataclasses import replace
from datetime import UTC, date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from components.fetch.step import run as fetch
from components.ingest.step import run as ingest
from forecasting.adapters.ingest import ingest_prices
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.http.budget import shared_budget
from forecasting.adapters.market.parts import FetchedPart, Gathered, Shard, fetch_part
from forecasting.adapters.market.providers.sample import SampleSource
from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.adapters.market.source import Survivorship
from forecasting.errors import (
    Corrupted,
    InvalidSettings,
    RateLimited,
    SourceUnavailable,
    UnknownSymbol,
)
from pipelines.runs import RefreshParams

SYMBOLS = (*(f"SYN{number:03d}" for number in range(1, 21)), "2330.TW", "BTC-USD")
OPTIONS = json.dumps({"bars": 80})


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The fetch and ingest steps, in so many shards, into a lake of their own."""

    def run(count: int, source: str = "synthetic", options: str = OPTIONS) -> Lake:
        folder = tmp_path / f"{count}"
        monkeypatch.setenv("BELLWETHER_LAKE_URL", str(folder / "lake"))
        asked = {
            "symbols": ",".join(SYMBOLS),
            "source": source,
            "source_options": options,
            "interval": "1d",
            "dataset": "default",
        }
        parts = [
            SimpleNamespace(path=str(folder / f"part-{number}"), metadata={})
            for number in range(1, count + 1)
        ]
        for number, part in enumerate(parts, start=1):
            fetch(shard=f"{number}/{count}", bars=part, **asked)
        prices = SimpleNamespace(path=str(folder / "prices"), metadata={})
        quality = SimpleNamespace(path=str(folder / "quality"), metadata={})
        ingest(fetched=parts[::-1], prices=prices, quality=quality, **asked)
        return Lake(str(folder / "lake"))

    return run


def faulty_file(folder: Path) -> Path:
    """Prices of all symbols, day by day, with faults of several kinds."""
    bars = SyntheticSource(seed=3, bars=80).fetch(SYMBOLS, None, date(2026, 5, 29), "1d").bars
    bars = bars.sort_values(["session", "symbol"], ignore_index=True)
    bars.loc[[100, 400], "close"] = float("nan")
    bars.loc[[250, 700], "volume"] = -1.0
    bars = pd.concat([bars, bars.iloc[[33, 900]]], ignore_index=True)
    file = folder / "bars.csv"
    bars.rename(columns={"session": "date"}).drop(columns="timestamp").to_csv(file, index=False)
    return file


def test_one_shard_and_eight_make_the_same_snapshot_and_the_same_quarantine(
    steps: Any, tmp_path: Path
) -> None:
    options = json.dumps({"path": str(faulty_file(tmp_path))})
    one, eight = steps(1, "files", options), steps(8, "files", options)
    held, again = one.latest("default"), eight.latest("default")
    assert held.id == again.id
    assert held.parts == again.parts
    assert held.quarantined == again.quarantined
    assert len(one.quarantine(held)) == 6
    assert held.notes == again.notes
    pd.testing.assert_frame_equal(one.read(held), eight.read(again), check_exact=True)


def test_shards_make_the_snapshot_that_the_command_makes_without_them(
    steps: Any, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "by hand"))
    done = ingest_prices(
        SyntheticSource(bars=80),
        lake,
        "default",
        symbols=SYMBOLS,
        interval="1d",
        last_good_days=7,
    )
    assert steps(3).latest("default").id == done.snapshot.id


def test_more_shards_than_symbols_leave_some_with_nothing_to_do(steps: Any) -> None:
    assert steps(40).latest("default").symbols == tuple(sorted(SYMBOLS))


def test_every_symbol_is_in_one_shard() -> None:
    shares = [Shard(number, 8).of_symbols(SYMBOLS) for number in range(1, 9)]
    assert sorted(symbol for share in shares for symbol in share) == sorted(SYMBOLS)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="like 3/8"):
        Shard.parse(text)


def test_so_many_shards_are_written_as_the_pipelines_take_them() -> None:
    params = RefreshParams(symbols=("AAPL", "MSFT"), shards=2)
    assert params.arguments()["shards"] == ["1/2", "2/2"]
    for shards, symbols in ((0, ("AAPL",)), (2, ())):
        with pytest.raises(InvalidSettings, match="of symbols that are named"):
            RefreshParams(symbols=symbols, shards=shards)


def test_shards_without_symbols_are_refused_because_nothing_can_be_shared_out() -> None:
    source = SyntheticSource(bars=80)
    with pytest.raises(InvalidSettings, match="symbols must be named"):
        fetch_part(source, Shard(1, 2), symbols=(), interval="1d", may_fail=False)
    whole = fetch_part(source, Shard(1, 1), symbols=(), interval="1d", may_fail=False)
    assert whole.bars is not None
    assert whole.bars["symbol"].nunique() == 5


def test_a_replay_is_not_shared_out_because_its_symbols_are_looked_for_together() -> None:
    with pytest.raises(InvalidSettings, match="read at once"):
        fetch_part(SampleSource(), Shard(1, 2), symbols=SYMBOLS, interval="1d", may_fail=False)


class Down:
    """A source that fails for some symbols."""

    name, replay, synthetic = "synthetic", False, True

    def __init__(self, failing: set[str], error: Exception | None = None) -> None:
        self.failing = failing
        self.error = error or SourceUnavailable("a source answers", "it was silent", "Wait")

    def fetch(self, symbols: Any, start: Any, end: Any, interval: str) -> Any:
        if self.failing & set(symbols):
            raise self.error
        return SyntheticSource(bars=80).fetch(symbols, start, end, interval)


def parts_of(source: Any, count: int, *, may_fail: bool = True) -> list[FetchedPart]:
    return [
        fetch_part(source, Shard(n, count), symbols=SYMBOLS, interval="1d", may_fail=may_fail)
        for n in range(1, count + 1)
    ]


def test_when_one_shard_fails_the_last_good_snapshot_stands_in_for_all(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    asked: dict[str, Any] = {"symbols": SYMBOLS, "interval": "1d", "last_good_days": 7}
    good = ingest_prices(SyntheticSource(bars=80), lake, "default", **asked)
    source = Down({SYMBOLS[3]})
    done = ingest_prices(Gathered(source, parts_of(source, 4)), lake, "default", **asked)
    assert done.fallback
    assert done.snapshot.id == good.snapshot.id
    assert "it was silent (shard 4/4, 1 of 4 failed)" in done.notes[0]


def test_a_failing_source_fails_the_shard_where_nothing_could_stand_in() -> None:
    with pytest.raises(SourceUnavailable, match="silent"):
        parts_of(Down({SYMBOLS[3]}), 4, may_fail=False)


def test_a_symbol_nobody_knows_fails_the_shard_whatever_is_held() -> None:
    with pytest.raises(UnknownSymbol):
        parts_of(Down({SYMBOLS[0]}, UnknownSymbol("a symbol is known", "it is not")), 2)


def test_what_shards_declare_of_their_symbols_is_told_together() -> None:
    source = SyntheticSource(bars=80)
    parts = parts_of(source, 2)
    assert Gathered(source, parts).fetch(SYMBOLS, None, None, "1d").survivorship == Survivorship(
        "none"
    )
    parts[1] = replace(parts[1], survivorship=Survivorship("named", "By hand."))
    together = Gathered(source, parts).fetch(SYMBOLS, None, None, "1d").survivorship
    assert together.choice == "none"
    assert together.why.endswith("nothing is known of those that were not. By hand.")


@pytest.mark.parametrize("kept", [slice(1, None), slice(None, -1), slice(0, 0)])
def test_a_shard_that_is_missing_is_noticed(kept: slice) -> None:
    source = SyntheticSource(bars=80)
    with pytest.raises(InvalidSettings, match="each is there once"):
        Gathered(source, parts_of(source, 3)[kept])


def test_shards_of_other_symbols_are_not_put_together() -> None:
    source = SyntheticSource(bars=80)
    parts = parts_of(source, 2)
    with pytest.raises(InvalidSettings, match="its own symbols only"):
        Gathered(source, parts).fetch(SYMBOLS[1:], None, None, "1d")
    other = fetch_part(source, Shard(2, 2), symbols=("A", "B"), interval="1d", may_fail=False)
    with pytest.raises(InvalidSettings, match="of the same symbols"):
        Gathered(source, [parts[0], other])


def test_a_part_comes_back_as_it_was_saved_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    (part,) = parts_of(SyntheticSource(bars=80), 1)
    part.save(tmp_path / "part")
    back = FetchedPart.load(tmp_path / "part")
    assert back.bars is not None
    assert part.bars is not None
    pd.testing.assert_frame_equal(back.bars, part.bars, check_exact=True)
    assert (back.shard, back.requested, back.notes) == (part.shard, part.requested, part.notes)
    assert back.survivorship == part.survivorship == Survivorship("none")
    assert back.fetched_at == part.fetched_at.astimezone(UTC)
    (tmp_path / "part" / "bars.parquet").write_bytes(b"cut")
    with pytest.raises(Corrupted, match="cannot be read"):
        FetchedPart.load(tmp_path / "part")
    (tmp_path / "part" / "bars.parquet").unlink()
    with pytest.raises(Corrupted, match="cannot be read"):
        FetchedPart.load(tmp_path / "part")
    with pytest.raises(Corrupted):
        FetchedPart.load(tmp_path / "nowhere")


def test_eight_shards_together_keep_to_what_a_provider_allows_one_process() -> None:
    budget = shared_budget("shared by shards", "http://here", 16, 3_600.0, processes=8)
    budget.take(until=float("inf"))
    budget.take(until=float("inf"))
    with pytest.raises(RateLimited):
        budget.take(until=0.0)
