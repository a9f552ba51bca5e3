"""The figures: what is drawn, and that lines differ by more than colour."""

import numpy as np
import pandas as pd

from forecasting.live.scores import RealisedPoint
from gradio_app import charts
from tests.unit.gradio_app.page_records import AS_OF, drift_run, forecast, history, points


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


def test_the_random_walks_interval_is_an_outline_behind_the_fan():
    answer = forecast()
    figure = charts.fan_chart(history(), answer)
    names = [trace.name for trace in figure.data]
    lines = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(lines["Random walk"].y[1:], answer.baseline[:, 2])
    for name, column in (("Random walk 5 %", 0), ("Random walk 95 %", 4)):
        np.testing.assert_allclose(lines[name].y[1:], answer.baseline[:, column])
        assert lines[name].y[0] == answer.last_close
        assert names.index(name) < names.index("5-95 %")
        # Told from the fan without its colour, and by more than a dash.
        assert lines[name].line.dash != "solid"
        assert lines[name].fill is None
        assert lines[name].line.color not in {lines["Median"].line.color, lines["Close"].line.color}


def test_the_random_walk_has_no_outline_of_itself():
    figure = charts.fan_chart(history(), forecast(model_kind="random_walk"))
    assert not [trace.name for trace in figure.data if "Random walk" in trace.name]


def test_a_forecast_without_baseline_or_history_can_still_be_drawn():
    empty = pd.DataFrame({"timestamp": [], "close": []})
    figure = charts.fan_chart(empty, forecast(baseline=None))
    assert "Random walk" not in {trace.name for trace in figure.data}
    figure.to_json()


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


def test_versions_are_told_apart_by_colour_and_dash_in_a_comparison():
    said = [forecast(3, model_version=str(n)) for n in range(3)]
    figure = charts.comparison_chart(history(), said)
    medians = {line.name: line.line for line in figure.data if line.line.width == 2.2}
    assert set(medians) == {"v0", "v1", "v2"}
    assert len({(line.color, line.dash) for line in medians.values()}) == 3
    assert charts.comparison_chart(None, said).layout.xaxis.range[0] == said[0].as_of
