"""The explanation in words and as a table: every part by its name, and none that is not known."""

from dataclasses import replace

import numpy as np
import pytest

from gradio_app import formatting
from gradio_app.change import Parts
from gradio_app.views.change import Difference, change, change_waiting, not_known, not_on_record
from tests.unit.gradio_app.page_records import AS_OF, EVIL, check_html, text_of

ONES = np.ones(5)
SPREAD = np.array([-1.0, -0.4, 0.0, 0.4, 1.0])


def difference(price=0.01, direction=0.0, width=0.02, version=0.0, **changes):
    parts = Parts(
        np.array([price * ONES, direction * ONES, width * SPREAD, version * SPREAD]),
        np.array([0.0, 0.0, 5 * width, 5 * version]),
    )
    made = Difference(AS_OF, "1d", 10, ("2", "2"), True, parts)
    return replace(made, **changes)


def words(shown):
    return text_of(change(shown)).replace(formatting.MINUS, "-")


def test_the_line_says_how_far_median_and_interval_have_moved():
    said = words(difference())
    assert (
        "Since the forecast of Thu 21 Sep 2023 The median for 10 days has moved by +1.01 %" in said
    )
    assert "relative to the price, is 11 % wider." in said
    assert "as wide as it was." in words(difference(width=0.0))
    assert "is 10 % narrower." in words(difference(width=-0.02))


def test_the_parts_stand_above_their_sum():
    said = words(difference(direction=0.001, version=-0.01, versions=("1", "2")))
    rows = ("New price +1.00 % +1.00 % +1.00 % 0.00 %", "New direction +0.10 % +0.10 % +0.10 % 0.00 %",
            "New width -2.00 % 0.00 % +2.00 % +10.00 %",
            "New version, v1 to v2 +1.00 % 0.00 % -1.00 % -5.00 %",
            "In all +0.10 % +1.10 % +2.10 % +5.00 %")  # fmt: skip
    assert " ".join(rows) in said


def test_parts_that_are_nothing_by_their_nature_are_left_out():
    said = words(difference())
    assert "New direction" not in said
    assert "New version" not in said


def test_a_version_that_cannot_be_asked_is_said_where_its_part_is():
    said = words(difference(versions=("1", "2"), told_apart=False))
    assert "Then version 1 answered, now version 2; version 1 cannot be asked any more" in said
    assert "New width and version, v1 to v2 -2.00 %" in said
    assert "Then version 1 answered, now version 2." in words(difference(versions=("1", "2")))


@pytest.mark.parametrize("made", [
    change(difference(versions=(EVIL, "2"))), not_known(EVIL), not_on_record(30), change_waiting(),
])  # fmt: skip
def test_the_markup_is_whole_and_holds_no_script(made):
    assert "script" not in check_html(made)
