"""Figures: the same painting gives the same bytes, in two themes, inline."""

import io
import re
from base64 import b64decode

import pytest
from matplotlib.image import imread

from forecasting.evaluation.evaluate import evaluate
from forecasting.report.plots import (
    DARK,
    LIGHT,
    picture,
    pit_histogram,
    png,
    styled_axes,
    styled_legend,
)
from forecasting.testing import planted_forecasts


def line(figure, theme):
    axes = styled_axes(figure, theme, "bars", "skill")
    axes.plot([0, 1, 2], [0, 2, 1], color=theme.hues[0], label="ridge")
    styled_legend(axes, theme)


def colour(text):
    return pytest.approx([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)], abs=1 / 255)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_figure_has_the_size_asked_for_and_the_themes_paper(theme):
    image = imread(io.BytesIO(png(line, theme, height=2.0, dpi=50)))
    assert image.shape[:2] == (100, 380)
    assert image[0, 0, :3].tolist() == colour(theme.paper)


def test_the_same_painting_gives_the_same_bytes():
    assert png(line, LIGHT, height=2.0, dpi=50) == png(line, LIGHT, height=2.0, dpi=50)
    assert png(line, LIGHT, height=2.0, dpi=50) != png(line, DARK, height=2.0, dpi=50)


def test_a_picture_holds_the_dark_figure_for_dark_schemes_and_the_light_one_otherwise():
    html = picture(line, "skill by bars", height=1.0)
    dark, light = (b64decode(data) for data in re.findall(r"base64,([A-Za-z0-9+/=]+)", html))
    assert dark == png(line, DARK, height=1.0, dpi=130)
    assert light == png(line, LIGHT, height=1.0, dpi=130)
    assert 'alt="skill by bars"' in html
    assert html.index("prefers-color-scheme: dark") < html.index("<img")


def test_axes_are_named_and_only_left_and_bottom_are_drawn():
    from matplotlib.figure import Figure

    axes = styled_axes(Figure(), LIGHT, "bars", "skill")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("bars", "skill")
    drawn = {side for side, spine in axes.spines.items() if spine.get_visible()}
    assert drawn == {"left", "bottom"}
    styled_legend(axes, LIGHT)
    assert axes.get_legend() is None


def test_the_histogram_of_outcomes_shows_the_first_and_last_horizon_with_their_band():
    from matplotlib.figure import Figure

    forecasts = planted_forecasts(signal=0, candidates=(), symbols=2, periods=300)
    evaluation = evaluate(forecasts, repetitions=50)
    figure = Figure()
    pit_histogram(evaluation, "random_walk")(figure, LIGHT)
    assert [axes.get_xlabel()[-6:] for axes in figure.axes] == [" h = 1", "h = 30"]
    for axes, found in zip(figure.axes, evaluation.benchmark.pit[::4], strict=True):
        (stairs,) = [patch for patch in axes.patches if hasattr(patch, "get_data")]
        assert stairs.get_data().values.tolist() == (20 * found.shares).tolist()
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].max() == pytest.approx(1 + 20 * found.band.max())
    empty = Figure()
    pit_histogram(evaluate(forecasts, horizons=(7,), repetitions=50), "random_walk")(empty, LIGHT)
    assert not empty.axes
