"""A bar keeps the first fault it was marked with, and the quarantine describes it."""

import numpy as np

from forecasting.prices.quality.judge import judge
from forecasting.prices.quality.marks import FaultMarks
from tests.unit.forecasting.prices.quality.test_judge import NOW, with_cell


def test_a_missing_cell_is_shown_as_it_was_found() -> None:
    judged = judge(with_cell(42, "close", "abc"), now=NOW)
    assert judged.quarantine["detail"].iloc[0] == "close is 'abc'"


def test_a_bar_keeps_its_first_fault() -> None:
    marks = FaultMarks(np.zeros(3, dtype=np.int16))
    marks.mark("not_finite", np.array([True, False, False]))
    marks.mark("holiday_bar", np.array([True, True, False]))
    assert [marks.name(row) for row in (0, 1)] == ["not_finite", "holiday_bar"]
    assert marks.sound.tolist() == [False, False, True]
