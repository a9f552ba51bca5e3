"""Draws the report's figures as PNG, in a light and a dark theme, without pyplot or a display."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.evaluation.losses import level_index
from forecasting.models.candidates import NULL_MODEL

if TYPE_CHECKING:
    from forecasting.evaluation.evaluate import Evaluation
    from forecasting.models.out_of_sample import OutOfSample


@dataclass(frozen=True)
class Theme:
    """Colours of one theme. `hues` tell candidates apart for every kind of colour vision.

    The hues are Okabe and Ito's (2008), the dark one's lightened where they would drown.
    """

    paper: str
    ink: str
    faint: str
    hues: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#30343b", "#d9dce1", ("#0072b2", "#d55e00", "#009e73", "#a05a8a", "#8a6d00")
)
DARK = Theme(
    "#1b1f25", "#d3d7de", "#3a4049", ("#56b4e9", "#f0904a", "#2fc29a", "#d89bc3", "#e6c34a")
)

MARKERS = ("o", "s", "^", "D", "v")

Painter = Callable[[Any, Theme], None]


def picture(paint: Painter, alt: str, *, height: float = 3.1) -> str:
    """An HTML <picture> that follows the reader's colour scheme, both images inline."""
    pictures = (png(paint, theme, height=height, dpi=130) for theme in (DARK, LIGHT))
    dark, light = (b64encode(image).decode("ascii") for image in pictures)
    return (
        '<picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="data:image/png;base64,{dark}">'
        f'<img src="data:image/png;base64,{light}" alt="{alt}"></picture>'
    )


def skill_by_horizon(evaluation: "Evaluation") -> Painter:
    """Skill against the random walk per horizon; filled markers are significant."""

    def paint(figure: Any, theme: Theme) -> None:
        axes = styled_axes(figure, theme, "horizon (bars)", "skill (%)")
        axes.axhline(0, color=theme.ink, linewidth=1.2, label="random walk")
        for place, name in enumerate(evaluation.challengers):
            scores = evaluation.candidates[name].by_horizon
            horizons = np.array(sorted(scores))
            skill = np.array([100 * scores[h].skill for h in horizons])
            sure = np.array([scores[h].p_value < evaluation.alpha for h in horizons])
            hue, mark = theme.hues[place % 5], MARKERS[place % 5]
            axes.plot(horizons, skill, color=hue, linewidth=1.6, label=_label(name))
            axes.plot(horizons[sure], skill[sure], mark, color=hue, markersize=5)
            axes.plot(
                horizons[~sure], skill[~sure], mark, color=hue, markersize=4,
                markerfacecolor=theme.paper,
            )  # fmt: skip
        styled_legend(axes, theme)

    return paint


def coverage_by_horizon(evaluation: "Evaluation", band: tuple[float, float]) -> Painter:
    """Coverage of the 90 % and 50 % intervals per horizon, and the band the gate asks for."""

    def paint(figure: Any, theme: Theme) -> None:
        axes = styled_axes(figure, theme, "horizon (bars)", "outcomes inside (%)")
        axes.axhspan(100 * band[0], 100 * band[1], color=theme.faint, alpha=0.6, linewidth=0)
        for nominal in (50, 90):
            axes.axhline(nominal, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
        for place, name in enumerate((*evaluation.challengers, NULL_MODEL)):
            scores = evaluation.candidates[name].by_horizon
            horizons = sorted(scores)
            null = name == NULL_MODEL
            hue = theme.ink if null else theme.hues[place % 5]
            width = 1.0 if null else 1.6
            axes.plot(horizons, [100 * scores[h].coverage_90 for h in horizons], color=hue,
                      linewidth=width, label=_label(name))  # fmt: skip
            axes.plot(horizons, [100 * scores[h].coverage_50 for h in horizons], color=hue,
                      linewidth=width, linestyle="--")  # fmt: skip
        axes.set_ylim(30, 102)
        styled_legend(axes, theme, loc="center right")

    return paint


def calibration(evaluation: "Evaluation", name: str) -> Painter:
    """Left: observed against nominal levels. Right: how outcomes fill the five-quantile bins."""

    def paint(figure: Any, theme: Theme) -> None:
        candidate = evaluation.candidates[name]
        levels = np.array(candidate.levels)
        weight = np.array([candidate.by_horizon[h].forecasts for h in sorted(candidate.by_horizon)])
        known = weight > 0
        pooled = np.average(candidate.below[known], axis=0, weights=weight[known])
        left = styled_axes(figure, theme, "nominal level (%)", "observed (%)", place=121)
        left.plot([0, 100], [0, 100], color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
        shown = [h for h in (evaluation.horizons[0], evaluation.horizons[-1]) if weight[h - 1]]
        for place, horizon in enumerate(dict.fromkeys(shown)):
            left.plot(100 * levels, 100 * candidate.below[horizon - 1], MARKERS[place],
                      linestyle="-", color=theme.hues[place], markersize=4, linewidth=1.3,
                      label=f"h = {horizon}")  # fmt: skip
        styled_legend(left, theme, loc="upper left")
        right = styled_axes(
            figure, theme, "forecast probability bin", "outcomes / expected", place=122
        )
        edges = np.r_[0, levels, 1]
        density = np.diff(np.r_[0, pooled, 1]) / np.diff(edges)
        right.bar(100 * edges[:-1], density, width=100 * np.diff(edges), align="edge",
                  color=theme.hues[0], edgecolor=theme.paper, linewidth=1)  # fmt: skip
        right.axhline(1, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
        right.set_xticks(100 * edges, ["", *(f"{100 * edge:.0f}" for edge in levels), ""])

    return paint


def pit_histogram(evaluation: "Evaluation", name: str) -> Painter:
    """How outcomes fill twenty equal bins of the distribution, and what chance leaves of them.

    At the first and the last horizon that there is a histogram of.
    """

    def paint(figure: Any, theme: Theme) -> None:
        histograms = evaluation.candidates[name].pit
        shown = list(
            {found.horizon: found for found in (*histograms[:1], *histograms[-1:])}.values()
        )
        for place, found in enumerate(shown):
            bins = len(found.shares)
            edges = np.linspace(0, 100, bins + 1)
            side = styled_axes(
                figure,
                theme,
                f"percent of the distribution below, h = {found.horizon}",
                "outcomes / expected",
                place=100 + 10 * len(shown) + place + 1,
            )
            low, high = (np.repeat(1 + sign * bins * found.band, 2) for sign in (-1, 1))
            side.fill_between(np.repeat(edges, 2)[1:-1], low, high, color=theme.faint,
                              linewidth=0, label="19 in 20 by chance")  # fmt: skip
            side.stairs(bins * found.shares, edges, color=theme.hues[0], linewidth=1.6)
            side.axhline(1, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
            side.set_ylim(bottom=0)
            styled_legend(side, theme, loc="lower center")

    return paint


def equity(evaluation: "Evaluation", name: str) -> Painter:
    """The account after costs for each delay, and buy and hold."""

    def paint(figure: Any, theme: Theme) -> None:
        axes = styled_axes(figure, theme, "", "account (start = 1)")
        hold = evaluation.buy_and_hold
        axes.plot(hold.dates, hold.equity, color=theme.ink, linewidth=1, label="buy and hold")
        styles = {0: (0, (1, 1.5)), 1: "-", 2: (0, (5, 2))}
        for place, (delay, account) in enumerate(evaluation.candidates[name].backtests.items()):
            label = {0: "no delay (not tradable)", 1: "one bar's delay"}.get(
                delay, f"{delay} bars' delay"
            )
            axes.plot(account.dates, account.equity, color=theme.hues[(place + 1) % 3],
                      linewidth=2.0 if delay == 1 else 1.2, linestyle=styles.get(delay, "-"),
                      label=label)  # fmt: skip
        styled_legend(axes, theme, loc="upper left")

    return paint


def forecasts_beside_outcomes(
    evaluation: "Evaluation", forecasts: "OutOfSample", code: int, *, rows: int = 250
) -> Painter:
    """The latest forecasts of one symbol at the signal horizon, and what came."""

    def paint(figure: Any, theme: Theme) -> None:
        at = np.flatnonzero(forecasts.codes == code)
        at = at[np.argsort(forecasts.timestamps[at])][-rows:]
        column = min(evaluation.signal_horizon, forecasts.realised.shape[1]) - 1
        dates = forecasts.timestamps[at].astype("datetime64[ns]").astype("datetime64[s]")
        quantiles = 100 * np.expm1(forecasts.quantiles[at, column].astype(np.float64))
        came = 100 * np.expm1(forecasts.realised[at, column].astype(np.float64))
        axes = styled_axes(figure, theme, "", f"{column + 1}-bar return (%)")
        for low, high, shade in ((0.05, 0.95, 0.22), (0.25, 0.75, 0.35)):
            axes.fill_between(
                dates,
                quantiles[:, level_index(low, forecasts.levels)],
                quantiles[:, level_index(high, forecasts.levels)],
                color=theme.hues[0], alpha=shade, linewidth=0,
                label=f"{round(100 * (high - low))} % interval",
            )  # fmt: skip
        median = quantiles[:, level_index(0.5, forecasts.levels)]
        axes.plot(dates, median, color=theme.hues[0], linewidth=1.2, label="median")
        axes.plot(dates, came, ".", color=theme.hues[1], markersize=3, label="what came")
        styled_legend(axes, theme, loc="upper left", columns=4)

    return paint


def png(paint: Painter, theme: Theme, *, height: float, dpi: int) -> bytes:
    """A picture 7.6 inches wide and `height` inches high; the same painting, the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, height), dpi=dpi, layout="constrained", facecolor=theme.paper)
    FigureCanvasAgg(figure)
    paint(figure, theme)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", facecolor=theme.paper, metadata={"Software": None})
    return buffer.getvalue()


def styled_axes(figure: Any, theme: Theme, x: str, y: str, *, place: int = 111) -> Any:
    """Axes with named sides, a faint grid and the theme's colours; `place` as in matplotlib."""
    axes = figure.add_subplot(place, facecolor=theme.paper)
    axes.set_xlabel(x, color=theme.ink, fontsize=9)
    axes.set_ylabel(y, color=theme.ink, fontsize=9)
    axes.tick_params(colors=theme.ink, labelsize=8, length=3)
    axes.grid(visible=True, color=theme.faint, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(theme.faint)
    return axes


def styled_legend(axes: Any, theme: Theme, *, loc: str = "best", columns: int = 1) -> None:
    """A legend in the theme's colours, where anything is labelled."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(
            handles, labels, loc=loc, ncols=columns, fontsize=8, labelcolor=theme.ink,
            facecolor=theme.paper, edgecolor="none", framealpha=0.85,
        )  # fmt: skip


def _label(name: str) -> str:
    return name.replace("_", " ")
