"""Splits what differs between two forecasts of a symbol: new price, direction, width, new version.

Each part is what changes when one more ingredient of the earlier forecast is exchanged for the
newer one's: first the close it starts from, then where its median lies relative to the close, then
how far its quantiles lie from the median, and last the version that computed them. Measured in
logarithms the parts add up to the whole, whatever the order; in this order each is what a reader
would call by its name.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats

PARTS: Final = ("price", "direction", "width", "version")
"""What a part is due to, in the order in which ingredients are exchanged."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A forecast at one horizon.

    Attributes:
        close: price it starts from, above 0.
        quantiles: [Q] prices, rising and above 0; Q is odd, so that one is the median.
    """

    close: float
    quantiles: Floats

    @property
    def lead(self) -> float:
        """Log of the median over the close."""
        return float(np.log(self.quantiles[len(self.quantiles) // 2] / self.close))

    @property
    def distances(self) -> Floats:
        """Logs [Q] of the quantiles over the median."""
        distances: Floats = np.log(self.quantiles / self.quantiles[len(self.quantiles) // 2])
        return distances


@dataclass(frozen=True, eq=False)
class Parts:
    """Changes by what they are due to, in the order of `PARTS`.

    Attributes:
        quantiles: [4, Q] changes of the logs of the quantiles.
        width: [4] changes of the log of the interval's width, itself the log of its highest
            quantile over its lowest: 0.1 is 10.5 % wider, at any price.
    """

    quantiles: Floats
    width: Floats


def split_change(earlier: Shape, same_version: Shape, newer: Shape) -> Parts:
    """The parts of the change from an earlier forecast to a newer one of the same horizon.

    Args:
        earlier: as it was given then.
        same_version: what the earlier one's version says now; `newer` itself if that is the same.
        newer: as it is given now.

    Quantiles of another scale of prices, as from before a split of the shares, are to be divided
    by it first.
    """
    stages = (
        (earlier.close, earlier.lead, earlier.distances),
        (newer.close, earlier.lead, earlier.distances),
        (newer.close, same_version.lead, earlier.distances),
        (newer.close, same_version.lead, same_version.distances),
        (newer.close, newer.lead, newer.distances),
    )
    logs = np.array([np.log(close) + lead + distances for close, lead, distances in stages])
    widths = np.log([distances[-1] - distances[0] for _, _, distances in stages])
    return Parts(np.diff(logs, axis=0), np.diff(widths))
