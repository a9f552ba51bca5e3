"""The figures of the page, from frames and records to plotly.

Text, axes and the history line take their colour from style.css, so that one figure suits light
and dark; what carries meaning has a colour here that reads on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from forecasting.adapters.inference import SymbolForecast
from forecasting.arrays import Floats
from forecasting.drift.summary import DriftSummary
from forecasting.instants import to_datetime
from forecasting.live.scores import RealisedPoint
from forecasting.models.candidates import NULL_MODEL
from forecasting.schema import COVERAGE_BAND

ACCENT: Final = "#2f81c4"
NULL: Final = "#8a94a0"
NULL_EDGE: Final = "#d0691e"
"""The random walk's interval: told from the blue fan by colour-blind readers, and dashed besides."""
SERIES: Final = ("#2f81c4", "#d5722a", "#3a9d83", "#b0699b", "#9a8b2f", "#8a94a0")
"""Colours of model versions, told apart by colour-blind readers too; dashes tell them apart again."""
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_PATTERNS: Final = ("none", "7 4", "2 3", "7 3 2 3", "12 5", "12 4 2 4")
"""The dashes as SVG draws them."""

CHART_HEIGHT: Final = 440
SMALL_HEIGHT: Final = 250


def fan_chart(history: pd.DataFrame, forecast: SymbolForecast) -> go.Figure:
    """History and forecast on one axis: fan, median, and the random walk's interval behind them.

    Args:
        history: columns timestamp (UTC) and close, rising in time, ending at `forecast.as_of`;
            may be empty when the prices cannot be read.
        forecast: the answer to draw.
    """
    start = forecast.as_of
    history = history.iloc[-shown_bars(forecast.horizon) :]
    times = [start, *forecast.target_times]
    fan = np.vstack([np.full(5, forecast.last_close), forecast.quantiles])
    figure = go.Figure()
    figure.add_scatter(
        x=history["timestamp"],
        y=history["close"],
        mode="lines",
        name="Close",
        line={"color": "#5b6773", "width": 1.6},
        hovertemplate="%{y:,.4~g}",
    )
    null = random_walk_beside(forecast)
    if null is not None:  # first, so that the fan lies over it
        _outline(figure, times, np.vstack([np.full(5, forecast.last_close), null]))
    _band(figure, times, fan[:, 0], fan[:, 4], "rgba(47,129,196,0.16)", "5-95 %")
    _band(figure, times, fan[:, 1], fan[:, 3], "rgba(47,129,196,0.30)", "25-75 %")
    _line(figure, times, fan[:, 2], "Median", ACCENT, "solid", 2.4)
    figure.add_vline(x=start, line={"color": NULL, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=start, y=1, yref="paper", text=f"as of {start:%d %b %Y}", showarrow=False,
        xanchor="right", yanchor="bottom", xshift=-4, font={"size": 11},
    )  # fmt: skip
    _style(figure, CHART_HEIGHT)
    past = history["timestamp"]
    figure.update_xaxes(range=[past.iloc[0] if len(past) else start, times[-1]])
    figure.update_yaxes(side="right", tickformat=",.6~g")
    figure.update_layout(margin={"l": 8, "r": 58, "t": 26, "b": 28})
    return figure


def random_walk_beside(forecast: SymbolForecast) -> Floats | None:
    """The random walk's quantiles [horizon, 5], where they were asked for and it is not what answered."""
    return None if forecast.model_kind == NULL_MODEL else forecast.baseline


def comparison_chart(
    history: pd.DataFrame | None, forecasts: Sequence[SymbolForecast]
) -> go.Figure:
    """Medians and 5-95 % bands of several versions on one axis, each in its version's colour.

    Args:
        history: as `fan_chart` takes it, or None when the prices cannot be read.
        forecasts: of the same symbol, one a version; at least one.
    """
    figure = go.Figure()
    start, horizon = forecasts[0].as_of, max(forecast.horizon for forecast in forecasts)
    first = start
    if history is not None and len(history):
        shown = history.iloc[-shown_bars(horizon) :]
        dates = list(shown["timestamp"])
        first = dates[0]
        _line(figure, dates, shown["close"], "Close", "#5b6773", "solid", 1.6)
    for number, forecast in enumerate(forecasts):
        times = [forecast.as_of, *forecast.target_times]
        fan = np.vstack([np.full(5, forecast.last_close), forecast.quantiles])
        name, stroke = f"v{forecast.model_version}", _stroke(number)
        red, green, blue = (int(SERIES[number % len(SERIES)][n : n + 2], 16) for n in (1, 3, 5))
        _band(figure, times, fan[:, 0], fan[:, 4], f"rgba({red},{green},{blue},0.13)", name)
        _line(figure, times, fan[:, 2], name, str(stroke["color"]), str(stroke["dash"]), 2.2)
    figure.add_vline(x=start, line={"color": NULL, "width": 1, "dash": "dot"})
    _style(figure, CHART_HEIGHT)
    figure.update_xaxes(range=[first, max(f.target_times[-1] for f in forecasts)])
    figure.update_yaxes(side="right", tickformat=",.6~g")
    figure.update_layout(margin={"l": 8, "r": 58, "t": 12, "b": 28})
    return figure


def shown_bars(horizon: int) -> int:
    """Bars of history to show before a forecast: enough for context, not so many as to dwarf it."""
    return 30 + 3 * horizon


def drift_chart(runs: Sequence[DriftSummary]) -> go.Figure:
    """Share of watched columns that drifted, one line per scope, over the drift job's runs."""
    figure = go.Figure()
    times = [datetime.fromisoformat(run.measured_at) for run in runs]
    names = dict.fromkeys(scope.scope for run in runs for scope in run.scopes)
    for number, name in enumerate(names):
        shares = [{scope.scope: scope.share for scope in run.scopes}.get(name) for run in runs]
        figure.add_scatter(
            x=times,
            y=shares,
            mode="lines+markers",
            name=name,
            line=_stroke(number),
            marker={"size": 7, "symbol": number},
            hovertemplate="%{y:.0%}",
        )
    _style(figure, SMALL_HEIGHT)
    figure.update_xaxes(tickformat="%-d %b %H:%M", nticks=4, hoverformat="%d %b %Y %H:%M")
    if len(times) == 1:
        margin = timedelta(hours=12)
        figure.update_xaxes(range=[times[0] - margin, times[0] + margin])
    figure.update_yaxes(tickformat=".0%", range=[-0.04, 1.04])
    return figure


@dataclass(frozen=True)
class Track:
    """How a version's forecasts of one horizon turned out, cumulated over as-of instants.

    Attributes:
        version: model version.
        times: [n] as-of instants, rising.
        error: [n] mean scaled pinball loss so far.
        skill: [n] 1 - error / that of the random walk so far; NaN where that is not known.
        coverage: [n] share of outcomes so far inside the 90 % interval.
    """

    version: str
    times: list[datetime]
    error: Floats
    skill: Floats
    coverage: Floats


def tracks(points: Sequence[RealisedPoint], horizon: int) -> list[Track]:
    """Cumulate realised figures per version, weighting each instant by its forecasts."""
    cumulated = []
    for version in dict.fromkeys(point.model_version for point in points):
        realised = sorted(
            (p for p in points if p.model_version == version and p.horizon == horizon),
            key=lambda point: point.as_of,
        )
        if not realised:
            continue
        weight = np.array([p.matured for p in realised], dtype=np.float64)
        null = np.array(
            [np.nan if p.baseline_pinball is None else p.baseline_pinball for p in realised]
        )
        known = np.isfinite(null)
        error = np.array([p.pinball for p in realised])
        loss = np.cumsum(np.where(known, error * weight, 0.0))
        null_loss = np.cumsum(np.where(known, null * weight, 0.0))
        skill = np.full(len(realised), np.nan)
        np.divide(loss, null_loss, out=skill, where=null_loss > 0)
        so_far = np.cumsum(weight)
        cumulated.append(
            Track(
                version,
                [to_datetime(p.as_of) for p in realised],
                np.cumsum(error * weight) / so_far,
                1.0 - skill,
                np.cumsum(np.array([p.coverage for p in realised]) * weight) / so_far,
            )
        )
    return cumulated


def skill_chart(by_version: Sequence[Track]) -> go.Figure:
    """Realised skill against the random walk, cumulated, per model version; 0 is no better."""
    figure = go.Figure()
    _lines(figure, by_version, "skill", "%{y:+.1%}")
    _reference_line(figure, 0.0)
    _style(figure, SMALL_HEIGHT)
    values = np.concatenate(
        [[0.0], *(track.skill[np.isfinite(track.skill)] for track in by_version)]
    )
    reach = max(0.02, float(np.abs(values[-max(1, len(values) * 4 // 5) :]).max()) * 1.25)
    figure.update_yaxes(tickformat="+.1%", range=[-reach, reach])
    return figure


def error_chart(by_version: Sequence[Track]) -> go.Figure:
    """Realised mean scaled pinball loss, cumulated, per model version."""
    figure = go.Figure()
    _lines(figure, by_version, "error", "%{y:.4f}")
    _style(figure, SMALL_HEIGHT)
    figure.update_yaxes(tickformat=".3f", rangemode="tozero")
    return figure


def coverage_chart(by_version: Sequence[Track]) -> go.Figure:
    """Share of outcomes inside the 90 % interval, cumulated, per model version."""
    figure = go.Figure()
    low, high = COVERAGE_BAND
    figure.add_hrect(y0=low, y1=high, fillcolor="rgba(138,148,160,0.18)", line_width=0)
    _lines(figure, by_version, "coverage", "%{y:.1%}")
    _reference_line(figure, 0.9)
    _style(figure, SMALL_HEIGHT)
    low = min((float(track.coverage.min()) for track in by_version), default=0.8)
    figure.update_yaxes(tickformat=".0%", range=[max(0.0, min(0.8, low - 0.03)), 1.01])
    return figure


def _lines(figure: go.Figure, by_version: Sequence[Track], field: str, hover: str) -> None:
    for number, track in enumerate(by_version):
        figure.add_scatter(
            x=track.times,
            y=getattr(track, field),
            mode="lines+markers" if len(track.times) < 3 else "lines",
            name=f"v{track.version}",
            line=_stroke(number),
            hovertemplate=hover,
        )


def strokes(count: int) -> list[tuple[str, str]]:
    """Colour and SVG dash pattern of the first lines of a chart, for its key."""
    return [(SERIES[n % len(SERIES)], _PATTERNS[n % len(SERIES)]) for n in range(count)]


def _stroke(number: int) -> dict[str, object]:
    place = number % len(SERIES)
    return {"color": SERIES[place], "dash": DASHES[place], "width": 2}


def _band(
    figure: go.Figure, times: Sequence[datetime], low: object, high: object, colour: str, name: str
) -> None:
    edge = {"width": 0, "color": colour}
    figure.add_scatter(
        x=times, y=low, mode="lines", line=edge, name=f"{name} low", hoverinfo="skip"
    )
    figure.add_scatter(
        x=times, y=high, mode="lines", line=edge, name=name, fill="tonexty", fillcolor=colour,
        customdata=low, hovertemplate="%{customdata:,.4~g} to %{y:,.4~g}",
    )  # fmt: skip


def _outline(figure: go.Figure, times: Sequence[datetime], null: Floats) -> None:
    """The random walk's 90 % interval as two dashed edges, and its median between them."""
    _line(figure, times, null[:, 0], "Random walk 5 %", NULL_EDGE, "5px,3px", 1.8)
    _line(figure, times, null[:, -1], "Random walk 95 %", NULL_EDGE, "5px,3px", 1.8)
    _line(figure, times, null[:, null.shape[1] // 2], "Random walk", NULL_EDGE, "1px,3px", 1.2)


def _line(
    figure: go.Figure,
    times: Sequence[datetime],
    values: object,
    name: str,
    colour: str,
    dash: str,
    width: float,
) -> None:
    figure.add_scatter(
        x=times, y=values, mode="lines", name=name,
        line={"color": colour, "dash": dash, "width": width}, hovertemplate="%{y:,.4~g}",
    )  # fmt: skip


def _reference_line(figure: go.Figure, height: float) -> None:
    figure.add_hline(y=height, line={"color": NULL, "width": 1.2, "dash": "dash"}, layer="below")


def _style(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        showlegend=False,
        hovermode="x unified",
        hoverlabel={"bgcolor": "#ffffff", "bordercolor": "#dde2e8"},
        dragmode=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 48, "r": 12, "t": 12, "b": 28},
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    grid = {"gridcolor": "rgba(138,148,160,0.22)", "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        **grid,
        showgrid=False,
        tickformat="%-d %b",
        tickangle=0,
        nticks=7,
        hoverformat="%a %d %b %Y",
    )
    figure.update_yaxes(**grid)
