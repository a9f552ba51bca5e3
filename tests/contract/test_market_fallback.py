"""A second provider stands in where both agreed, is kept apart, and gives way again."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from forecasting import prometheus_metrics
from forecasting.adapters.ingest import Ingested, ingest_prices
from forecasting.adapters.lake.fetch_record import FetchRecord
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.market.open import open_secondary, open_source
from forecasting.adapters.market.secondary import Secondary
from forecasting.adapters.market.source import FetchResult, Survivorship
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.errors import (
    InvalidSettings,
    SnapshotCorrupted,
    SourceUnavailable,
    UnknownSymbol,
)
from forecasting.prices.calendar import session_bars, session_closes
from forecasting.settings import Settings
from tests.clock import machine_now

DAYS = session_bars("AAPL", date(2024, 1, 2), date(2024, 6, 28), "1d")[1][:90]


class Provider:
    """A live source over a table that grows day by day.

    Attributes:
        days: how many days of its table it has by now.
        failure: what it raises instead of answering.
        asked: how often it was asked.
    """

    replay = False
    synthetic = False

    def __init__(self, name: str, bars: pd.DataFrame, days: int) -> None:
        self.name, self.bars, self.days = name, bars, days
        self.failure: Exception | None = None
        self.asked = 0

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        self.asked += 1
        if self.failure:
            raise self.failure
        last = DAYS[self.days - 1]
        bars = self.bars[self.bars["symbol"].isin(symbols) & (self.bars["session"] <= last)]
        if start:
            bars = bars[bars["session"] >= pd.Timestamp(start)]
        return FetchResult(
            bars=bars.reset_index(drop=True),
            fetched_at=machine_now(),
            notes=(f"By {self.name}.",),
            survivorship=Survivorship("named"),
        )


def table(seed: int = 3) -> pd.DataFrame:
    frames = []
    for place, symbol in enumerate(("AAPL", "MSFT")):
        chance = np.random.default_rng([seed, place])
        close = np.round(100 * np.exp(np.cumsum(chance.normal(0, 0.01, len(DAYS)))), 2)
        opened = np.round(close * 1.001, 2)
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol, "timestamp": session_closes(symbol, DAYS), "session": DAYS,
                    "open": opened, "high": opened + 1, "low": close - 1, "close": close,
                    "volume": np.round(chance.uniform(900, 1_100, len(DAYS))),
                    "dividend": 0.0, "split": 1.0,
                }
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


DOWN = SourceUnavailable("the provider must answer", "HTTP 500", "Wait")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


@pytest.fixture
def first() -> Provider:
    return Provider("yahoo", table(), 70)


@pytest.fixture
def second() -> Provider:
    """The same market, a little otherwise: rounded closes, and more of the volume."""
    bars = table()
    bars["close"] += 0.01
    bars["volume"] *= 1.05
    return Provider("tiingo", bars, 74)


def ingest(
    lake: Lake, first: Provider, second: Provider, *, compares: bool = True, days: float = 7.0
) -> Ingested:
    return ingest_prices(
        first,
        lake,
        "default",
        symbols=["AAPL", "MSFT"],
        interval="1d",
        last_good_days=days,
        secondary=Secondary(second, compares=compares),
    )


def test_bars_of_the_second_follow_where_both_agreed_and_carry_its_name(
    lake: Lake, first: Provider, second: Provider
) -> None:
    before = ingest(lake, first, second).snapshot
    first.failure = DOWN
    done = ingest(lake, first, second)
    held = done.snapshot
    assert held.rows == before.rows + 2 * 4
    assert held.source == "yahoo"
    assert held.providers == ("tiingo",)
    assert [(part.provider, part.rows) for part in held.parts] == [("", 140), ("tiingo", 8)]
    bars = lake.read(held)
    pd.testing.assert_frame_equal(lake.own_bars(held), lake.read(before))
    newest = bars[bars["session"] > DAYS[69]]
    theirs = second.bars[second.bars["session"].isin(DAYS[70:74])]
    assert newest["close"].tolist() == theirs["close"].tolist()
    assert held.fetched_at > before.fetched_at
    told = " ".join(held.notes)
    assert "yahoo failed (the provider must answer: HTTP 500), so tiingo was asked" in told
    assert "8 bars from 2024-04-12 on are tiingo's" in told
    assert "8 bars are of tiingo, which stood in for yahoo" in told
    assert sum("Survivorship" in note for note in held.notes) == 1


def test_the_sources_own_bars_take_the_place_of_the_stand_ins_as_if_it_had_never_failed(
    lake: Lake, first: Provider, second: Provider, tmp_path: Path
) -> None:
    ingest(lake, first, second)
    first.failure = DOWN
    ingest(lake, first, second)
    first.failure = None
    first.days = 72
    half = ingest(lake, first, second).snapshot
    assert [(part.provider, part.rows) for part in half.parts if part.provider] == [("tiingo", 4)]
    assert half.rows == 148
    assert "4 bars are of tiingo" in " ".join(half.notes)
    first.days = 75
    whole = ingest(lake, first, second).snapshot
    assert whole.providers == ()
    assert "stood in" not in " ".join(whole.notes)
    alone = ingest(Lake(str(tmp_path / "alone")), first, second).snapshot
    assert whole.id == alone.id
    assert lake.quarantine(whole).empty
    again = ingest(lake, first, second).snapshot
    assert (again.id, again.parts) == (whole.id, whole.parts)


def test_a_stand_in_may_go_on_for_days(lake: Lake, first: Provider, second: Provider) -> None:
    ingest(lake, first, second)
    first.failure = DOWN
    for days in (71, 73, 76):
        second.days = days
        held = ingest(lake, first, second).snapshot
        assert held.rows == 2 * days
    assert [part.rows for part in held.parts if part.provider] == [2, 4, 6]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("close", 1.02, "closes differ by more than 0.1%"),
        ("volume", 30.0, "volumes differ by a factor of 31.50"),
        ("split", 2.0, "split on"),
    ],
)
def test_a_second_that_disagrees_does_not_stand_in_and_the_last_good_prices_do(
    lake: Lake, first: Provider, second: Provider, column: str, value: float, why: str
) -> None:
    before = ingest(lake, first, second, compares=False).snapshot
    first.failure = DOWN
    second.bars[column] *= value
    done = ingest(lake, first, second)
    assert done.fallback
    assert done.snapshot == before
    assert any("tiingo does not stand in: it does not agree" in n and why in n for n in done.notes)
    record = lake.last_fetch("default")
    assert record is not None
    assert (record.fallback, record.prices_of) == ("last_good", before.fetched_at)
    samples = {(s.metric, s.labels): s.value for s in record.samples("default")}
    assert samples[prometheus_metrics.FETCH_FALLBACK, ("default", "last_good")] == 1
    assert samples[prometheus_metrics.FETCH_FALLBACK, ("default", "second_provider")] == 0
    share = samples[prometheus_metrics.PROVIDER_DISAGREEMENT, ("default", "tiingo")]
    assert share == (1.0 if column == "close" else 0.0)
    actions = samples[prometheus_metrics.PROVIDER_ACTIONS, ("default", "tiingo")]
    assert actions == (2 * 59 if column == "split" else 0)


def test_when_both_fail_both_reasons_are_told(
    lake: Lake, first: Provider, second: Provider
) -> None:
    first.failure = DOWN
    with pytest.raises(SourceUnavailable, match=r"HTTP 500.*No snapshot stands in"):
        ingest(lake, first, second)  # with nothing held, nothing proves that the second agrees
    assert second.asked == 0
    assert lake.last_fetch("default") is None
    first.failure = None
    ingest(lake, first, second)
    first.failure = DOWN
    second.failure = UnknownSymbol("a symbol must be known", "MSFT is not")
    done = ingest(lake, first, second)
    assert done.fallback
    assert any("HTTP 500" in note for note in done.notes)
    assert any("tiingo does not stand in" in n and "MSFT is not" in n for n in done.notes)
    with pytest.raises(SourceUnavailable, match=r"HTTP 500.*tiingo does not.*at most 0 days old"):
        ingest(lake, first, second, days=0.0)


def test_a_second_with_nothing_newer_leaves_the_last_good_prices(
    lake: Lake, first: Provider, second: Provider
) -> None:
    ingest(lake, first, second)
    first.failure = DOWN
    second.days = 70
    done = ingest(lake, first, second)
    assert done.fallback
    assert any("it has no bar after" in note for note in done.notes)


def test_while_the_first_answers_the_second_is_only_compared(
    lake: Lake, first: Provider, second: Provider
) -> None:
    done = ingest(lake, first, second)
    assert done.snapshot.providers == ()
    assert not done.fallback
    assert any("yahoo and tiingo have 120 bars in common; 0 closes" in n for n in done.notes)
    record = lake.last_fetch("default")
    assert record is not None
    assert (record.fallback, record.sentence) == ("", "")
    assert record.compared is not None
    assert record.compared.bars == 120
    second.failure = DOWN
    told = ingest(lake, first, second).notes
    assert any("could not be compared with tiingo" in note for note in told)
    asked = second.asked
    ingest(lake, first, second, compares=False)
    assert second.asked == asked


def test_a_fallback_is_said_beside_the_as_of_and_published_as_a_metric(
    lake: Lake, first: Provider, second: Provider, tmp_path: Path
) -> None:
    ingest(lake, first, second)
    first.failure = DOWN
    ingest(lake, first, second)
    record = lake.last_fetch("default")
    assert record is not None
    assert record.sentence.endswith("the newest bars are tiingo's, which had agreed with it.")
    file = tmp_path / "refresh.prom"
    samples: list[Sample] = list(record.samples("default"))
    publish("refresh", samples, gateway_url="", file=file, succeeded_at=1e9)
    text = file.read_text()
    assert 'bellwether_prices_fallback{dataset="default",kind="second_provider"} 1.0' in text
    assert 'bellwether_prices_fallback{dataset="default",kind="last_good"} 0.0' in text
    assert 'disagreement_share{dataset="default",provider="tiingo"} 0.0' in text


def test_a_record_of_the_last_good_prices_says_how_old_they_are_and_keeps_its_form() -> None:
    now = datetime(2026, 11, 21, 18, tzinfo=UTC)
    record = FetchRecord(now, "yahoo", "last_good", now - timedelta(days=2), reason="HTTP 500")
    assert record.sentence == (
        "yahoo failed on 2026-11-21 18:00 UTC: these are the prices fetched on 2026-11-19 18:00 UTC."
    )
    assert FetchRecord.from_bytes(record.to_bytes()) == record
    for damaged in (b"{", b"{}", b'{"at": 3}', b"[]"):
        with pytest.raises(SnapshotCorrupted, match="record of a fetch"):
            FetchRecord.from_bytes(damaged)


def test_a_manifest_without_stand_ins_is_written_as_it_always_was(
    lake: Lake, first: Provider, second: Provider
) -> None:
    held = ingest(lake, first, second).snapshot
    written = orjson.loads(held.to_bytes())
    assert all(set(part) == {"digest", "rows"} for part in written["parts"])
    assert Snapshot.from_bytes(held.to_bytes()) == held
    first.failure = DOWN
    stood_in = ingest(lake, first, second).snapshot
    assert Snapshot.from_bytes(stood_in.to_bytes()) == stood_in


def test_the_settings_name_the_second_provider_with_an_address_of_its_own() -> None:
    settings = Settings(
        fallback_source="tiingo", source_base_url="http://one", fallback_base_url="http://two"
    )
    source = open_source("yahoo", settings)
    secondary = open_secondary(source, settings)
    assert secondary is not None
    assert (source.name, secondary.name, secondary.compares) == ("yahoo", "tiingo", True)
    assert vars(source)["base_url"] == "http://one"
    assert vars(secondary.provider)["base_url"] == "http://two"
    for name in ("sample", "synthetic", "tiingo"):
        assert open_secondary(open_source(name, settings), settings) is None
    with pytest.raises(InvalidSettings, match="must have live prices"):
        open_secondary(source, Settings(fallback_source="sample"))
    with pytest.raises(InvalidSettings, match="a price source is one of"):
        open_secondary(source, Settings(fallback_source="bloomberg"))
