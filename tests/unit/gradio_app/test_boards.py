"""Models, monitoring and feed: records to HTML, and charts to figures."""

import numpy as np
import pandas as pd

from forecasting.adapters.registry.ledger import Promotion
from forecasting.adapters.registry.reader import VersionRecord
from forecasting.drift.summary import ColumnDrift, NotMeasured, ScopeDrift
from forecasting.live.scores import RealisedPoint
from gradio_app import boards, charts, monitoring, wording
from gradio_app.handlers import scored_horizon
from gradio_app.records import split_adjusted, trained_on
from tests.unit.gradio_app.page_records import (
    AS_OF,
    SCORE,
    card,
    drift_run,
    forecast,
    history,
    logged,
    points,
    text_of,
)

# the fan chart


def test_the_fan_starts_at_the_last_close_and_holds_the_quantiles():
    answer = forecast(5)
    figure = charts.fan_chart(history(), answer)
    lines = {trace.name: trace for trace in figure.data}
    assert lines["Median"].y[0] == answer.last_close
    np.testing.assert_allclose(lines["Median"].y[1:], answer.quantiles[:, 2])
    np.testing.assert_allclose(lines["5-95 %"].y[1:], answer.quantiles[:, 4])
    np.testing.assert_allclose(lines["5-95 %"].customdata[1:], answer.quantiles[:, 0])
    np.testing.assert_allclose(lines["25-75 %"].y[1:], answer.quantiles[:, 3])
    assert lines["Median"].x == (AS_OF, *answer.target_times)


def test_the_random_walk_is_drawn_beside_the_forecast_with_its_band():
    answer = forecast()
    lines = {trace.name: trace for trace in charts.fan_chart(history(), answer).data}
    assert set(lines["Random walk"].y) == {answer.last_close}
    np.testing.assert_allclose(lines["Random walk 5 %"].y[1:], answer.baseline[:, 0])
    np.testing.assert_allclose(lines["Random walk 95 %"].y[1:], answer.baseline[:, 4])


def test_a_forecast_without_baseline_or_history_can_still_be_drawn():
    empty = pd.DataFrame({"timestamp": [], "close": []})
    figure = charts.fan_chart(empty, forecast(baseline=None))
    assert "Random walk" not in {trace.name for trace in figure.data}
    figure.to_json()


def test_closes_before_a_split_are_divided_by_it():
    stamps = pd.to_datetime(["2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01"], utc=True)
    bars = pd.DataFrame(
        {"timestamp": stamps, "close": [500.0, 499.2, 129.0, 134.2], "split": [1.0, 1.0, 4.0, 1.0]}
    )
    assert split_adjusted(bars)["close"].tolist() == [125.0, 124.8, 129.0, 134.2]
    assert split_adjusted(bars.head(0)).empty


# models


def test_champion_and_challenger_stand_side_by_side_with_their_verdicts():
    champion = card("champion", version="1", kind="random_walk", skill=0.0, p_value=None,
                    verdict="default", reason="nothing has beaten it")  # fmt: skip
    shown = text_of(boards.models([champion, card()]))
    for words in ("champion v1 random walk", "challenger v2 ridge", "Default", "Refuse",
                  "It is no better.", f"{wording.MINUS}0.42 %", "0.713", "89.7 % in band", "7b7b7b7b7b7b7b7b",
                  "Walk-forward report", "Run in MLflow"):  # fmt: skip
        assert words in shown


def test_scores_that_were_not_recorded_are_dashes():
    bare = card(skill=None, p_value=None, coverage=None, reason="", run_url="", report_url="")
    assert text_of(boards.models([bare])).count(wording.NOTHING) >= 4


def test_an_empty_registry_says_how_to_begin():
    assert "No model is registered yet" in boards.models([])


def test_the_audit_trail_says_who_when_and_why():
    row = Promotion(1, "bellwether", "", "1", "pipeline", AS_OF, "the default", "pending")
    shown = text_of(boards.promotions([row]))
    assert "2023-09-21 20:00 UTC none → v1 PENDING pipeline The default." in shown


def test_what_a_version_was_trained_on_is_said_in_words():
    tags = {"source": "sample", "replay": "true", "data_snapshot": "9f3c", "git_revision": "abc"}
    record = VersionRecord("1", "r", tags, (), 0)
    assert trained_on(record) == "source sample, historical, snapshot 9f3c, code abc"


# monitoring


def test_realised_figures_are_cumulated_with_the_weight_of_their_forecasts():
    day = 86_400 * 10**9
    shown = charts.tracks(
        [
            RealisedPoint("1", 5, day, 3, 0.03, 0.02, 1.0),
            RealisedPoint("1", 5, 0, 1, 0.01, 0.02, 0.0),
            RealisedPoint("1", 9, 0, 1, 9.0, 9.0, 0.0),
        ],
        5,
    )
    assert len(shown) == 1
    np.testing.assert_allclose(shown[0].error, [0.01, (0.01 + 0.09) / 4])
    np.testing.assert_allclose(shown[0].skill, [0.5, 1 - 0.10 / 0.08])
    np.testing.assert_allclose(shown[0].coverage, [0.0, 0.75])


def test_skill_without_a_known_baseline_is_unknown_not_zero():
    (track,) = charts.tracks(points(null=None), 5)
    assert np.isnan(track.skill).all()
    charts.skill_chart([track]).to_json()


def test_monitoring_charts_can_be_drawn_from_nothing_and_from_one_run():
    for chart in (charts.skill_chart, charts.coverage_chart, charts.error_chart):
        chart([]).to_json()
        chart(charts.tracks(points()[:1], 5)).to_json()
    charts.drift_chart([drift_run()]).to_json()


def test_versions_differ_by_dash_as_well_as_by_colour():
    shown = charts.tracks([*points("1"), *points("2")], 5)
    first, second = charts.error_chart(shown).data
    assert first.line.dash != second.line.dash
    assert first.line.color != second.line.color


def test_the_drawn_horizon_is_the_due_one_nearest_to_a_week():
    assert scored_horizon([]) == 5
    assert scored_horizon([*points(horizon=1), *points(horizon=10)]) == 1
    assert scored_horizon([*points(horizon=5), *points(horizon=10)]) == 5


def test_the_tiles_name_the_columns_that_moved_and_the_promise_kept():
    shown = text_of(
        monitoring.tiles(drift_run(realised=[SCORE]), "/reports/drift/features", 60.0, 5)
    )
    for words in ("Drift Found", "50 % rsi_0, rsi_1", "covered 91.2 %", "330 forecasts of v1",
                  "12 forecasts wait for their day.", "Open the drift report"):  # fmt: skip
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
    shown = text_of(monitoring.limits(drift_run(scopes=scopes))).strip()
    assert shown.endswith(
        "features change of intraday_range 1.250 below 0.800 past it "
        "features log_return_1 0.390 below 0.400 within "
        "coverage coverage_h5 0.860 at least 0.810 within "
        "features rsi_14 0.100 below 0.400 within"
    )
    assert monitoring.limits(drift_run(scopes=())) == ""


def test_only_reports_that_were_made_are_linked():
    def told(*names):
        columns = tuple(ColumnDrift(n, "wasserstein", 0.1, 0.4, drifted=False) for n in names)
        scope = ScopeDrift("features", columns, (), 500, 60, drifted=False)
        return monitoring.tiles(drift_run(scopes=(scope,)), "/reports/drift/features", None, 5)

    assert "/reports/drift/changes" not in told("rsi_14")
    assert "/reports/drift/features" not in told("change of rsi_14")
    assert "/reports/drift/changes" in told("rsi_14", "change of rsi_14")
    assert "reports" not in told()


def test_a_scope_that_could_not_be_measured_is_not_called_stable():
    scope = ScopeDrift("features", (), (NotMeasured("rsi", "constant"),), 0, 0, False)
    shown = text_of(monitoring.tiles(drift_run(scopes=(scope,)), "", None, 5))
    assert "Not measured" in shown
    assert "None found" not in shown


def test_realised_scores_are_a_table_of_versions_and_horizons():
    shown = text_of(monitoring.realised(drift_run(realised=[SCORE])))
    assert "v1 5 330 55 1.230 % +0.8 % 91.2 % 51.0 % 2.10 %" in shown


# feed


def test_the_feed_shows_parameters_and_processing_time():
    shown = text_of(boards.feed([logged(own_bars=True, stale=True)]))
    for words in ("AAPL", "v2 ridge", "▼ SELL", "53 %", "169.00 to 180.00",
                  "REST, sample, own bars, replay, stale", "0.4 ms"):  # fmt: skip
        assert words in shown


def test_an_empty_log_says_how_to_fill_it():
    assert "No prediction has been logged yet" in boards.feed([])
