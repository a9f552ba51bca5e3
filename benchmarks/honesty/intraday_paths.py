"""Bars cut from price paths of a known variance: the gap after the last close, then trading."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.garch import NIGHT

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

STEPS: Final = 39
"""Stretches of trading of a bar: ten minutes each of a session of six hours and a half."""

SHARES: Final = np.array([NIGHT, *[(1 - NIGHT) / STEPS] * STEPS])
"""Shares of a bar's variance [1 + STEPS]: of the gap, then of every stretch."""


@dataclass(frozen=True)
class LogBars:
    """Logarithms of open, high, low and close [bars, symbols], above the close before the first."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def log_bars(moves: Floats, variance: Floats, rng: np.random.Generator) -> LogBars:
    """Bars of log prices that move by `moves`, with the extremes of a path in continuous time.

    Between the ends of a stretch the path is a Brownian bridge, whose highest and lowest point are
    drawn from their exact law: (m + sqrt(m^2 - 2 v ln U)) / 2 above the start, for a stretch that
    moves by m with variance v (Karatzas and Shreve 1991, section 2.8). Without it ranges would be
    12 % too short, as of any path that is looked at 39 times a day (Broadie, Glasserman and Kou
    1997). What remains is that the two extremes of one stretch are drawn independently; estimates
    from ranges stay within 1 % of the variance.

    Args:
        moves: log price moves [bars, symbols, 1 + STEPS]: the gap, then every stretch.
        variance: of each bar [bars, symbols], split by `SHARES`.
        rng: draws the extremes.
    """
    bars, symbols, _ = moves.shape
    close = np.cumsum(moves.sum(axis=2), axis=0)
    start = np.vstack([np.zeros((1, symbols)), close[:-1]])
    path = start[..., None] + np.cumsum(moves, axis=2)
    begun, stretch = path[..., :-1], moves[..., 1:]
    twice = 2 * variance[..., None] * SHARES[1:]
    reach = [
        np.sqrt(stretch**2 + twice * rng.standard_exponential((bars, symbols, STEPS)))
        for _ in range(2)
    ]
    # The ends of the path enclose open and close also where rounding would not.
    return LogBars(
        open=path[..., 0],
        high=np.maximum((begun + (stretch + reach[0]) / 2).max(axis=2), path.max(axis=2)),
        low=np.minimum((begun + (stretch - reach[1]) / 2).min(axis=2), path.min(axis=2)),
        close=path[..., -1],
    )


def price_frame(bars: LogBars, rng: np.random.Generator) -> "pd.DataFrame":
    """A price frame of weekday bars, the close before the first being 50; volume says nothing.

    Args:
        bars: of log prices.
        rng: draws the volume.
    """
    import pandas as pd

    from forecasting.schema import PRICE_COLUMNS, validate_prices

    count, symbols = bars.close.shape
    sessions = pd.bdate_range("2010-01-04", periods=count).as_unit("ns")
    closes = (sessions + pd.Timedelta(hours=21)).tz_localize("UTC")
    columns = {
        name: 50.0 * np.exp(getattr(bars, name)).T.ravel()
        for name in ("open", "high", "low", "close")
    }
    frame = pd.DataFrame(
        {
            "symbol": np.repeat([f"SYM{code:02d}" for code in range(symbols)], count),
            "timestamp": np.tile(closes, symbols),
            "session": np.tile(sessions, symbols),
            **columns,
            "volume": np.round(np.exp(rng.normal(13.0, 0.5, count * symbols))),
            "dividend": 0.0,
            "split": 1.0,
        }
    )
    return validate_prices(frame[list(PRICE_COLUMNS)])
