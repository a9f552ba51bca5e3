"""Notes of a cluster's run: the newest attempt counts, and a note that fails hides no error."""

from pathlib import Path

import pytest

from components.run_notes import RUN_ID, keep, read_notes
from forecasting.adapters.lake.blobs import Blobs


def test_another_attempt_that_went_well_takes_the_failures_place(
    lake: str, pipeline_run: str
) -> None:
    keep("train", "ridge", "failed", seconds=1.0, error={"kind": "InvalidInput"})
    keep("train", "ridge", "done", seconds=2.5)
    (note,) = read_notes(lake, pipeline_run)
    assert (note.name, note.state, note.seconds) == ("train ridge", "done", 2.5)


def test_notes_are_read_in_the_order_of_their_time(lake: str, pipeline_run: str) -> None:
    for step in ("train", "evaluate", "register"):
        keep(step, "", "done")
    assert [note.step for note in read_notes(lake, pipeline_run)] == [
        "train", "evaluate", "register",
    ]  # fmt: skip


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b"\xff", b'{"step": "x", "error": 5}'])
def test_a_damaged_note_hides_no_other(
    lake: str, pipeline_run: str, damaged: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    keep("train", "ridge", "done", seconds=1.0)
    Blobs(lake).write(f"runs/{pipeline_run}/damaged.json", damaged)
    assert [note.name for note in read_notes(lake, pipeline_run)] == ["train ridge"]
    assert "damaged.json is damaged" in capsys.readouterr().err


def test_a_lake_that_cannot_be_written_is_reported_and_raises_nothing(
    lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(lake).write_text("a file where the folder should be")
    keep("train", "oracle", "failed")
    assert "The note that train failed was not kept" in capsys.readouterr().err


def test_outside_a_cluster_nothing_is_kept(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_ID)
    keep("train", "ridge", "done")
    assert not Path(lake).exists()


def test_the_notes_of_another_run_are_not_read(lake: str) -> None:
    keep("train", "ridge", "done")
    assert read_notes(lake, "another") == []
    assert Blobs(lake).names("runs") != []
