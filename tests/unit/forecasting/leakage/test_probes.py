"""Other futures change what lies ahead and nothing before; any differing bit is found."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.instants import nanoseconds
from forecasting.leakage.probes import (
    another_future,
    every_bar_raised,
    mixed_future,
    rows_that_differ,
    with_another_future,
)
from forecasting.models.cross_validation import label_ends
from tests.unit.forecasting.leakage.test_checks import EXAMPLES, PRICES, TABLE


@pytest.mark.parametrize("bit", [1, 1 << 22])
def test_one_flipped_bit_of_one_row_is_found(bit):
    values = TABLE.values.copy()
    values.view(np.uint32)[400, 3] ^= bit
    other = replace(TABLE, values=values)
    assert f"{TABLE.names[3]} in 1 rows" in rows_that_differ(TABLE, other, int(2e18))
    assert rows_that_differ(TABLE, other, int(TABLE.timestamps[399])) == ""


def test_another_future_changes_every_later_bar_and_none_before():
    future = np.arange(len(PRICES)) % 3 == 0
    other = another_future(PRICES, future, np.random.default_rng(1))
    assert other[~future].equals(PRICES[~future])
    assert (other.loc[future, "close"] != PRICES.loc[future, "close"]).all()


def test_raised_bars_differ_by_the_steps_of_all_bars_so_far():
    codes = np.unique(PRICES["symbol"], return_inverse=True)[1]
    raised, height = every_bar_raised(PRICES, codes, np.random.default_rng(1))
    moved = np.log(raised["close"] / PRICES["close"]).to_numpy()
    np.testing.assert_allclose(moved, height, atol=1e-12)
    steps = np.diff(height)[codes[1:] == codes[:-1]]
    assert (height[np.flatnonzero(np.diff(codes, prepend=-1))] == 0).all()
    assert len(np.unique(steps)) == len(steps)
    assert (np.abs(steps) >= 0.1 - 1e-9).all()


def test_a_mixed_future_ends_some_symbols_and_gives_the_others_other_bars():
    stamps = nanoseconds(PRICES["timestamp"])
    cut = int(np.median(stamps))
    ends = (PRICES["symbol"] == "AAA").to_numpy()
    mixed = mixed_future(PRICES, stamps, cut, ends, np.random.default_rng(1))
    kept = PRICES[~ends | (stamps <= cut)].reset_index(drop=True)
    past = nanoseconds(kept["timestamp"]) <= cut
    assert mixed[past].equals(kept[past])
    assert mixed["timestamp"].equals(kept["timestamp"])
    assert (mixed.loc[~past, "close"] != kept.loc[~past, "close"]).all()


def test_another_future_of_examples_keeps_what_was_known_at_the_instant():
    start = int(np.median(EXAMPLES.timestamps))
    other = with_another_future(EXAMPLES, start, np.random.default_rng(1))
    before = EXAMPLES.timestamps <= start
    np.testing.assert_array_equal(other.x[before], EXAMPLES.x[before])
    assert (other.x[~before] != EXAMPLES.x[~before]).any(axis=1).all()
    known = np.isfinite(EXAMPLES.returns[:, 4])
    ends = label_ends(EXAMPLES.timestamps, EXAMPLES.codes, 5)
    same = other.returns[:, 4] == EXAMPLES.returns[:, 4]
    np.testing.assert_array_equal(same[known], (ends <= start)[known])
