"""The monitoring tab: drift, limits and realised scores."""

import pytest

from forecasting.drift.summary import ColumnDrift, NotMeasured, ScopeDrift
from forecasting.live.outcomes import LeftOut
from forecasting.live.variance import RealisedVariance
from gradio_app.views.monitoring import limits, realised_table, tiles
from tests.unit.gradio_app.page_records import SCORE, check_html, drift_run, text_of


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
    assert (
        "v1 5 330 55 \N{EN DASH} 0.0123 +0.8 % 91.2 % 51.0 % \N{EN DASH} \N{EN DASH} 2.10 %"
        in shown
    )
    assert "further" not in shown


def test_what_is_left_out_stands_beside_the_scores():
    left_out = (LeftOut("1", 5, 3, 0), LeftOut("2", 5, 9, 0))
    shown = text_of(realised_table(drift_run(realised=[SCORE], left_out=left_out)))
    assert "v1 5 330 55 3 late 0.0123" in shown
    assert "9 late" not in shown


def ratio(value, low=0.86, high=1.14):
    return RealisedVariance("1", 5, 330, 55, value, low, high)


def test_the_ratio_of_variances_stands_beside_coverage_and_is_bold_past_its_limits():
    within = realised_table(drift_run(realised=[SCORE], variances=(ratio(1.1),)))
    assert "51.0 % 1.10 0.86 to 1.14 2.10 %" in text_of(within)
    assert "<b>" not in within
    off = realised_table(drift_run(realised=[SCORE], variances=(ratio(1.2),)))
    assert "<b>1.20</b>" in off
    assert "at 1.20 prices moved 20 % further, in variance, than the version said" in text_of(off)
    check_html(off)
    young = realised_table(drift_run(realised=[SCORE], variances=(ratio(1.2, None, None),)))
    assert "51.0 % 1.20 \N{EN DASH} 2.10 %" in text_of(young)


@pytest.mark.parametrize(
    ("found", "words", "tone"),
    [
        (ratio(1.2), "20 % further than said in variance, by v1 on 55 dates; chance explains \N{MINUS SIGN}14 % to +14 %", "bw-warn"),
        (ratio(0.9), "10 % less far than said in variance, by v1 on 55 dates; chance explains \N{MINUS SIGN}14 % to +14 %", "bw-ok"),
        (ratio(1.2, None, None), "too few dates to say what chance explains", "bw-plain"),
    ],
)  # fmt: skip
def test_a_tile_says_how_far_prices_moved(found, words, tone):
    shown = tiles(drift_run(realised=[SCORE], variances=(found,)), "", None, 5)
    tile = next(part for part in shown.split("<div ") if "Prices moved, 5 ahead" in part)
    assert words in text_of(f"<div {tile}")
    assert tone in tile


def test_the_report_on_realised_forecasts_is_linked_where_there_is_one():
    with_forecasts = tiles(drift_run(realised=[SCORE]), "/reports/drift/features", None, 5)
    assert "/reports/drift/realised" in with_forecasts
    assert "/reports/drift/realised" not in tiles(drift_run(), "/reports/drift/features", None, 5)


def test_a_short_span_past_its_limit_is_what_the_tile_tells():
    recent = RealisedVariance("1", 5, 300, 50, 2.0, 0.6, 1.4)
    run = drift_run(realised=[SCORE], variances=(ratio(1.1),), recent_variances=(recent,))
    assert "100 % further than said in variance, by v1 on 50 dates" in text_of(
        tiles(run, "", None, 5)
    )
