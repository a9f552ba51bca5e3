"""Looks for coming returns in the columns of a feature table, in every stratum of its rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import AnyFloats, Floats, Singles
from forecasting.instants import minute_text
from forecasting.leakage.findings import ECHO, LeakFinding
from forecasting.leakage.strata import Levels

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable

_PARTS: Final = 5
_ROWS: Final = 5_000
_OF_A_SYMBOL: Final = 100
_FEWEST_ROWS: Final = 100
_FEWEST_INSTANTS: Final = 30
_HONEST: Final = 0.5
"""Correlation that the strongest honest effect stays below, see `findings.ECHO`."""

_ERRORS: Final = 5.0
"""Standard errors above `_HONEST`, on Fisher's scale, that a stratum's correlation must reach."""

_FLAT: Final = 1e-4
"""Variance, of all rows' 1, below which a column counts as constant."""

_EDGES: Final = (0.02, 0.5, 0.98)
_FAR: Final = 3.0
"""Times the outer quantiles' distance from the median at which values are cut off, so that no
single bar carries a correlation."""


def check_echo(table: "FeatureTable", returns: NDArray[np.floating]) -> LeakFinding:
    """Look for features that tell what the coming bars bring.

    The returns of the next five single bars do not overlap, so honest features correlate with
    them by some hundredths. A column that holds one of them, however it came there, correlates
    fully, if only on Mondays, in one month or of one symbol. So the correlation is taken over all
    rows, over every symbol, third of volatility, weekday, part of the month, month, age and hour.
    In few instants chance correlates too: a stratum must surely exceed what is honest (Fisher's z).

    Args:
        table: the features as they are handed to the training.
        returns: [n, H] log returns over the next 1..H bars.
    """
    name = "labels_not_in_features"
    parts = np.diff(returns[:, :_PARTS], axis=1, prepend=0.0)
    rows = np.flatnonzero(table.usable & np.isfinite(parts).all(axis=1))
    if len(rows) < _FEWEST_ROWS:
        return LeakFinding(name, True, f"only {len(rows)} rows to look at")
    rows = rows[_sample(table.codes[rows])]
    coming = _standardised(parts[rows] / table.scale[rows, None])
    values = _standardised(table.values[rows])
    worst = _Echo("", -1.0, ECHO, (0, 0), rows)
    for strata in _strata(table, rows):
        found = _correlations(values, coming, strata.total)
        for level in np.flatnonzero(strata.needed < 1.0).tolist():
            feature, part = np.unravel_index(int(np.argmax(found[level])), found[level].shape)
            one = _Echo(
                strata.names[level],
                float(found[level, feature, part]),
                float(strata.needed[level]),
                (int(feature), int(part)),
                rows[strata.holds(level)],
            )
            # Of what does not leak, the correlation in all rows is told.
            if one.excess > worst.excess and (one.excess >= 0 or not one.where):
                worst = one
    last = worst.rows[-1]
    sentence = (
        f"at most {worst.found:.2f}, of {table.names[worst.place[0]]} with the bar "
        f"{worst.place[1] + 1} ahead{worst.where and f', {worst.where}'}, in {len(worst.rows):,} "
        f"rows, the last of them {table.symbols[table.codes[last]]} of "
        f"{minute_text(table.timestamps[last])}"
    )
    return LeakFinding(name, worst.excess >= 0, sentence)


@dataclass(frozen=True, eq=False)
class _Echo:
    """The highest correlation of a stratum, the one it must stay below, and where it is."""

    where: str
    found: float
    needed: float
    place: tuple[int, int]
    rows: NDArray[np.int64]

    @property
    def excess(self) -> float:
        return self.found - self.needed


@dataclass(frozen=True, eq=False)
class _Strata:
    """A partition of rows, or several.

    Attributes:
        names: of every stratum [L].
        needed: the correlation that its rows must stay below [L]; 1 where they are too few.
        total: sums columns [n, k] over every stratum, [L, k].
        holds: which rows a stratum has, bool [n].
    """

    names: Sequence[str]
    needed: Floats
    total: Callable[[Singles], Singles]
    holds: Callable[[int], NDArray[np.bool_]]


def _strata(table: "FeatureTable", rows: NDArray[np.int64]) -> Iterator[_Strata]:
    """Strata of instants and thirds of volatility; and symbols, of which there may be many."""
    instants, place = np.unique(table.timestamps[rows], return_inverse=True)
    levels = Levels.of_instants(instants)
    edges = np.quantile(table.scale[rows], (1 / 3, 2 / 3))
    third = np.searchsorted(edges, table.scale[rows])
    names = (*levels.names, "in calm", "between calm and storm", "in storm")
    members = np.zeros((len(names), len(rows)), dtype=np.float32)
    for partition in (*levels.of[:, place], len(levels.names) + third):
        members[partition, np.arange(len(rows))] = 1.0
    known = np.concatenate(
        [
            np.bincount(levels.of.ravel(), minlength=len(levels.names)),
            [len(np.unique(place[third == number])) for number in range(3)],
        ]
    )
    needed = _needed(known)
    needed[0] = ECHO
    yield _Strata(names, needed, lambda each: members @ each, lambda level: members[level] > 0)

    codes = table.codes[rows]  # rows stand by symbol
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    symbols = [f"of {table.symbols[code]}" for code in codes[starts]]
    yield _Strata(
        symbols,
        _needed(np.diff(starts, append=len(codes))),
        lambda each: np.add.reduceat(each, starts, axis=0),
        lambda level: codes == codes[starts[level]],
    )


def _needed(instants: NDArray[np.int64]) -> Floats:
    """The correlation that no honest feature reaches in so many instants."""
    error = 1.0 / np.sqrt(np.maximum(instants - 3, 1))
    surely = np.tanh(np.arctanh(_HONEST) + _ERRORS * error)
    return np.where(instants >= _FEWEST_INSTANTS, np.maximum(surely, ECHO), 1.0)


def _correlations(
    values: Singles, coming: Singles, total: Callable[[Singles], Singles]
) -> NDArray[np.float64]:
    """Absolute correlations of k features with p returns within strata, [L, k, p]."""
    count = np.maximum(total(np.ones((len(values), 1), dtype=np.float32)), 1)[:, :, None]
    mean, other = total(values)[:, :, None] / count, total(coming)[:, None, :] / count
    square = total(np.square(values))[:, :, None] / count - np.square(mean)
    rest = total(np.square(coming))[:, None, :] / count - np.square(other)
    both = np.stack([total(values * one[:, None]) for one in coming.T], axis=2) / count
    below = np.sqrt(np.maximum(square, _FLAT) * np.maximum(rest, _FLAT))
    result: NDArray[np.float64] = np.abs(both - mean * other) / below
    return result


def _sample(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows drawn from every symbol's whole history, some of each symbol; rising, seeded."""
    random = np.random.default_rng(0)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    drawn = []
    for start, stop in zip(starts, (*starts[1:], len(codes)), strict=True):
        take = max(_OF_A_SYMBOL, round(_ROWS * (stop - start) / len(codes)))
        own = np.arange(start, stop)
        # Drawn, not every so-manieth: a step of five rows would meet Mondays only.
        drawn.append(own if take >= len(own) else np.sort(random.choice(own, take, replace=False)))
    return np.concatenate(drawn)


def _standardised(values: AnyFloats) -> Singles:
    """Columns with mean 0 and variance 1, cut off far outside; 0 if constant."""
    some = values[np.linspace(0, len(values) - 1, min(len(values), 2_000)).astype(np.intp)]
    low, middle, high = np.quantile(some.astype(np.float32), _EDGES, axis=0)
    low, high = middle - _FAR * (middle - low), middle + _FAR * (high - middle)
    cut = np.clip(values, low, high).astype(np.float32)
    cut -= cut.mean(axis=0)
    deviation = cut.std(axis=0)
    return np.divide(cut, np.where(deviation > _FLAT, deviation, 1), dtype=np.float32)
