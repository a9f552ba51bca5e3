"""The lake adds, never rewrites, verifies what it reads, and leaves nothing half written."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot, content_digest
from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.errors import (
    InvalidPrices,
    InvalidSettings,
    NotReady,
    SnapshotCorrupted,
    Unavailable,
    UnknownSymbol,
)
from forecasting.features.online import ServedFeatures
from forecasting.prices.quality.catalogue import QUARANTINE_COLUMNS
from forecasting.prices.quality.judge import CleanedBars, judge
from tests.hostile_names import HOSTILE_NAMES
from tests.served_models import SPEC, make_features

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    source = SyntheticSource(seed=3, bars=300)
    return source.fetch(["AAPL", "MSFT"], None, datetime(2026, 5, 29).date(), "1d").bars  # noqa: DTZ001


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def append(lake: Lake, bars: pd.DataFrame, dataset: str = "default", **changes: Any) -> Snapshot:
    judged = bars if isinstance(bars, CleanedBars) else judge(bars, now=NOW)
    options: dict[str, Any] = {
        "source": "synthetic",
        "replay": False,
        "synthetic": True,
        "interval": "1d",
        "fetched_at": NOW,
    }
    return lake.append(dataset, judged, **(options | changes))


def up_to(prices: pd.DataFrame, bars: int) -> pd.DataFrame:
    return prices[prices.groupby("symbol").cumcount() < bars].reset_index(drop=True)


def files(lake: Lake, folder: str) -> list[Path]:
    return sorted(file for file in Path(lake.url, folder).rglob("*") if file.is_file())


def test_what_is_read_is_what_was_appended(lake: Lake, prices: pd.DataFrame) -> None:
    snapshot = append(lake, prices, notes=("made up",))
    assert lake.latest("default") == snapshot
    assert lake.snapshot("default", snapshot.id) == snapshot
    pd.testing.assert_frame_equal(lake.read(snapshot), judge(prices, now=NOW).clean)
    assert snapshot.symbols == ("AAPL", "MSFT")
    assert snapshot.rows == 600
    assert snapshot.notes == ("made up",)
    assert snapshot.last == prices["timestamp"].max()
    assert snapshot.clock.last_bar == snapshot.last
    assert len(snapshot.id) == 16
    assert lake.read(snapshot, ["MSFT"])["symbol"].unique().tolist() == ["MSFT"]
    with pytest.raises(UnknownSymbol, match="TSLA not among AAPL, MSFT"):
        lake.read(snapshot, ["TSLA"])


def test_fetching_again_adds_only_what_is_new(lake: Lake, prices: pd.DataFrame) -> None:
    first = append(lake, up_to(prices, 290))
    written = {file: file.stat().st_mtime_ns for file in files(lake, "prices/default/parts")}
    then = append(lake, prices, fetched_at=NOW + timedelta(days=1))
    assert [part.rows for part in then.parts] == [580, 20]
    assert then.parts[0] == first.parts[0]
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert lake.read(then).equals(judge(prices, now=NOW).clean)
    assert len(lake.read(first)) == 580  # the older snapshot is still whole


def test_the_id_names_the_content_and_not_the_fetches_it_came_in(
    tmp_path: Path, prices: pd.DataFrame
) -> None:
    one, two, other = (Lake(str(tmp_path / name)) for name in ("one", "two", "other"))
    whole = append(one, prices)
    append(two, up_to(prices, 100))
    pieces = append(two, prices.iloc[::-1], fetched_at=NOW + timedelta(hours=1))
    assert pieces.id == whole.id
    assert append(other, prices, source="files", synthetic=False).id != whole.id


def test_a_fetch_that_brings_nothing_new_moves_the_time_and_keeps_the_id(
    lake: Lake, prices: pd.DataFrame
) -> None:
    first = append(lake, prices)
    later = append(lake, prices, fetched_at=NOW + timedelta(days=1))
    assert later.id == first.id
    assert later.parts == first.parts
    assert later.fetched_at == NOW + timedelta(days=1)
    assert lake.snapshot("default", first.id).fetched_at == later.fetched_at
    assert append(lake, prices) == later  # an older fetch does not turn the clock back


def test_a_restated_bar_goes_to_the_quarantine_and_the_first_stays(
    lake: Lake, prices: pd.DataFrame
) -> None:
    first = append(lake, prices)
    changed = prices.copy()
    changed.loc[7, "close"] = changed.loc[7, "high"]
    changed.loc[8, "volume"] *= 2
    then = append(lake, changed, fetched_at=NOW + timedelta(days=1))
    assert then.id == first.id
    assert lake.read(then).equals(lake.read(first))
    faulty = lake.quarantine(then)
    assert faulty["fault"].tolist() == ["restated_bar", "restated_bar"]
    assert "close was" in faulty["detail"].iloc[0]
    assert faulty["detail"].iloc[1].startswith("volume was")
    again = append(lake, changed, fetched_at=NOW + timedelta(days=2))
    assert len(lake.quarantine(again)) == 2  # met before, not kept twice


def test_noise_below_a_millionth_is_not_a_restatement(lake: Lake, prices: pd.DataFrame) -> None:
    append(lake, prices)
    columns = ["open", "high", "low", "close"]
    noisy = prices.copy()
    noisy[columns] *= 1 + 1e-8
    assert lake.quarantine(append(lake, noisy)).empty


def test_a_provider_that_rewrites_a_history_is_refused(lake: Lake, prices: pd.DataFrame) -> None:
    first = append(lake, prices)
    halved = prices.copy()
    halved.loc[halved["symbol"] == "MSFT", ["open", "high", "low", "close"]] /= 2
    with pytest.raises(InvalidPrices, match="MSFT 300 of 300"):
        append(lake, halved)
    assert lake.latest("default") == first


def test_an_earlier_history_and_another_symbol_can_be_added_later(
    lake: Lake, prices: pd.DataFrame
) -> None:
    apple = prices[prices["symbol"] == "AAPL"].reset_index(drop=True)
    append(lake, apple.iloc[100:])
    whole = append(lake, prices)
    assert lake.read(whole).equals(judge(prices, now=NOW).clean)


def test_a_data_set_holds_one_source_and_one_interval(lake: Lake, prices: pd.DataFrame) -> None:
    append(lake, prices)
    with pytest.raises(InvalidSettings, match="one source and interval"):
        append(lake, prices, source="yahoo", synthetic=False)
    with pytest.raises(InvalidSettings):
        append(lake, prices, interval="1h")


def test_quarantined_bars_are_kept_with_their_faults(lake: Lake, prices: pd.DataFrame) -> None:
    faulty = prices.copy()
    faulty.loc[5, "close"] = float("nan")
    faulty.loc[6, "high"] = 0.5
    snapshot = append(lake, faulty)
    kept = lake.quarantine(snapshot)
    assert tuple(kept.columns) == QUARANTINE_COLUMNS
    assert kept["fault"].tolist() == ["missing_value", "high_below_low"]
    assert np.isnan(kept["close"].iloc[0])
    assert lake.quarantine(append(lake, prices, "clean")).empty


def test_an_empty_lake_says_what_to_do(lake: Lake) -> None:
    with pytest.raises(NotReady, match="bellwether ingest"):
        lake.latest("default")
    with pytest.raises(NotReady, match="refresh"):
        lake.served_features("default", SPEC.digest)
    assert lake.served_id("default", SPEC.digest) is None
    with pytest.raises(InvalidSettings, match="'0123'"):
        lake.snapshot("default", "0123")
    assert not Path(lake.url).exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_a_data_set_cannot_be_named_out_of_the_lake(lake: Lake, name: str) -> None:
    with pytest.raises(InvalidSettings):
        lake.latest(name)
    with pytest.raises(InvalidSettings):
        lake.served_id(name, SPEC.digest)
    with pytest.raises(InvalidSettings):
        lake.served_id("default", name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_a_pointer_cannot_lead_out_of_the_lake(lake: Lake, name: str) -> None:
    for kind, pointer in (
        ("features", {"id": "1", "sha256": name}),
        ("prices", {"id": "1", "sha256": name, "manifest": "1.json"}),
        ("prices", {"id": "1", "sha256": "0" * 64, "manifest": name}),
    ):
        file = Path(lake.url, kind, "default", "latest.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(pointer))
        with pytest.raises(SnapshotCorrupted, match="pointer must name"):
            lake.served_features("default", SPEC.digest) if kind == "features" else lake.latest(
                "default"
            )


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("folder", ["parts", "snapshots"])
def test_damage_is_found_before_anything_is_read(
    lake: Lake, prices: pd.DataFrame, folder: str, damage: Any
) -> None:
    append(lake, prices)
    damage(files(lake, f"prices/default/{folder}")[0])
    with pytest.raises(SnapshotCorrupted):
        lake.read(lake.latest("default"))


def test_a_part_swapped_for_a_well_formed_one_is_found(lake: Lake, prices: pd.DataFrame) -> None:
    snapshot = append(lake, prices)
    other = append(lake, up_to(prices, 200), "other")
    part = f"prices/default/parts/{snapshot.parts[0].digest}.parquet"
    swapped = f"prices/other/parts/{other.parts[0].digest}.parquet"
    Path(lake.url, part).write_bytes(Path(lake.url, swapped).read_bytes())
    with pytest.raises(SnapshotCorrupted, match="is damaged"):
        lake.read(snapshot)


@pytest.mark.parametrize("pointer", [b"", b"{}", b"[]", b'{"id": 1}', b"\xff"])
def test_a_pointer_that_points_nowhere_is_named(
    lake: Lake, prices: pd.DataFrame, pointer: bytes
) -> None:
    append(lake, prices)
    Path(lake.url, "prices/default/latest.json").write_bytes(pointer)
    with pytest.raises(SnapshotCorrupted, match="pointer"):
        lake.latest("default")


def test_a_writer_that_dies_before_the_pointer_changes_nothing(
    lake: Lake, prices: pd.DataFrame
) -> None:
    first = append(lake, up_to(prices, 290))
    pointer = Path(lake.url, "prices/default/latest.json")
    before = pointer.read_bytes()
    second = append(lake, prices)
    pointer.write_bytes(before)  # as if it had died just before replacing it
    assert lake.latest("default") == first
    assert len(lake.read(first)) == 580
    assert append(lake, prices) == second  # and the next fetch ends the same
    leftovers = [file.name for file in files(lake, "") if file.name.startswith(".")]
    assert leftovers == []


def test_a_lake_that_cannot_be_written_says_so(tmp_path: Path, prices: pd.DataFrame) -> None:
    (tmp_path / "lake").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="readable and writable"):
        append(Lake(str(tmp_path / "lake")), prices)
    with pytest.raises(InvalidSettings, match="nosuch"):
        Lake("nosuch://bucket/lake").latest("default")


def test_any_fsspec_url_will_do(prices: pd.DataFrame) -> None:
    lake = Lake("memory://test-lake")
    snapshot = append(lake, prices)
    assert lake.read(lake.latest("default")).equals(judge(prices, now=NOW).clean)
    assert lake.snapshot("default", snapshot.id) == snapshot


def test_the_digest_sees_every_change_and_no_other(prices: pd.DataFrame) -> None:
    digest = content_digest(prices)
    assert digest == content_digest(prices.copy())
    assert digest == content_digest(prices.assign(dividend=-0.0))
    for column in prices.columns:
        changed = prices.copy()
        if column == "symbol":
            changed.loc[9, column] = "AAPM"
        elif column in ("timestamp", "session"):
            changed.loc[9, column] += pd.Timedelta(1, "ns")
        else:
            changed.loc[9, column] = np.nextafter(changed.loc[9, column], 1e9)
        assert content_digest(changed) != digest, column


def test_served_features_come_back_verified_and_polling_is_cheap(lake: Lake) -> None:
    served = make_features()
    published = lake.publish_features("default", served)
    assert published == served.id == lake.served_id("default", SPEC.digest)
    back = lake.served_features("default", SPEC.digest)
    assert isinstance(back, ServedFeatures)
    assert back.id == served.id
    flip(files(lake, "features/default")[0])
    with pytest.raises(SnapshotCorrupted, match="Publish them again"):
        lake.served_features("default", SPEC.digest)


def test_a_server_reads_features_without_pandas(lake: Lake) -> None:
    lake.publish_features("default", make_features())
    program = (
        "import sys\n"
        f"spec = {SPEC.digest!r}\n"
        "from forecasting.adapters.lake.lake import Lake\n"
        f"lake = Lake({lake.url!r})\n"
        "assert lake.served_features('default', spec).id == lake.served_id('default', spec)\n"
        "print(*(name for name in ('pandas', 'pyarrow', 'exchange_calendars')"
        " if name in sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[5],
    )
    assert run.stdout.split() == []


def test_two_writers_at_once_lose_no_symbol(
    lake: Lake, prices: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training's prices of another symbol arrive while a refresh writes its own."""
    apple = prices[prices["symbol"] == "AAPL"].reset_index(drop=True)
    other = prices[prices["symbol"] == "MSFT"].reset_index(drop=True)
    append(lake, apple.iloc[:-1])
    grown = Lake._grown

    def while_another_writes(self: Lake, *arguments: Any) -> Snapshot:
        monkeypatch.setattr(Lake, "_grown", grown)
        snapshot = grown(self, *arguments)
        append(Lake(lake.url), other)
        return snapshot

    monkeypatch.setattr(Lake, "_grown", while_another_writes)
    append(lake, apple)
    snapshot = lake.latest("default")
    assert snapshot.symbols == ("AAPL", "MSFT")
    assert len(lake.read(snapshot)) == len(prices)


def test_a_reader_whose_features_were_replaced_and_cleared_away_takes_the_newer(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = make_features(), make_features(snapshot_id="6" * 16)
    lake.publish_features("default", older)
    read = Lake._read

    def after_a_refresh(self: Lake, dataset: str, digest: str) -> ServedFeatures:
        if digest == older.id:
            lake.publish_features("default", newer)
            assert lake.remove_superseded("default", NOW + timedelta(days=36_500)) == 1
        return read(self, dataset, digest)

    monkeypatch.setattr(Lake, "_read", after_a_refresh)
    assert lake.served_features("default", SPEC.digest).id == newer.id
    monkeypatch.undo()
    assert lake.remove_superseded("default", NOW + timedelta(days=36_500)) == 0
