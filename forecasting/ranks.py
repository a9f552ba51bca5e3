"""Average ranks, of a whole sample or within groups, and means over the symbols of an instant."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import AnyFloats, Floats, Instants, Singles

_CELLS: Final = 1 << 16
"""Cells ranked at a time: they stay in the processor's cache."""


def average_ranks(values: AnyFloats, groups: NDArray[np.signedinteger] | None = None) -> Floats:
    """Ranks from 1 on, ties sharing their mean rank: scipy's rankdata, for many groups at once.

    It is here because the predictor carries no scipy, and importing it costs more than a leak
    check takes.

    Args:
        values: finite numbers [n].
        groups: number from 0 on of each value's group [n]; default: all are of one.

    Returns:
        Rank within the group, float64 [n].
    """
    order = np.argsort(values)
    if groups is None:
        groups = np.zeros(values.size, dtype=np.intp)
    # Sixteen bits where they suffice: NumPy then sorts by radix.
    narrow = groups.astype(np.uint16) if groups.size and groups.max() < 2**16 else groups
    order = order[np.argsort(narrow[order], kind="stable")]
    value, group = values[order], groups[order]
    new_group = np.ones(value.size, dtype=bool)
    new_group[1:] = group[1:] != group[:-1]
    new_value = new_group.copy()
    new_value[1:] |= value[1:] != value[:-1]
    position = np.arange(value.size)
    group_start = np.maximum.accumulate(np.where(new_group, position, 0))
    starts = np.flatnonzero(new_value)
    run = np.cumsum(new_value) - 1
    lengths = np.diff(np.append(starts, value.size))
    ranks = np.empty(value.size)
    ranks[order] = starts[run] + (lengths[run] - 1) / 2 - group_start + 1
    return ranks


class CrossSection:
    """Rows grouped by the instant at which their bar closed.

    It ranks the same rows column after column, three times as fast as `average_ranks` would for
    500 symbols, because the rows are put in order once.

    Grouping by trading date instead would leak: New York's close of a date is not known yet
    when Taipei closes on it.

    Args:
        timestamps: closes of the bars, int64 ns [n], in any order.
    """

    def __init__(self, timestamps: Instants) -> None:
        order = np.argsort(timestamps, kind="stable").astype(np.int32)
        ordered = timestamps[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        self._order = order
        self._starts = starts
        self._sizes = np.diff(np.concatenate((starts, [ordered.size])))

    def rank(self, values: Singles) -> Singles:
        """Rank of every row among the finite values of its instant.

        Args:
            values: float32 [n]; NaN where unknown.

        Returns:
            (r - 1/2) / m for the r-th smallest of m, ties sharing their mean rank: within
            (0, 1), and 0.5 for a row that is alone. NaN where `values` is not finite. float32 [n].
        """
        ranks = np.where(np.isfinite(values), np.float32(0.5), np.float32(np.nan))
        for rows, filled in self._groups():
            group = np.where(filled, values[rows], np.float32(np.nan))
            ranks[rows[filled]] = _rank_rows(group)[filled]
        return ranks

    def mean(self, values: Singles) -> Singles:
        """Mean over the finite values of every row's instant, whatever the order of the rows.

        Args:
            values: float32 [n], below 2^16 in size; NaN where unknown.

        Returns:
            float32 [n]; NaN where `values` is not finite.
        """
        known = np.isfinite(values)[self._order]
        ordered = np.where(known, values[self._order], np.float32(0))
        # Whole multiples of 2^-32 add up to the same sum in any order.
        sums = np.add.reduceat(np.rint(ordered * 2.0**32).astype(np.int64), self._starts)
        counts = np.add.reduceat(known.astype(np.int64), self._starts)
        means = np.repeat(sums / (2.0**32 * np.maximum(counts, 1)), self._sizes)
        result = np.full(values.size, np.nan, dtype=np.float32)
        result[self._order[known]] = means[known]
        return result

    def _groups(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
        """Rows of several instants at a time, one instant a line, and which cells are filled.

        Instants of like size share a table, so that at most half of it is empty.
        """
        classes = np.ceil(np.log2(self._sizes)).astype(np.int64)
        for size_class in np.unique(classes[classes > 0]).tolist():
            chosen = np.flatnonzero(classes == size_class)
            columns = np.arange(2**size_class)
            step = max(1, _CELLS // columns.size)
            for first in range(0, chosen.size, step):
                some = chosen[first : first + step, None]
                filled = columns < self._sizes[some]
                places = np.where(filled, self._starts[some] + columns, 0)
                yield self._order[places], filled


def _rank_rows(group: Singles) -> Singles:
    """Mean-tie ranks within every row of [g, m], scaled to (0, 1); NaN where not finite."""
    finite = np.isfinite(group)
    known = np.count_nonzero(finite, axis=1)[:, None].astype(np.float32)
    filled = np.where(finite, group, np.float32(np.inf))  # last; NaN would sort far slower
    order = np.argsort(filled, axis=1)
    ordered = np.take_along_axis(filled, order, axis=1)
    width = group.shape[1]
    places = np.arange(width, dtype=np.int32)[None, :]
    rises = ordered[:, 1:] != ordered[:, :-1]
    first = np.zeros(group.shape, dtype=np.int32)
    first[:, 1:] = np.where(rises, places[:, 1:], 0)
    np.maximum.accumulate(first, axis=1, out=first)
    last = np.full(group.shape, width - 1, dtype=np.int32)
    last[:, :-1] = np.where(rises, places[:, :-1], width - 1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    scaled = (first + last + 1).astype(np.float32) / (2.0 * np.maximum(known, 1.0))
    ranks = np.empty_like(group)
    np.put_along_axis(ranks, order, scaled, axis=1)
    ranks[~finite] = np.nan
    return ranks
