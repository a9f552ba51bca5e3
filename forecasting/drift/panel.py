"""Rows of a panel by symbol and time, and the windows that drift is measured on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.drift.config import Look

ABSENT = -1
"""In a table of rows: no row here."""


@dataclass(frozen=True, eq=False)
class DriftPanel:
    """Rows of several symbols, ordered by symbol, then time.

    Attributes:
        symbols: names, in the order of their rows.
        bounds: first row of each symbol, and n: int64 [S + 1].
        instants: unix nanoseconds, rising within a symbol, int64 [n].
        values: float64 [n, k].
        names: names of the k columns.
    """

    symbols: tuple[str, ...]
    bounds: Instants
    instants: Instants
    values: Floats
    names: tuple[str, ...]

    @classmethod
    def of_rows(
        cls,
        symbols: Sequence[str] | NDArray[Any],
        instants: Sequence[int] | Instants,
        values: Floats,
        names: Sequence[str],
    ) -> "DriftPanel":
        """A panel of rows in any order.

        Args:
            symbols: symbol of every row [n].
            instants: unix nanoseconds of every row [n].
            values: float64 [n, k].
            names: names of the k columns.
        """
        labels = np.asarray(symbols, dtype=np.str_)
        times = np.asarray(instants, dtype=np.int64)
        order = np.lexsort((times, labels))
        known, first = np.unique(labels[order], return_index=True)
        return cls(
            tuple(known.tolist()),
            np.concatenate((first, [labels.size])).astype(np.int64),
            times[order],
            np.ascontiguousarray(values[order], dtype=np.float64),
            tuple(names),
        )

    def of_symbols(self, wanted: Collection[str]) -> "DriftPanel":
        """The rows of some symbols."""
        mine = np.isin(self.labels, sorted(wanted))
        return DriftPanel.of_rows(
            self.labels[mine], self.instants[mine], self.values[mine], self.names
        )

    def before(self, instant: int) -> "DriftPanel":
        """The rows before an instant."""
        mine = self.instants < instant
        return DriftPanel.of_rows(
            self.labels[mine], self.instants[mine], self.values[mine], self.names
        )

    def __len__(self) -> int:
        return len(self.instants)

    @property
    def labels(self) -> NDArray[np.str_]:
        """Symbol of every row."""
        return np.repeat(np.array(self.symbols, dtype=np.str_), np.diff(self.bounds))

    @property
    def bars(self) -> int:
        """Rows of the symbol that has the most."""
        return int(np.diff(self.bounds).max(initial=0))

    @cached_property
    def distinct(self) -> Instants:
        """Instants at which any symbol has a row, rising."""
        return np.unique(self.instants)

    def windows(self, ends: Instants, look: Look) -> tuple[Instants, Instants]:
        """Rows of a look as it would have been at earlier instants.

        Whole dates move together: a window holds every symbol's newest bars up to its end. A
        symbol with fewer bars than the look needs, or without any in the window's newest span
        (not listed any more), is absent.

        Args:
            ends: places in `distinct` [W].
            look: how many bars.

        Returns:
            Rows of the newest bars int64 [W, S * newest], and of those before them
            [W, S * before]; ABSENT where there is none.
        """
        times = self.distinct[ends]
        oldest = self.distinct[np.maximum(ends - look.newest + 1, 0)]
        parts = []
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            mine = self.instants[start:stop]
            held = np.searchsorted(mine, times, side="right")
            fresh = mine[np.maximum(held - 1, 0)] >= oldest
            rows = start + held[:, None] - 1 - np.arange(look.bars)
            rows[~(fresh & (held >= look.bars))] = ABSENT
            parts.append(rows)
        table = np.stack(parts, axis=1) if parts else np.empty((len(ends), 0, look.bars), np.int64)
        newest = table[:, :, : look.newest].reshape(len(ends), -1)
        return newest, table[:, :, look.newest :].reshape(len(ends), -1)

    def span(self, look: Look) -> tuple[int, int]:
        """First and last instant of the look at the last instant; (0, 0) if no symbol has one."""
        if not len(self):
            return 0, 0
        first, second = self.windows(np.array([len(self.distinct) - 1]), look)
        rows = np.concatenate((first[0], second[0]))
        held = self.instants[rows[rows != ABSENT]]
        return (int(held.min()), int(held.max())) if held.size else (0, 0)

    def newest(self, look: Look) -> tuple[Floats, Floats]:
        """Values of the look at the last instant: newest [m, k], and before them [n, k]."""
        last = np.array([len(self.distinct) - 1])
        if last[0] < 0:
            return self.values[:0], self.values[:0]
        first, second = (rows[0] for rows in self.windows(last, look))
        return self.values[first[first != ABSENT]], self.values[second[second != ABSENT]]
