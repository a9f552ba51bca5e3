"""Features use a late bar only from its arrival on."""

import numpy as np

from forecasting.features.point_in_time import describe_as_known
from forecasting.instants import nanoseconds
from forecasting.leakage.checks import (
    check_known_then,
)
from forecasting.leakage.probes import rows_that_differ
from tests.unit.forecasting.leakage.test_checks import PRICES, TABLE, describe, late_panel


def test_a_late_bar_is_not_used_before_it_came():
    known, late = late_panel()
    table = describe_as_known(describe, PRICES, known)
    then = describe(PRICES.drop(index=late).reset_index(drop=True))
    begin, arrival = int(nanoseconds(PRICES["timestamp"])[late]), int(known[late])
    assert rows_that_differ(table, then, arrival - 1, begin, usable_only=True) == ""
    assert rows_that_differ(table, TABLE, int(2e18), arrival) == ""
    assert rows_that_differ(table, TABLE, begin - 1) == ""
    assert not table.usable[late]
    assert not check_known_then(describe, table, PRICES, known).leaks


def test_several_late_bars_each_keep_to_their_own_arrival():
    stamps = nanoseconds(PRICES["timestamp"])
    known = stamps.copy()
    places = [int(np.flatnonzero(PRICES["symbol"] == name)[350]) for name in ("AAA", "CCC")]
    for place, delay in zip(places, (5, 40), strict=True):
        known[place] = stamps[place + delay]
    table = describe_as_known(describe, PRICES, known)
    for instant in np.unique(stamps)[[351, 354, 356, 370, 391, 420]]:
        then = describe(PRICES[known <= instant].reset_index(drop=True))
        differ = rows_that_differ(table, then, int(instant), int(instant), usable_only=True)
        assert differ == "", instant
