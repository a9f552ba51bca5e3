"""Selects the columns of two samples that can be compared, and says why the others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.arrays import Floats
from forecasting.drift.config import DriftRules
from forecasting.drift.summary import NotMeasured
from forecasting.errors import InvalidInput, ShortHistory


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of numeric columns.

    Attributes:
        names: of the columns.
        values: float64 [n, k].
    """

    names: tuple[str, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> Floats:
        """A copy of one column [n], not finite values as NaN."""
        values = self.values[:, self.names.index(name)].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        return values


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two samples that can be compared column by column without surprises.

    Attributes:
        columns: the measurable columns.
        reference, current: their values; not finite ones as NaN.
        not_measured: the other columns, each with its reason.
    """

    columns: tuple[str, ...]
    reference: Sample
    current: Sample
    not_measured: tuple[NotMeasured, ...]

    def of(self, columns: Sequence[str]) -> "Comparison":
        """The same rows, fewer columns."""
        return Comparison(
            tuple(columns), _only(self.reference, columns), _only(self.current, columns), ()
        )


def compare(
    reference: Sample, current: Sample, rules: DriftRules, *, what: str = "served features"
) -> Comparison:
    """Pair the columns of two samples; name every column that cannot be measured.

    Args:
        reference: what was before.
        current: what is now.
        rules: which columns to watch, and how many rows they need.
        what: name of the current rows in messages.

    Raises:
        InvalidInput: the reference has too few rows, or no column at all can be measured.
        ShortHistory: there are too few current rows.
    """
    if len(reference) < rules.min_rows:
        raise InvalidInput(
            f"a drift reference needs at least {rules.min_rows} rows",
            f"{len(reference)} rows",
            "Train again, so that the champion's run holds its training features",
        )
    if len(current) < rules.min_rows:
        raise ShortHistory(
            f"measuring drift needs at least {rules.min_rows} current rows",
            f"{len(current)} rows of {what}",
            "Wait for more bars, or compare a longer window",
        )
    columns: list[str] = []
    not_measured: list[NotMeasured] = []
    for column in dict.fromkeys((*reference.names, *current.names)):
        reason = _unwatched(column, reference, current, rules) or _incomparable(
            reference.column(column), current.column(column), rules
        )
        if reason is None:
            columns.append(column)
        else:
            not_measured.append(NotMeasured(column, reason))
    if not columns:
        reasons = "; ".join(f"{entry.column}: {entry.reason}" for entry in not_measured[:5])
        raise InvalidInput(
            "measuring drift needs a column both sides hold and that varies",
            f"none of {len(not_measured)} columns ({reasons or 'there are none'})",
            "Check that the champion was trained on the features that are served",
        )
    return Comparison(
        tuple(columns), _only(reference, columns), _only(current, columns), tuple(not_measured)
    )


def _only(sample: Sample, columns: Sequence[str]) -> Sample:
    values = [sample.column(name) for name in columns]
    return Sample(
        tuple(columns), np.stack(values, axis=1) if values else np.empty((len(sample), 0))
    )


def _unwatched(column: str, reference: Sample, current: Sample, rules: DriftRules) -> str | None:
    if column.startswith(rules.ignored):
        return "not watched: it moves with the calendar or the number of symbols only"
    if column not in current.names:
        return "missing now, though the model was trained on it"
    if column not in reference.names:
        return "unknown to the champion's training features"
    return None


def _incomparable(before: Floats, now: Floats, rules: DriftRules) -> str | None:
    for side, values in (("reference", before), ("current", now)):
        finite = int(np.isfinite(values).sum())
        missing = 1 - finite / values.size
        if missing > rules.max_missing:
            return f"{missing:.0%} of its {side} values are missing"
        if finite < rules.min_rows:
            return f"{finite} finite {side} values, {rules.min_rows} are needed"
    if np.nanmin(before) == np.nanmax(before):
        still = np.nanmin(now) == np.nanmax(now) == np.nanmin(before)
        return (
            f"constant in the reference ({np.nanmin(before):g})"
            f"{', and still' if still else ', but not any more'}"
        )
    return None
