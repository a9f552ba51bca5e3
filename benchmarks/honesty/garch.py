"""Prices that a GARCH process made, with or without a shift of volatility at their end.

Stationary by construction, and yet no two months look alike: what a drift detector has to bear.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

BURN_IN: Final = 500
NIGHT: Final = 0.2
"""Share of a day's variance that falls into the gap between close and open."""

_PIECES = 9  # of a day: the gap, then eight stretches of trading


def garch_moves(seed: np.random.SeedSequence, bars: int, symbols: int) -> Floats:
    """Log price moves within each day of symbols that follow GARCH(1,1) processes.

    sigma_t^2 = omega + alpha r_(t-1)^2 + beta sigma_(t-1)^2 (Bollerslev, 1986), each symbol with
    its own alpha in 0.04 to 0.10, persistence alpha + beta in 0.95 to 0.99 and daily volatility
    in 1 to 2.5 %, which is what fits to daily shares give. Shocks have the tails of Student's t
    with 6 degrees of freedom, and symbols share 40 % of their variance.

    Args:
        seed: of everything.
        bars: days.
        symbols: how many.

    Returns:
        [bars, symbols, 9]: the gap after the last close, then eight moves up to this close.
    """
    rng = np.random.default_rng(seed)
    days = BURN_IN + bars
    alpha = rng.uniform(0.04, 0.10, symbols)
    persistence = rng.uniform(0.95, 0.99, symbols)
    variance = rng.uniform(0.01, 0.025, symbols) ** 2
    omega = variance * (1 - persistence)
    common = rng.standard_normal((days, 1, _PIECES))
    own = rng.standard_normal((days, symbols, _PIECES))
    shares = np.array([NIGHT, *[(1 - NIGHT) / (_PIECES - 1)] * (_PIECES - 1)])
    shocks = (np.sqrt(0.4) * common + np.sqrt(0.6) * own) * np.sqrt(shares)
    shocks *= np.sqrt(4.0 / rng.chisquare(6, (days, symbols)))[:, :, None]
    sigma = np.empty((days, symbols))
    whole = shocks.sum(axis=2)
    for day in range(days):
        sigma[day] = np.sqrt(variance)
        square = variance * whole[day] ** 2
        variance = omega + alpha * square + (persistence - alpha) * variance
    moves: Floats = (shocks * sigma[:, :, None])[BURN_IN:]
    return moves


def shifted(moves: Floats, factor: float, days: int) -> Floats:
    """The same moves with the volatility of the last days multiplied.

    A GARCH process whose long-run variance and state both jump by the square of the factor.
    """
    changed = moves.copy()
    changed[len(moves) - days :] *= factor
    return changed


def garch_prices(moves: Floats) -> "pd.DataFrame":
    """A price frame of moves [bars, symbols, 9].

    Log volume is an AR(1), the same for every frame of this shape.
    """
    import pandas as pd

    from forecasting.schema import PRICE_COLUMNS

    bars, symbols, pieces = moves.shape
    steps = moves.transpose(1, 0, 2).reshape(symbols, -1)
    paths = 100 * np.exp(np.cumsum(steps, axis=1)).reshape(symbols, bars, pieces)
    sessions = pd.bdate_range("2005-01-03", periods=bars)
    closes = (sessions + pd.Timedelta(hours=21)).tz_localize("UTC")
    noise = np.random.default_rng(bars).standard_normal((bars, symbols))
    volume = np.zeros((bars, symbols))
    for day in range(1, bars):
        volume[day] = 0.7 * volume[day - 1] + 0.3 * noise[day]
    frame = pd.DataFrame(
        {
            "symbol": np.repeat([f"GARCH{number}" for number in range(symbols)], bars),
            "timestamp": np.tile(closes.to_numpy(), symbols),
            "session": np.tile(sessions.to_numpy(), symbols),
            "open": paths[:, :, 0].ravel(),
            "high": paths.max(axis=2).ravel(),
            "low": paths.min(axis=2).ravel(),
            "close": paths[:, :, -1].ravel(),
            "volume": 1e6 * np.exp(volume.T.ravel()),
            "dividend": 0.0,
            "split": 1.0,
        }
    )
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).astype("datetime64[ns, UTC]")
    return frame[list(PRICE_COLUMNS)]
