"""The split of a change: its parts add up, and each is nothing where its cause is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradio_app.change import PARTS, Shape, split_change

LEVELS = np.array([-1.7, -0.6, 0.0, 0.6, 1.9])
closes = st.floats(0.01, 1e5)
leads = st.floats(-0.2, 0.2)
widths = st.floats(0.002, 0.5)


def shape(close, lead, width):
    return Shape(close, close * np.exp(lead + width * LEVELS))


shapes = st.builds(shape, closes, leads, widths)


@given(shapes, shapes, shapes)
def test_the_parts_add_up_to_the_whole_change_in_logarithms(earlier, same_version, newer):
    parts = split_change(earlier, same_version, newer)
    np.testing.assert_allclose(
        parts.quantiles.sum(axis=0), np.log(newer.quantiles / earlier.quantiles), atol=1e-9
    )
    spans = [np.log(one.quantiles[-1] / one.quantiles[0]) for one in (earlier, newer)]
    np.testing.assert_allclose(parts.width.sum(), np.log(spans[1] / spans[0]), atol=1e-9)


@given(closes, closes, leads, leads, widths, widths)
def test_what_did_not_change_has_no_part(close, new_close, lead, new_lead, width, new_width):
    earlier = shape(close, lead, width)
    causes = {
        "price": shape(new_close, lead, width),
        "direction": shape(close, new_lead, width),
        "width": shape(close, lead, new_width),
    }
    for cause, newer in causes.items():
        parts = split_change(earlier, newer, newer)
        others = [place for place, name in enumerate(PARTS) if name != cause]
        np.testing.assert_allclose(parts.quantiles[others], 0.0, atol=1e-9)
        if cause != "width":
            np.testing.assert_allclose(parts.width, 0.0, atol=1e-9)


@given(shapes, shapes)
def test_another_version_that_says_the_same_has_no_part(earlier, newer):
    parts = split_change(earlier, newer, newer)
    assert not parts.quantiles[PARTS.index("version")].any()
    assert parts.width[PARTS.index("version")] == 0


def test_a_worked_example():
    earlier = shape(100.0, 0.0, 0.02)
    old_version_now = shape(110.0, 0.0, 0.03)
    parts = split_change(earlier, old_version_now, shape(110.0, 0.01, 0.024))
    price, direction, width, version = parts.quantiles
    np.testing.assert_allclose(price, np.log(1.1))
    np.testing.assert_allclose(direction, 0.0, atol=1e-12)
    np.testing.assert_allclose(width, 0.01 * LEVELS, atol=1e-12)
    np.testing.assert_allclose(version, 0.01 - 0.006 * LEVELS, atol=1e-12)
    np.testing.assert_allclose(parts.width, np.log([1, 1, 1.5, 0.8]), atol=1e-12)
