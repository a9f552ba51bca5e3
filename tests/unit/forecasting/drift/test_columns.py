"""Which columns of two samples are compared, and why others are not."""

import numpy as np
import pytest

from forecasting.drift.columns import Sample, compare
from forecasting.drift.config import DriftRules
from forecasting.errors import InvalidInput, ShortHistory


def columns(rows, seed=0, **extra):
    rng = np.random.default_rng(seed)
    held = {"return_1": rng.normal(size=rows), "rsi_14": rng.normal(size=rows), **extra}
    values = [np.broadcast_to(np.asarray(one, dtype=float), rows) for one in held.values()]
    return Sample(tuple(held), np.stack(values, axis=1))


def reasons(compared):
    return {entry.column: entry.reason for entry in compared.not_measured}


def test_columns_that_both_sides_hold_are_compared():
    compared = compare(columns(500), columns(60, seed=1), DriftRules())
    assert compared.columns == ("return_1", "rsi_14")
    assert compared.not_measured == ()
    assert compared.of(["rsi_14"]).current.values.shape == (60, 1)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (1.0, 1.0, "constant in the reference (1), and still"),
        (1.0, 2.0, "constant in the reference (1), but not any more"),
        (np.nan, 2.0, "100% of its reference values are missing"),
        (np.linspace(0, 1, 500), np.nan, "100% of its current values are missing"),
        (np.linspace(0, 1, 500), np.inf, "100% of its current values are missing"),
    ],
)
def test_a_column_that_cannot_be_measured_is_named_with_its_reason(before, now, reason):
    compared = compare(columns(500, odd=before), columns(60, odd=now), DriftRules())
    assert reasons(compared) == {"odd": reason}
    assert "odd" not in compared.reference.names


def test_a_column_that_only_one_side_holds_is_named():
    compared = compare(columns(500, gone=1.0), columns(60, new=1.0), DriftRules())
    assert reasons(compared) == {
        "gone": "missing now, though the model was trained on it",
        "new": "unknown to the champion's training features",
    }


def test_calendar_and_identity_are_not_watched():
    extra = {"month_sin": 0.5, "symbol_AAPL": 1.0}
    compared = compare(columns(500, **extra), columns(60, **extra), DriftRules())
    assert set(reasons(compared)) == set(extra)
    assert all(reason.startswith("not watched") for reason in reasons(compared).values())


def test_a_column_that_stands_still_now_is_measured():
    compared = compare(columns(500), columns(60, rsi_14=0.0), DriftRules())
    assert "rsi_14" in compared.columns


def test_too_few_current_rows_are_a_short_history():
    with pytest.raises(ShortHistory, match="at least 10 current rows: 5 rows of served features"):
        compare(columns(500), columns(5), DriftRules())


def test_no_current_rows_at_all_are_a_short_history():
    with pytest.raises(ShortHistory, match="0 rows"):
        compare(columns(500), columns(0), DriftRules())


def test_too_small_a_reference_is_refused():
    with pytest.raises(InvalidInput, match="at least 10 rows: 3 rows"):
        compare(columns(3), columns(60), DriftRules())


def test_frames_without_a_common_column_are_refused():
    other = Sample(("other",), np.arange(60.0)[:, None])
    with pytest.raises(InvalidInput, match="none of 3 columns"):
        compare(columns(500), other, DriftRules())
