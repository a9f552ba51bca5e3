"""The normed Wasserstein distance of many windows at once, because scipy's takes them one by one.

Evidently measures what is reported, through scipy; thresholds need the same distance of thousands
of windows, for which its 3 CPU-seconds a report are too many. Tests hold the two equal.

W1(F, G) = integral of |F(x) - G(x)| dx (Vallender, 1974), divided by the standard deviation of G.
"""

import numpy as np

from forecasting.arrays import Floats, Instants
from forecasting.drift.windows import ABSENT

SMALLEST_NORM = 0.001
"""What Evidently divides by where the reference does not vary."""


def distances_to_rest(column: Floats, rows: Instants) -> Floats:
    """Distance of every window of a column to the rest of that column.

    As the column is a mixture of window and rest, that is the distance to the whole column over
    1 - m / n.

    Args:
        column: [n]; NaN counts as absent.
        rows: rows of each window [W, R]; ABSENT where there is none; a row once in a window.

    Returns:
        [W], in standard deviations of the rest; NaN where window or rest is empty.
    """
    ordered = np.sort(column[np.isfinite(column)])
    values, counts = _sorted(_picked(column, rows))
    result = np.full(len(rows), np.nan)
    whole = np.flatnonzero((counts > 0) & (counts < ordered.size))
    if whole.size:
        distance = _to_sorted(ordered, values[whole], counts[whole]) / (
            1 - counts[whole] / ordered.size
        )
        result[whole] = distance / _norm(*_moments_of_rest(column, rows[whole]))
    return result


def distances_to(reference: Floats, windows: Floats) -> Floats:
    """Distance of every window to a reference that it is no part of.

    Args:
        reference: [n]; NaN counts as absent.
        windows: values [W, R]; NaN counts as absent.

    Returns:
        [W], in standard deviations of the reference; NaN where either is empty.
    """
    ordered = np.sort(reference[np.isfinite(reference)])
    values, counts = _sorted(windows)
    result = np.full(len(windows), np.nan)
    whole = np.flatnonzero(counts > 0)
    if ordered.size and whole.size:
        norm = _norm(np.array([ordered.var()]), np.array([ordered.mean()]))
        result[whole] = _to_sorted(ordered, values[whole], counts[whole]) / norm
    return result


def distances_between(column: Floats, newest: Instants, before: Instants) -> Floats:
    """Distance of every window's newest rows to its rows before them.

    Args:
        column: [n]; NaN counts as absent.
        newest: rows of each window [W, R].
        before: rows they are compared with [W, Q]; ABSENT where there is none.

    Returns:
        [W], in standard deviations of the rows before; NaN where either side is empty.
    """
    new, old = _picked(column, newest), _picked(column, before)
    new_known, old_known = np.isfinite(new), np.isfinite(old)
    new_count, old_count = new_known.sum(axis=1), old_known.sum(axis=1)
    result = np.full(len(newest), np.nan)
    whole = np.flatnonzero((new_count > 0) & (old_count > 0))
    if not whole.size:
        return result
    both = np.concatenate((new, old), axis=1)[whole]
    # In whole numbers, for equal values come in any order.
    weights = np.concatenate(
        (new_known[whole] * old_count[whole, None], -(old_known[whole] * new_count[whole, None])),
        axis=1,
    )
    order = np.argsort(both, axis=1)  # NaN last, with weight 0
    both = np.take_along_axis(both, order, axis=1)
    lead = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    gaps = np.nan_to_num(np.diff(both, axis=1))
    distance = (np.abs(lead[:, :-1]) * gaps).sum(axis=1) / (new_count * old_count)[whole]
    mean = np.nansum(old[whole], axis=1) / old_count[whole]
    spread = np.nansum((old[whole] - mean[:, None]) ** 2, axis=1) / old_count[whole]
    result[whole] = distance / _norm(spread, mean)
    return result


def _picked(column: Floats, rows: Instants) -> Floats:
    values = column[rows]
    values[rows == ABSENT] = np.nan
    return values


def _sorted(windows: Floats) -> tuple[Floats, Instants]:
    """Sorted values [W, R], absent ones as the window's largest; how many are finite [W]."""
    values = np.sort(windows, axis=1)
    counts = np.isfinite(values).sum(axis=1)
    largest = values[np.arange(len(values)), np.maximum(counts - 1, 0)]
    return np.where(np.isfinite(values), values, largest[:, None]), counts


def _to_sorted(ordered: Floats, values: Floats, counts: Instants) -> Floats:
    """W1 of sorted windows [W, R] with `counts` values each, and the sorted sample `ordered`.

    Between two neighbours of a window its distribution is a constant, which that of `ordered`
    crosses once: so every piece has a closed form in the integral of the latter.
    """
    size = ordered.size
    area = np.concatenate(([0.0], np.cumsum(np.arange(1, size) / size * np.diff(ordered))))
    steps = np.minimum(np.arange(1, values.shape[1]), counts[:, None])
    # Where the sample reaches steps / counts: in whole numbers, so without rounding.
    cross = ordered[-(-steps * size // counts[:, None]) - 1]
    left, right = values[:, :-1], values[:, 1:]
    turn = np.clip(cross, left, right)
    below = _integral(ordered, area, values)
    pieces = steps / counts[:, None] * (2 * turn - left - right) + (
        below[:, 1:] + below[:, :-1] - 2 * _integral(ordered, area, turn)
    )
    ends = below[:, 0] + (ordered[-1] - values[:, -1]) - (area[-1] - below[:, -1])
    distance: Floats = pieces.sum(axis=1) + ends
    return distance


def _integral(ordered: Floats, area: Floats, at: Floats) -> Floats:
    """The integral of the sample's distribution function up to each point."""
    total: Floats = np.interp(at, ordered, area) + np.maximum(at - ordered[-1], 0.0)
    return total


def _moments_of_rest(column: Floats, rows: Instants) -> tuple[Floats, Floats]:
    """Variance and mean of what a window leaves, per window."""
    centre = np.nanmean(column)
    moved = column - centre
    inside = _picked(moved, rows)
    count = np.isfinite(moved).sum() - np.isfinite(inside).sum(axis=1)
    mean = (np.nansum(moved) - np.nansum(inside, axis=1)) / count
    square = (np.nansum(moved**2) - np.nansum(inside**2, axis=1)) / count
    return np.maximum(square - mean**2, 0.0), mean + centre


def _norm(variance: Floats, mean: Floats) -> Floats:
    # What rounding leaves of a constant's variance is no spread.
    still = variance <= (1e-9 * np.abs(mean)) ** 2
    return np.where(still, SMALLEST_NORM, np.sqrt(variance))
