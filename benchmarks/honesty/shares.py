"""Shares with exact binomial intervals (Clopper & Pearson, 1934): in words, as promises, and as error bars."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Finding

_MANY = 200
"""Runs from which a share is held against its limit as it is."""


def exact_interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper end of the exact interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(confidence)
    return interval.low, interval.high


def share(count: int, total: int) -> str:
    """A count as its share with the exact 95 % interval."""
    low, high = exact_interval(count, total)
    return f"{count} of {total} = {count / total:.1%} (95 %: {low:.1%} to {high:.1%})"


def at_most(what: str, count: int, total: int, limit: float) -> Finding:
    """A share that is kept low; of a few runs, one whose exact interval reaches so low."""
    low, _ = exact_interval(count, total)
    holds = bool((low if total < _MANY else count / total) <= limit)
    return Finding(what, share(count, total), f"at most {limit:.0%}", holds)


def at_least(what: str, count: int, total: int, limit: float) -> Finding:
    """A share that is kept high; of a few runs, one whose exact interval reaches so high."""
    _, high = exact_interval(count, total)
    holds = bool((high if total < _MANY else count / total) >= limit)
    return Finding(what, share(count, total), f"at least {limit:.0%}", holds)


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
