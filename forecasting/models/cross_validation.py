"""Walk-forward folds over a panel, with purge and embargo."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Instants, Rows
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.schema import MAX_HORIZON

INITIAL: Final = 0.3
"""Share of the instants that precede the first test span."""

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Fold:
    """One step of the walk: learn from `train`, forecast `test`.

    Attributes:
        number: 1 for the oldest test span.
        train: rows to learn from: all whose labels closed before `test_start`.
        test: rows whose instant lies in [test_start, test_stop).
        test_start: first instant of the test span, int64 ns.
        test_stop: first instant after it, int64 ns.
    """

    number: int
    train: Rows
    test: Rows
    test_start: int
    test_stop: int


def walk_forward(
    timestamps: Instants,
    codes: NDArray[np.int32] | None = None,
    *,
    folds: int = 6,
    purge_bars: int = MAX_HORIZON,
    embargo_bars: int = 5,
    initial: float = INITIAL,
) -> list[Fold]:
    """Cut a panel into test spans of equal numbers of instants, oldest first (expanding window).

    A model fitted for a test span may only know what was known when the span began. The label of
    a row reaches `purge_bars` bars of *its own symbol* into the future (a share's thirty bars are
    six weeks, a coin's thirty days), so the row is used for learning only if that bar, and
    `embargo_bars` more for the memory in volatility and overlapping windows, closed before the
    test span began. Rule of thumb: purge as many bars as the longest horizon, embargo a week.

    Args:
        timestamps: [n] bar closes, int64 ns, rising within each symbol.
        codes: [n] symbol of each row; without it all distinct instants are one common clock.
        folds: how many test spans; together they cover the last `1 - initial` of the instants.
        purge_bars: bars a label reaches into the future.
        embargo_bars: further bars left out between the labels and the test span.
        initial: share of the instants that precede the first test span.

    Raises:
        InvalidSettings: an argument makes no sense.
        ShortHistory: a fold would have nothing to learn from or nothing to forecast.
    """
    if folds < 1 or purge_bars < 0 or embargo_bars < 0 or not 0 < initial < 1:
        raise InvalidSettings(
            "walk-forward needs folds >= 1, purge_bars >= 0, embargo_bars >= 0, 0 < initial < 1",
            f"folds {folds}, purge_bars {purge_bars}, embargo_bars {embargo_bars}, "
            f"initial {initial}",
        )
    instants = np.unique(timestamps)
    first = max(int(len(instants) * initial), 1)
    cuts = np.linspace(first, len(instants), folds + 1).round().astype(np.intp)
    if (np.diff(cuts) < 1).any() or first <= purge_bars + embargo_bars:
        raise ShortHistory(
            f"{folds} folds with {purge_bars} + {embargo_bars} bars between learning and testing "
            f"need more than {int((purge_bars + embargo_bars) / initial) + folds} instants",
            f"{len(instants)}",
            "Give a longer history, or ask for fewer folds",
        )
    ends = label_ends(timestamps, codes, purge_bars + embargo_bars)
    steps = []
    for number, (start, stop) in enumerate(pairwise(cuts), 1):
        test_start = int(instants[start])
        test_stop = int(instants[stop]) if stop < len(instants) else int(instants[-1]) + 1
        train = np.flatnonzero(ends < test_start)
        test = np.flatnonzero((timestamps >= test_start) & (timestamps < test_stop))
        if not len(train):
            raise ShortHistory(
                "every fold needs rows to learn from",
                f"fold {number} has none: no symbol has {purge_bars + embargo_bars} bars before it",
                "Give a longer history, or ask for fewer folds",
            )
        steps.append(Fold(number, train, test, test_start, test_stop))
    return steps


def label_ends(timestamps: Instants, codes: NDArray[np.int32] | None, bars: int) -> Instants:
    """Close of the bar `bars` after each row's own, int64 ns [n]; the far future if unknown.

    Args:
        timestamps: [n] bar closes.
        codes: [n] symbol of each row; without it the distinct instants count as bars.
        bars: how far a label reaches.
    """
    ends = np.full(len(timestamps), _NEVER, dtype=np.int64)
    if codes is None:
        instants, position = np.unique(timestamps, return_inverse=True)
        reach = position + bars
        inside = reach < len(instants)
        ends[inside] = instants[reach[inside]]
        return ends
    order = np.lexsort((timestamps, codes))
    ahead, behind = order[bars:], order[: max(len(order) - bars, 0)]
    same = codes[ahead] == codes[behind]
    ends[behind[same]] = timestamps[ahead[same]]
    return ends
