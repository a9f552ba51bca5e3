"""A shadow's answers beside the stable version's: joined by request, compared with a plain loop."""

import statistics
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.rollout.comparison import Comparison, Logged, compare

BAR = datetime(2026, 11, 27, 21, tzinfo=UTC)


def logged(key, symbol="AAPL", *, shadow=False, shift=0.0, scale=1.0, bars=2, **changes):
    """A forecast around 100, its point moved and its interval scaled."""
    spread = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
    steps = np.sqrt(np.arange(1, bars + 1))
    quantiles = 100 + shift + scale * np.outer(steps, spread)
    version = "4" if shadow else "3"
    row = Logged(key, symbol, version, shadow, BAR, quantiles.tolist(), 0.001)
    return row._replace(**changes)


def copied(key, **of_the_shadow):
    return logged(key), logged(key, shadow=True, **of_the_shadow)


def test_differences_are_in_widths_of_the_stable_versions_interval():
    rows = [*copied("a", shift=0.8), *copied("b", shift=-4.0, scale=1.5), *copied("c")]
    found = compare(rows)
    assert (found.versions, found.joined) == (("3",), 3)
    one, two = found.differences
    assert (one.symbol, one.horizon, one.answers) == ("AAPL", 1, 3)
    assert one.point_median == pytest.approx(0.0)
    assert one.point_largest == pytest.approx(-0.5)
    assert (one.width_median, one.width_largest) == (pytest.approx(0.0), pytest.approx(0.5))
    assert (two.horizon, two.point_largest) == (2, pytest.approx(-0.5 / 2**0.5))


answers = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "MSFT"]),
        st.floats(-50, 50),
        st.floats(0.1, 10),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=20,
)


@given(answers, st.randoms())
def test_whatever_the_order_of_the_rows_a_plain_loop_finds_the_same(moves, random):
    rows = []
    plain = {}
    for number, (symbol, shift, scale, bars) in enumerate(moves):
        stable = logged(str(number), symbol, bars=4)
        shadow = logged(str(number), symbol, shadow=True, shift=shift, scale=scale, bars=bars)
        rows += [stable, shadow]
        for bar in range(bars):
            one, other = stable.quantiles[bar], shadow.quantiles[bar]
            width = one[4] - one[0]
            points, widths = plain.setdefault((symbol, bar + 1), ([], []))
            points.append((other[2] - one[2]) / width)
            widths.append((other[4] - other[0]) / width - 1)
    random.shuffle(rows)
    found = compare(rows)
    assert [(one.symbol, one.horizon) for one in found.differences] == sorted(plain)
    for one in found.differences:
        points, widths = plain[one.symbol, one.horizon]
        assert one.answers == len(points)
        assert one.point_median == pytest.approx(statistics.median(points), abs=1e-9)
        assert abs(one.point_largest) == pytest.approx(max(map(abs, points)), abs=1e-9)
        assert one.width_median == pytest.approx(statistics.median(widths), abs=1e-9)
        assert abs(one.width_largest) == pytest.approx(max(map(abs, widths)), abs=1e-9)


def test_a_version_beside_itself_does_not_differ():
    found = compare([row for key in "abc" for row in copied(key)])
    for one in found.differences:
        assert (one.point_median, one.point_largest) == (0, 0)
        assert (one.width_median, one.width_largest) == (0, 0)


def test_answers_without_the_other_side_are_counted_and_not_compared():
    batch = [logged("a", symbol) for symbol in ("AAPL", "MSFT")]
    rows = [*batch, logged("a", shadow=True), logged("b"), logged("c", shadow=True)]
    found = compare(rows)
    assert (found.joined, found.only_users, found.only_copies) == (1, 1, 1)
    assert found.refused_symbols == 1
    assert {one.symbol for one in found.differences} == {"AAPL"}


def test_pairs_of_other_bars_are_left_out_for_their_difference_is_the_datas():
    later = BAR + timedelta(days=1)
    found = compare([*copied("a", as_of=later), *copied("b")])
    assert (found.joined, found.other_bar) == (2, 1)
    assert [one.answers for one in found.differences] == [1, 1]


@pytest.mark.parametrize(
    "quantiles", [[[100.0] * 5], [[1.0, 2.0, float("nan"), 4.0, 5.0]]], ids=["no width", "NaN"]
)
def test_prices_that_cannot_be_compared_are_counted(quantiles):
    found = compare([logged("a", quantiles=quantiles), logged("a", shadow=True)])
    assert (found.joined, found.unusable, found.differences) == (1, 1, ())


def test_an_id_that_came_twice_joins_nothing():
    found = compare([*copied("a"), logged("a"), *copied("b")])
    assert (found.joined, found.repeated) == (1, 1)


def test_the_time_in_the_server_is_that_of_the_same_requests():
    rows = [row for key in "abcd" for row in copied(key, seconds=0.004)] + [logged("e", seconds=9)]
    found = compare(rows)
    assert found.stable_seconds == (pytest.approx(0.001), pytest.approx(0.001))
    assert found.shadow_seconds == (pytest.approx(0.004), pytest.approx(0.004))


def test_where_nothing_was_logged_nothing_is_said():
    found = compare([])
    assert (found.joined, found.versions, found.differences) == (0, (), ())
    assert all(np.isnan(found.stable_seconds))
    assert Comparison().joined == 0
