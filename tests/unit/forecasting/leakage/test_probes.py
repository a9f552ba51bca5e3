"""Other futures change what lies ahead and nothing before; any differing bit is found."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.leakage.probes import (
    another_future,
    cut_instants,
    few_symbols,
    later_bars_raised,
    rows_that_differ,
    with_another_future,
)
from forecasting.models.cross_validation import label_ends
from tests.unit.forecasting.leakage.test_checks import EXAMPLES, LONG, PRICES, TABLE


@pytest.mark.parametrize("bit", [1, 1 << 22])
def test_one_flipped_bit_of_one_row_is_found(bit):
    values = TABLE.values.copy()
    values.view(np.uint32)[400, 3] ^= bit
    other = replace(TABLE, values=values)
    assert f"{TABLE.names[3]} in 1 rows" in rows_that_differ(TABLE, other, int(2e18))
    assert rows_that_differ(TABLE, other, int(TABLE.timestamps[399])) == ""


def test_the_newest_bars_of_the_longest_histories_are_picked():
    few = few_symbols(LONG, symbols=2, bars=100)
    assert few["symbol"].nunique() == 2
    for symbol, bars in few.groupby("symbol"):
        own = LONG[LONG["symbol"] == symbol]
        assert bars["timestamp"].tolist() == own["timestamp"].tail(100).tolist()


def test_cuts_lie_in_the_later_half_and_leave_a_future():
    instants = np.arange(100, dtype=np.int64)
    cuts = cut_instants(np.repeat(instants, 3), 4)
    assert len(cuts) == 4
    assert (cuts >= 50).all()
    assert (cuts < 99).all()


def test_another_future_changes_every_later_bar_and_none_before():
    future = np.arange(len(PRICES)) % 3 == 0
    other = another_future(PRICES, future, np.random.default_rng(1))
    assert other[~future].equals(PRICES[~future])
    assert (other.loc[future, "close"] != PRICES.loc[future, "close"]).all()


def test_raised_bars_differ_by_the_step_in_log_prices():
    later = np.arange(len(PRICES)) >= 700
    raised, step = later_bars_raised(PRICES, later)
    moved = np.log(raised["close"] / PRICES["close"]).to_numpy()
    np.testing.assert_allclose(moved, np.where(later, step, 0.0), atol=1e-12)


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
