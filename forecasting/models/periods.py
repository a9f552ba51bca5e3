"""Counts the periods of a panel: UTC dates of daily bars, closes of shorter ones.

Exchanges of one day close at different hours, and their forecasts of that day tell of the same
news. Taken as closes they would look like as many observations as there are exchanges, and a
forecast h bars ahead would overlap h closes, which an exchange has in a fraction of h days.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Instants, Rows
from forecasting.instants import DAY


@dataclass(frozen=True)
class Periods:
    """Which rows of a panel are one observation, and how many of those a forecast reaches ahead.

    A period is a UTC date for daily bars (so that exchanges of one day stand together) and the
    bar's close for shorter ones.

    Attributes:
        places: number of each row's period in time order, 0..T-1, shape [n].
        instants: start of the date, or close of the bar, of each period, int64 ns, shape [T].
        stride: periods per bar; above 1 where symbols trade on different days or hours.
    """

    places: Rows
    instants: Instants
    stride: float

    @classmethod
    def of(cls, timestamps: Instants, codes: NDArray[np.signedinteger]) -> Self:
        """The periods of a panel's rows.

        Args:
            timestamps: [n] bar closes, int64 ns.
            codes: [n] symbol of each row.
        """
        stamps = np.asarray(timestamps, dtype=np.int64)
        if _median_spacing(codes, stamps) >= 0.8 * DAY:
            stamps = stamps // DAY * DAY
        instants, places = np.unique(stamps, return_inverse=True)
        return cls(places, instants, _stride(codes, places))

    def overlap(self, horizon: int) -> int:
        """Periods that a forecast `horizon` bars ahead has in common with the next, and 1."""
        return overlap_of(horizon, self.stride)


def overlap_of(horizon: int, stride: float) -> int:
    """Periods that a forecast `horizon` bars ahead reaches, at `stride` periods per bar; at least 1."""
    return max(int(np.ceil(horizon * stride - 1e-9)), 1)


def _median_spacing(codes: NDArray[np.signedinteger], stamps: Instants) -> float:
    order = np.lexsort((stamps, codes))
    gaps = np.diff(stamps[order])[np.diff(codes[order]) == 0]
    return float(np.median(gaps)) if gaps.size else float(DAY)


def _stride(codes: NDArray[np.signedinteger], places: Rows) -> float:
    """Periods per bar of the symbol that trades least often."""
    bars = np.bincount(codes).astype(np.float64)
    last, first = np.zeros(bars.size), np.full(bars.size, np.inf)
    np.maximum.at(last, codes, places)
    np.minimum.at(first, codes, places)
    several = bars > 1
    if not several.any():
        return 1.0
    return max(1.0, float(((last[several] - first[several]) / (bars[several] - 1)).max()))
