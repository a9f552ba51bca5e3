"""The count of the watch on variance: bars, spells and delays, from flags whose truth is plain."""

import numpy as np
import pytest

from benchmarks.honesty.realised_variance import (
    FOLLOWS,
    HORIZONS,
    KEEPS,
    YEAR,
    Counts,
    Watched,
    table,
)


def flags(*bars, length=2 * YEAR):
    raised = np.zeros(length, dtype=bool)
    raised[list(bars)] = True
    return raised


def watched(calm, heard):
    return Watched(
        dict.fromkeys(HORIZONS, calm),
        dict.fromkeys(HORIZONS, flags()),
        {
            KEEPS: dict.fromkeys(HORIZONS, heard),
            FOLLOWS: dict.fromkeys(HORIZONS, flags(length=YEAR)),
        },
    )


def test_spells_are_alarms_and_delays_count_from_the_first_bar_of_the_shift():
    markets = [
        watched(flags(0, 1, 2, 9), flags(29, 30, length=YEAR)),
        watched(flags(), flags(9, length=YEAR)),
        watched(flags(), flags(length=YEAR)),
    ]
    counts = Counts.of(markets)
    for horizon in HORIZONS:
        assert counts.alarms["variance"][horizon] == pytest.approx(2 / 6)
        assert counts.bars["variance"][horizon] == pytest.approx(4 / (6 * YEAR))
        assert counts.alarms["coverage"][horizon] == counts.bars["coverage"][horizon] == 0.0
        assert (counts.within[KEEPS][horizon], counts.median[KEEPS][horizon]) == (2, 30)
        assert (counts.within[FOLLOWS][horizon], counts.median[FOLLOWS][horizon]) == (0, YEAR + 1)
    assert table(counts).rows[0][5:] == ["2 of 3", "30", "0 of 3", "-"]
