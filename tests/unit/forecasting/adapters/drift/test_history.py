"""The drift history: whole runs only, in order, never rewritten."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from forecasting.adapters.drift.history import DriftHistory
from forecasting.drift.summary import SCOPES, DriftSummary, NotMeasured, ScopeDrift
from forecasting.errors import InvalidInput, Unavailable
from forecasting.live.outcomes import LeftOut
from forecasting.live.scores import RealisedPoint
from tests.hostile_names import HOSTILE_NAMES

START = datetime(2026, 1, 1, tzinfo=UTC)
POINT = RealisedPoint("3", 5, 10**18, 6, 0.01, None, 0.9)


def a_summary(day=0):
    return DriftSummary(
        measured_at=(START + timedelta(days=day)).isoformat(),
        data_now="2020-01-02T21:00:00+00:00",
        model_version="3",
        dataset="default",
        snapshot="abc",
        source="sample",
        replay=True,
        synthetic=False,
        scopes=tuple(
            ScopeDrift(scope, (), (NotMeasured("*", "nothing yet"),), 0, 0, drifted=False)
            for scope in SCOPES
        ),
        realised=(),
        left_out=(LeftOut("3", 5, 2, 44, 7),),
    )


@pytest.fixture
def reports(tmp_path):
    page, figures = tmp_path / "made.html", tmp_path / "made.json"
    page.write_text("<html></html>")
    figures.write_text("{}")
    return {"report.html": page, "report.json": figures}


@pytest.fixture
def history(tmp_path):
    return DriftHistory(str(tmp_path / "lake"))


def test_a_lake_without_runs_has_an_empty_history(history):
    assert history.summaries() == []
    assert history.by_instant() == []
    assert history.report() is None


def test_a_run_is_read_back_as_it_was(history, reports):
    folder = history.record(a_summary(), (POINT,), reports)
    assert history.summaries() == [a_summary()]
    assert history.by_instant() == [POINT]
    assert history.report() == b"<html></html>"
    assert sorted(path.name for path in Path(folder).iterdir()) == [
        "realised.json",
        "report.html",
        "report.json",
        "summary.json",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_only_plain_names_are_looked_for_in_a_run(history, reports, name):
    if not history.summaries():
        history.record(a_summary(), (POINT,), reports)
    assert history.report(name) is None


def test_runs_come_oldest_first_whatever_order_they_were_kept_in(history, reports):
    for day in (2, 0, 1):
        history.record(a_summary(day), (), reports)
    assert history.summaries() == [a_summary(day) for day in range(3)]
    assert history.summaries(newest=1) == [a_summary(2)]
    assert history.summaries(newest=0) == []
    assert len(history.summaries(newest=9)) == 3


def test_old_pages_go_and_figures_stay(history, reports, tmp_path):
    for day in range(3):
        history.record(a_summary(day), (), reports, kept_reports=2)
    drift = tmp_path / "lake" / "drift"
    assert [page.parent.name[:8] for page in sorted(drift.glob("*/report.html"))] == [
        "20260102",
        "20260103",
    ]
    assert len(list(drift.glob("*/report.json"))) == 3
    assert len(history.summaries()) == 3


def test_a_run_is_never_rewritten(history, reports):
    history.record(a_summary(), (POINT,), reports)
    with pytest.raises(InvalidInput, match="never rewritten"):
        history.record(replace(a_summary(), notes=("other",)), (), reports)
    assert history.summaries() == [a_summary()]


def test_a_run_that_cannot_be_kept_whole_leaves_nothing(history, reports, tmp_path):
    reports["gone.html"] = tmp_path / "gone.html"
    with pytest.raises(FileNotFoundError):
        history.record(a_summary(), (POINT,), reports)
    assert list((tmp_path / "lake" / "drift").iterdir()) == []


def test_a_lake_that_cannot_be_written_is_unavailable(tmp_path, reports):
    (tmp_path / "lake").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="readable and writable"):
        DriftHistory(str(tmp_path / "lake")).record(a_summary(), (), reports)


@pytest.mark.parametrize("damage", ['{"measured_at": ', "[]", '{"scopes": 3}', "{}"])
def test_a_damaged_run_is_left_out_and_said(history, reports, tmp_path, caplog, damage):
    history.record(a_summary(), (POINT,), reports)
    half = tmp_path / "lake" / "drift" / "20270101T000000000000Z"
    half.mkdir()
    assert history.summaries() == [a_summary()]
    assert history.by_instant() == [POINT]
    assert caplog.text == ""
    (half / "summary.json").write_text(damage)
    assert history.summaries() == [a_summary()]
    assert "damaged" in caplog.text
