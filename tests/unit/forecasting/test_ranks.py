"""Average ranks, held to scipy's rankdata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecasting.ranks import CrossSection, average_ranks


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), min_size=1, max_size=60))
def test_ranks_within_groups_share_ties_like_scipy(rows):
    groups, values = np.array(rows).T
    ranks = average_ranks(values.astype(float), groups)
    for group in np.unique(groups):
        expected = stats.rankdata(values[groups == group])
        np.testing.assert_array_equal(ranks[groups == group], expected)


def test_without_groups_all_values_are_ranked_together():
    values = np.random.default_rng(13).integers(0, 30, 200).astype(np.float32)
    np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values))
    assert average_ranks(np.empty(0)).size == 0


def test_more_groups_than_sixteen_bits_hold_are_kept_apart():
    groups = np.array([2**17, 1, 2**17, 1])
    assert average_ranks(np.array([3.0, 2.0, 1.0, 4.0]), groups).tolist() == [2, 1, 1, 2]


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 30))
def test_a_cross_section_ranks_every_row_among_its_instant(seed, symbols, instants):
    random = np.random.default_rng(seed)
    timestamps = random.permutation(np.repeat(np.arange(instants) * 10**9, symbols))
    values = random.integers(0, 4, timestamps.size).astype(np.float32)
    values[random.random(timestamps.size) < 0.2] = np.nan
    ranks = CrossSection(timestamps).rank(values)
    for instant in np.unique(timestamps):
        row = values[timestamps == instant]
        known = np.isfinite(row)
        expected = np.full(row.shape, np.nan)
        expected[known] = (stats.rankdata(row[known]) - 0.5) / max(known.sum(), 1)
        np.testing.assert_allclose(ranks[timestamps == instant], expected, rtol=1e-6)
    assert ranks.dtype == np.float32


@pytest.mark.parametrize("symbols", [70_000])
def test_instants_with_more_symbols_than_a_table_holds_are_ranked_whole(symbols):
    values = np.random.default_rng(1).random(symbols, dtype=np.float32)
    ranks = CrossSection(np.zeros(symbols, dtype=np.int64)).rank(values)
    expected = (stats.rankdata(values) - 0.5) / symbols
    np.testing.assert_allclose(ranks, expected, rtol=1e-6)
