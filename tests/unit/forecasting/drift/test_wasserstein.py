"""The many-windows distance is Evidently's distance, window by window."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.adapters.drift.report import measure
from forecasting.drift.columns import Sample, compare
from forecasting.drift.config import DriftRules
from forecasting.drift.wasserstein import distances_between, distances_to, distances_to_rest
from forecasting.drift.windows import ABSENT


def slow_distance(reference, current):
    """The slow, obvious twin: integrate |F - G| over every gap of all values."""
    reference = reference[np.isfinite(reference)]
    current = current[np.isfinite(current)]
    points = np.sort(np.concatenate((reference, current)))
    area = 0.0
    for low, high in pairwise(points):
        area += abs((reference <= low).mean() - (current <= low).mean()) * (high - low)
    return area / (reference.std() or 0.001)


def a_column(seed, rows=80):
    """Values with ties and gaps, as features have them."""
    rng = np.random.default_rng(seed)
    column = np.round(rng.standard_t(3, rows), 1)
    column[rng.random(rows) < 0.1] = np.nan
    return column


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_the_distance_to_the_rest_is_that_of_the_slow_twin(seed, length):
    column = a_column(seed)
    rows = np.arange(length)[None, :] + np.array([[0], [13], [80 - length]])
    rows[1, 0] = ABSENT
    for found, window in zip(distances_to_rest(column, rows), rows, strict=True):
        mine = window[window != ABSENT]
        if np.isfinite(column[mine]).any():
            wanted = slow_distance(np.delete(column, mine), column[mine])
            assert found == pytest.approx(wanted, abs=1e-9)
        else:
            assert np.isnan(found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-5, 5), st.floats(0.1, 9))
def test_distances_between_samples_are_those_of_the_slow_twin(seed, shift, scale):
    reference, current = a_column(seed), a_column(seed + 1, 17) * scale + shift
    wanted = slow_distance(reference, current)
    assert distances_to(reference, current[None, :])[0] == pytest.approx(wanted, abs=1e-9)
    both = np.concatenate((reference, current))
    newest, before = np.arange(80, 97)[None, :], np.arange(80)[None, :]
    assert distances_between(both, newest, before)[0] == pytest.approx(wanted, abs=1e-9)


def test_neither_order_of_rows_nor_of_symbols_matters():
    column = a_column(3)
    rows = np.arange(20)[None, :] + np.array([[0], [40]])
    mixed = np.random.default_rng(0).permuted(rows, axis=1)
    np.testing.assert_array_equal(distances_to_rest(column, rows), distances_to_rest(column, mixed))


def test_windows_without_values_have_no_distance():
    column = np.array([np.nan, np.nan, 1.0, 2.0, 3.0])
    rows = np.array([[0, 1], [2, 3]])
    assert np.isnan(distances_to_rest(column, rows)).tolist() == [True, False]
    nothing = np.full((1, 2), ABSENT)
    assert np.isnan(distances_between(column, nothing, rows[1:])).all()
    assert np.isnan(distances_to(column, np.full((1, 3), np.nan))).all()


def test_it_is_evidentlys_own_score(tmp_path: Path):
    """Small spreads (scaled before Evidently divides), ties, and a column that stands still now."""
    rng = np.random.default_rng(4)
    names = ("return_1", "tiny", "flag", "still")
    reference = np.column_stack(
        [
            rng.standard_t(4, 400),
            rng.normal(size=400) * 1e-5,
            np.arange(400) % 2,
            rng.normal(size=400),
        ]
    )
    current = np.column_stack(
        [rng.normal(0.3, 2, 60), rng.normal(size=60) * 3e-5, np.ones(60), np.zeros(60)]
    )
    compared = compare(Sample(names, reference), Sample(names, current), DriftRules())
    files = {"html": tmp_path / "a.html", "json_file": tmp_path / "a.json"}
    scores = measure(compared, dict.fromkeys(names, 0.5), **files)
    for place, name in enumerate(names):
        twin = distances_to(reference[:, place], current[None, :, place])[0]
        assert scores[name] == pytest.approx(twin, rel=1e-9), name
        assert scores[name] == pytest.approx(
            slow_distance(reference[:, place], current[:, place]), rel=1e-6
        )
    assert "0.5" in files["json_file"].read_text()
    assert files["html"].stat().st_size > 100_000
