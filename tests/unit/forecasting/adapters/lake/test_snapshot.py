"""A manifest keeps what a snapshot is, and those of earlier lakes are still read."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given

from forecasting.adapters.lake.snapshot import Part, Snapshot, stand_in_notes
from forecasting.adapters.market.source import UNDECLARED, Survivorship
from forecasting.errors import SnapshotCorrupted
from tests.hostile_names import HOSTILE_NAMES

CHOSEN = Survivorship("hindsight", "These six companies are there because they did well.")


def snapshot(survivorship: Survivorship = CHOSEN, notes: tuple[str, ...] = ()) -> Snapshot:
    instant = datetime(2026, 6, 1, tzinfo=UTC)
    return Snapshot(
        id="0123456789abcdef",
        dataset="default",
        source="sample",
        replay=True,
        synthetic=False,
        interval="1d",
        symbols=("AAPL",),
        first=instant,
        last=instant,
        rows=1,
        fetched_at=instant,
        notes=notes,
        parts=(Part("d" * 64, 1),),
        quarantined=(),
        survivorship=survivorship,
    )


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert Snapshot.from_bytes(snapshot().to_bytes()) == snapshot()


def test_a_manifest_that_is_none_is_refused() -> None:
    for damaged in (b"{", b"{}", b"[]", b'{"format": "another/1"}'):
        with pytest.raises(SnapshotCorrupted):
            Snapshot.from_bytes(damaged)


@given(HOSTILE_NAMES)
def test_a_manifest_whose_names_lead_elsewhere_is_refused(name: str) -> None:
    part = {"digest": name, "rows": 1}
    for change in ({"dataset": name}, {"id": name}, {"parts": [part]}, {"quarantined": [part]}):
        written = orjson.loads(snapshot().to_bytes()) | change
        with pytest.raises(SnapshotCorrupted, match="names no data set, snapshot or part"):
            Snapshot.from_bytes(orjson.dumps(written))


EARLIER_NOTE = (
    "Survivorship: the symbols were chosen afterwards, so those that failed are missing and "
    "results look better than anybody could have had. These six companies are there because they "
    "did well."
)
EARLIER_NOTE_OF_NOBODY = (
    "Survivorship: the source does not say how its symbols were chosen; take them for survivors."
)


@pytest.mark.parametrize(
    ("notes", "declared"),
    [
        (("Six companies.", EARLIER_NOTE), CHOSEN),
        ((EARLIER_NOTE_OF_NOBODY,), UNDECLARED),
        (("Nothing about symbols.",), UNDECLARED),
    ],
)
def test_a_manifest_without_a_field_for_it_says_in_its_notes_how_symbols_were_chosen(
    notes: tuple[str, ...], declared: Survivorship
) -> None:
    written = orjson.loads(snapshot(notes=notes).to_bytes())
    del written["survivorship"]
    assert Snapshot.from_bytes(orjson.dumps(written)).survivorship == declared


def test_the_bars_of_each_stand_in_are_counted() -> None:
    parts = (Part("a", 5), Part("b", 2, "tiingo"), Part("c", 3, "tiingo"))
    assert stand_in_notes("yahoo", parts) == (
        "5 bars are of tiingo, which stood in for yahoo; each gives way to yahoo's own.",
    )
