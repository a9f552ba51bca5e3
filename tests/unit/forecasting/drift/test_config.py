"""Rules of drift monitoring that make no sense are refused."""

import pytest

from forecasting.drift.config import DriftRules
from forecasting.errors import InvalidSettings


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"false_alarms": 0.6}, "false_alarms"),
        ({"max_missing": 1.0}, "max_missing"),
        ({"min_rows": 1}, "min_rows"),
        ({"level_bars": 0}, "level_bars must be at least 1"),
        ({"before_bars": 0}, "before_bars must be at least 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change, match):
    with pytest.raises(InvalidSettings, match=match):
        DriftRules(**change)
