"""The training set: which rows may be learned from, and in which units."""

from dataclasses import fields

import numpy as np
import pytest

from forecasting.errors import InvalidInput, ShortHistory
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import horizon_returns
from forecasting.features.variance import WINDOWS
from forecasting.models.quantiles import KNOTS
from forecasting.models.training_set import INNER_FOLDS, Examples, Window, at_knots
from forecasting.schema import MAX_HORIZON
from tests.unit.panels import panel


@pytest.fixture(scope="module")
def table():
    spec = FeatureSpec(symbols=("AAA", "BBB"), variance=WINDOWS)
    return build_features(panel(("AAA", "BBB"), 400), spec)


@pytest.fixture(scope="module")
def returns():
    return horizon_returns(panel(("AAA", "BBB"), 400), range(1, MAX_HORIZON + 1))


def test_only_usable_rows_are_learned_from(table, returns):
    examples = Examples.of(table, returns)
    usable = np.flatnonzero(table.usable & (table.scale > 0))
    assert 0 < len(examples) == len(usable) < len(table.codes)
    assert np.array_equal(examples.timestamps, table.timestamps[usable])
    assert np.array_equal(examples.returns, returns[usable].astype(np.float32), equal_nan=True)


def test_returns_are_standardised_by_volatility_and_the_root_of_the_horizon(table, returns):
    examples = Examples.of(table, returns)
    z = examples.standardised()
    expected = examples.returns[3, 8] / examples.scale[3] / 3.0
    assert z[3, 8] == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(at_knots(z), z[:, [knot - 1 for knot in KNOTS]], equal_nan=True)


def test_the_volatility_to_come_is_that_of_the_next_bars_over_the_scale(table, returns):
    examples = Examples.of(table, returns)
    usable = np.flatnonzero(table.usable & (table.scale > 0))
    for place in (0, 17, len(usable) - 5, len(usable) - 1):
        row = usable[place]
        for knot, horizon in enumerate(KNOTS):
            ahead = slice(row + 1, row + 1 + horizon)
            found = examples.log_widths[place, knot]
            if set(table.codes[row : row + 1 + horizon]) != {table.codes[row]} or (
                row + horizon >= len(table.codes)
            ):
                assert np.isnan(found)
                continue
            volatility = np.sqrt(table.variance[ahead].mean())
            assert found == pytest.approx(np.log(volatility / table.scale[row]), abs=1e-5)


def test_a_choice_of_rows_takes_every_column_of_them(table, returns):
    examples = Examples.of(table, returns)
    place = np.array([5, 2, 9])
    some = examples.rows(place)
    assert len(some) == 3
    for field in fields(Examples):
        whole, part = getattr(examples, field.name), getattr(some, field.name)
        if isinstance(whole, np.ndarray):
            assert np.array_equal(part, whole[place], equal_nan=True)
        else:
            assert part == whole


def test_a_candidate_is_taught_returns_or_volatility(table, returns):
    examples = Examples.of(table, returns)
    z = examples.standardised()
    assert np.array_equal(examples.targets("ridge", z), at_knots(z), equal_nan=True)
    taught = examples.targets("har", z)
    assert np.array_equal(taught[:, : len(KNOTS)], examples.log_widths, equal_nan=True)
    assert np.array_equal(taught[:, len(KNOTS) :], at_knots(z), equal_nan=True)


def test_returns_of_other_rows_are_refused(table):
    with pytest.raises(InvalidInput, match="every row of the feature table"):
        Examples.of(table, np.zeros((5, MAX_HORIZON)))


def test_bars_within_the_warm_up_are_refused():
    short = build_features(panel(("AAA",), 100), FeatureSpec(symbols=("AAA",)))
    with pytest.raises(ShortHistory, match="past the features' warm-up"):
        Examples.of(short, np.zeros((100, MAX_HORIZON)))


def test_a_window_is_cut_into_folds_that_keep_their_distance():
    times, codes = np.arange(300, dtype=np.int64), np.zeros(300, dtype=np.int32)
    window = Window(np.zeros((300, 2), np.float32), np.zeros((300, len(KNOTS))), times, codes)
    folds = window.folds()
    assert len(folds) == INNER_FOLDS
    assert all(fold.test.min() - fold.train.max() > MAX_HORIZON for fold in folds)
