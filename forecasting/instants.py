"""Instants as integers: nanoseconds since 1970, UTC."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecasting.schema import TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

Instants = NDArray[np.int64]


def nanoseconds(prices: "pd.DataFrame") -> Instants:
    """Closes of the bars, int64 ns since 1970 UTC [n]."""
    import pandas as pd

    index = pd.DatetimeIndex(prices[TIMESTAMP]).as_unit("ns")
    return index.tz_convert(None).to_numpy(dtype="datetime64[ns]").view(np.int64)


def stamp(ns: int | np.int64) -> str:
    """An instant in UTC, to the minute."""
    return f"{datetime.fromtimestamp(int(ns) / 1e9, UTC):%Y-%m-%d %H:%M}"
