"""The targets of training: log total returns over a horizon; and the rule of the trading signal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.prices.adjustment import multipliers, symbol_bounds
from forecasting.schema import ACTIONS, MOST_HORIZON

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SignalRule:
    """When a forecast is worth a trade: buy if P(return > cost) reaches the threshold.

    Attributes:
        horizon: bars the position is held; at most as many as the model forecasts.
        cost: log return that a round trip costs.
        threshold: least probability of a move beyond the cost, up to buy, down to sell.
    """

    horizon: int = 5
    cost: float = 0.001
    threshold: float = 0.55

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= MOST_HORIZON:
            raise InvalidSettings(
                f"a signal's horizon is 1 to {MOST_HORIZON} bars", f"got {self.horizon}"
            )
        if not 0.0 <= self.cost < 1.0:
            raise InvalidSettings("a signal's cost is a log return of 0 to 1", f"got {self.cost}")
        if not 0.5 <= self.threshold <= 1.0:
            raise InvalidSettings(
                "a signal's threshold is a probability of 0.5 to 1",
                f"got {self.threshold}",
                "Below 0.5, buy and sell could both be due",
            )


def horizon_returns(prices: "pd.DataFrame", horizons: Sequence[int]) -> Floats:
    """Log total returns over the next h bars of each symbol.

    Args:
        prices: a validated price frame of n bars.
        horizons: bars ahead, each at least 1.

    Returns:
        float64 [n, len(horizons)] in the order of `prices`; NaN where the future is not known.

    Raises:
        InvalidSettings: a horizon is below 1.
        InvalidPrices: bars of a symbol do not stand together.
    """
    if any(horizon < 1 for horizon in horizons):
        raise InvalidSettings("a horizon is at least 1 bar", f"got {list(horizons)}")
    bounds = symbol_bounds(prices)
    close, dividend, split = (
        prices[column].to_numpy(dtype=np.float64) for column in ("close", *ACTIONS)
    )
    returns = np.full((close.size, len(horizons)), np.nan)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = slice(start, stop)
        factor, _ = multipliers(close[rows], dividend[rows], split[rows])
        worth = np.log(close[rows] * factor)
        for column, horizon in enumerate(horizons):
            if horizon < worth.size:
                returns[start : stop - horizon, column] = worth[horizon:] - worth[:-horizon]
    return returns
