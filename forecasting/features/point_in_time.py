"""Point-in-time features: a bar that arrived late is not used before it arrived."""

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecasting.instants import nanoseconds
from forecasting.schema import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from forecasting.features.build import FeatureTable


def describe_as_known(
    describe: "Callable[[pd.DataFrame], FeatureTable]",
    prices: "pd.DataFrame",
    known: NDArray[np.int64],
) -> "FeatureTable":
    """Describe every bar by the bars that were known when it closed.

    A row between a late bar's close and its arrival is described without that bar, as the model
    server did at the time. The late bar's own row is unusable: nobody could have stood there.
    Where no bar came late this is `describe(prices)`; each further arrival costs one description.

    Args:
        describe: the features function.
        prices: a validated price frame of n bars.
        known: int64 ns [n], when each bar was known: its close, or later.

    Returns:
        One row per bar, in the order of `prices`.
    """
    table = describe(prices)
    late = known > nanoseconds(prices[TIMESTAMP])
    if not late.any():
        return table
    values, scale, usable = table.values.copy(), table.scale.copy(), table.usable.copy()
    for begin, arrival in pairwise((np.iinfo(np.int64).min, *np.unique(known[late]))):
        arrived = ~late | (known <= begin)
        then = describe(prices[arrived].reset_index(drop=True))
        here = (then.timestamps >= begin) & (then.timestamps < arrival)
        rows = np.flatnonzero(arrived)[here]
        values[rows], scale[rows], usable[rows] = (
            then.values[here],
            then.scale[here],
            then.usable[here],
        )
    usable[late] = False
    return replace(table, values=values, scale=scale, usable=usable)
