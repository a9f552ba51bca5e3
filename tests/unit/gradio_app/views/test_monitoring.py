"""The monitoring tab: drift, limits and realised scores."""

from forecasting.drift.summary import ColumnDrift, NotMeasured, ScopeDrift
from gradio_app.views.monitoring import limits, realised_table, tiles
from tests.unit.gradio_app.page_records import SCORE, drift_run, text_of


def test_the_tiles_name_the_columns_that_moved_and_the_promise_kept():
    shown = text_of(tiles(drift_run(realised=[SCORE]), "/reports/drift/features", 60.0, 5))
    for words in ("Drift Found", "50 % rsi_0, rsi_1", "covered 91.2 %", "330 forecasts of v1",
                  "12 forecasts are not due yet.", "Open the drift report"):  # fmt: skip
        assert words in shown


def test_scores_stand_beside_their_limits_what_passed_first():
    columns = (
        ColumnDrift("rsi_14", "wasserstein", 0.10, 0.40, drifted=False),
        ColumnDrift("change of intraday_range", "wasserstein", 1.25, 0.8, drifted=True),
        ColumnDrift("log_return_1", "wasserstein", 0.39, 0.40, drifted=False),
    )
    coverage = (ColumnDrift("coverage_h5", "at_least", 0.86, 0.81, drifted=False),)
    scopes = (
        ScopeDrift("features", columns, (), 500, 60, drifted=True),
        ScopeDrift("coverage", coverage, (), 0, 60, drifted=False),
    )
    shown = text_of(limits(drift_run(scopes=scopes))).strip()
    assert shown.endswith(
        "features change of intraday_range 1.250 below 0.800 past it "
        "features log_return_1 0.390 below 0.400 within "
        "coverage coverage_h5 0.860 at least 0.810 within "
        "features rsi_14 0.100 below 0.400 within"
    )
    assert limits(drift_run(scopes=())) == ""


def test_only_reports_that_were_made_are_linked():
    def told(*names):
        columns = tuple(ColumnDrift(n, "wasserstein", 0.1, 0.4, drifted=False) for n in names)
        scope = ScopeDrift("features", columns, (), 500, 60, drifted=False)
        return tiles(drift_run(scopes=(scope,)), "/reports/drift/features", None, 5)

    assert "/reports/drift/changes" not in told("rsi_14")
    assert "/reports/drift/features" not in told("change of rsi_14")
    assert "/reports/drift/changes" in told("rsi_14", "change of rsi_14")
    assert "reports" not in told()


def test_a_scope_that_could_not_be_measured_is_not_called_stable():
    scope = ScopeDrift("features", (), (NotMeasured("rsi", "constant"),), 0, 0, False)
    shown = text_of(tiles(drift_run(scopes=(scope,)), "", None, 5))
    assert "Not measured" in shown
    assert "None found" not in shown


def test_realised_scores_are_a_table_of_versions_and_horizons():
    shown = text_of(realised_table(drift_run(realised=[SCORE])))
    assert "v1 5 330 55 1.230 % +0.8 % 91.2 % 51.0 % 2.10 %" in shown
