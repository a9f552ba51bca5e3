"""Exact intervals are those of Clopper and Pearson, in words and in the plots."""

import pytest
from matplotlib.figure import Figure

from benchmarks.honesty.shares import exact_interval, plot_shares, share


def test_nothing_of_n_lies_below_the_root_that_leaves_a_fortieth():
    low, high = exact_interval(0, 50)
    assert low == 0
    assert (1 - high) ** 50 == pytest.approx(0.025)
    assert exact_interval(50, 50) == pytest.approx((1 - high, 1))


def test_more_confidence_is_a_wider_interval():
    low, high = exact_interval(7, 40)
    lower, higher = exact_interval(7, 40, 0.99)
    assert lower < low < 7 / 40 < high < higher


def test_a_share_is_worded_with_its_count_and_interval():
    assert share(0, 50) == "0 of 50 = 0.0% (95 %: 0.0% to 7.1%)"


def test_error_bars_end_where_the_interval_does():
    axes = Figure().subplots()
    plot_shares(axes, [0.1, 0.2], [(7, 40), (0, 50)], label="found")
    (bars,) = axes.containers
    line, _, (segments,) = bars
    assert list(line.get_ydata()) == pytest.approx([17.5, 0.0])
    ends = [(low, high) for (_, low), (_, high) in segments.get_segments()]
    for drawn, counts in zip(ends, [(7, 40), (0, 50)], strict=True):
        assert drawn == pytest.approx(tuple(100 * end for end in exact_interval(*counts)))
