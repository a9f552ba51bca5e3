"""Shares with exact binomial intervals (Clopper & Pearson, 1934): in words, and as error bars."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def exact_interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper end of the exact interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(confidence)
    return interval.low, interval.high


def share(count: int, total: int) -> str:
    """A count as its share with the exact 95 % interval."""
    low, high = exact_interval(count, total)
    return f"{count} of {total} = {count / total:.1%} (95 %: {low:.1%} to {high:.1%})"


def plot_shares(
    axes: Any,
    x: Sequence[float] | NDArray[np.float64],
    counts: Iterable[tuple[int, int]],
    **style: Any,
) -> None:
    """Shares in percent with exact 95 % intervals as error bars, from (count, total) at each x."""
    shares, below, above = [], [], []
    for count, total in counts:
        low, high = exact_interval(count, total)
        shares.append(100 * count / total)
        below.append(shares[-1] - 100 * low)
        above.append(100 * high - shares[-1])
    axes.errorbar(x, shares, [below, above], markersize=4, linewidth=1.4, capsize=2, **style)
