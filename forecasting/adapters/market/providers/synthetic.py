"""Made-up prices: seeded GARCH with regimes and jumps, for tests, load and rehearsals."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.arrays import Floats
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable
from forecasting.instants import nanoseconds, utc_index

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings


FIRST_SESSION: Final = "2010-01-04"
"""Every path begins here, so that a later end only adds bars and rewrites none."""

# per trading day
_CALM, _TURBULENT = 0.011, 0.026  # volatility of the two regimes
_LEAVE_CALM, _LEAVE_TURBULENT = 0.008, 0.04  # probability of leaving them
_ALPHA, _BETA = 0.08, 0.90  # GARCH(1,1) around the regime's variance
_JUMP_CHANCE, _JUMP_SIZE = 0.006, 0.035
_DRIFT = 0.0003
_MARKET_SHARE = 0.45  # share of the shocks' variance that symbols have in common
_TAIL = 6.0  # degrees of freedom of the shocks
_BARS: Final = {"1d": 1.0, "4h": 2.0, "2h": 4.0, "1h": 7.0}  # bars per day, for the volatility


class SyntheticSource:
    """Prices that no market ever paid.

    Log returns are GARCH(1,1) with Student t shocks, partly in common, around the variance of a
    hidden calm or turbulent regime, and now and then a jump. A symbol's path depends on its name,
    the seed and the exchange only, not on the others asked for, nor on start and end.

    Args:
        settings: not used.
        seed: picks the paths.
        count: how many symbols (SYN001 ...) there are when none is named.
        bars: how many of the newest bars to give when no start is named.
    """

    name = "synthetic"
    replay = False
    synthetic = True

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        seed: int | str = 0,
        count: int | str = 5,
        bars: int | str = 2_520,
    ) -> None:
        del settings
        try:
            self.seed, self.count, self.bars = int(seed), int(count), int(bars)
        except ValueError as error:
            raise InvalidSettings("seed, count and bars are whole numbers", str(error)) from error
        if self.seed < 0 or self.count < 1 or self.bars < 1:
            raise InvalidSettings(
                "seed must be at least 0, count and bars at least 1",
                f"seed {self.seed}, count {self.count}, bars {self.bars}",
            )

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Made-up bars up to the last one that closed before today, or to the end named."""
        import pandas as pd

        check_interval(self.name, interval)
        now = utc_now()
        names = list(dict.fromkeys(symbols)) or [f"SYN{i:03d}" for i in range(1, self.count + 1)]
        last = min(pd.Timestamp(end or now.date()), pd.Timestamp(now.date()))
        if end is None:
            last -= pd.Timedelta(days=1)
        frames = [
            self._bars(together, calendar, last, interval)
            for calendar, together in _by_exchange(names).items()
        ]
        bars = within(pd.concat(frames, ignore_index=True), start, end)
        bars = bars[bars["timestamp"] <= now]
        if start is None:
            newest = bars.groupby("symbol", sort=False).cumcount(ascending=False) < self.bars
            bars = bars[newest]
        if bars.empty:
            raise SourceUnavailable(
                f"synthetic prices begin on {FIRST_SESSION} and end today",
                f"none from {start or 'the start'} to {end or 'the end'}",
            )
        return FetchResult(
            bars=bars.reset_index(drop=True),
            fetched_at=now,
            notes=(f"Synthetic prices (seed {self.seed}): made up, no market ever paid them.",),
            survivorship=Survivorship("none"),
        )

    def _bars(
        self, symbols: list[str], calendar: str, last: "pd.Timestamp", interval: str
    ) -> "pd.DataFrame":
        """Price columns of symbols that trade by one calendar, from the first session on."""
        import pandas as pd

        times, sessions = _times(symbols[0], last, interval)
        steps = len(times)
        shocks = np.empty((steps, len(symbols), 5))
        for place, symbol in enumerate(symbols):
            # One generator for each kind of number: a longer path then begins with the shorter.
            shocks[:, place, 0] = self._chance(symbol, interval, "shock").standard_t(_TAIL, steps)
            shocks[:, place, 1:] = self._chance(symbol, interval, "shape").random((steps, 4))
        common = self._chance(calendar, interval, "shock").standard_t(_TAIL, steps)
        regimes = self._chance(calendar, interval, "regime").random(steps)
        returns, scale = _returns(shocks, common, regimes, _BARS[interval])
        first = 20.0 * np.exp(
            3.0 * np.array([self._chance(s, "", "first").random() for s in symbols])
        )
        close = first * np.exp(returns.cumsum(axis=0))
        before = np.vstack([first, close[:-1]])
        opened = before * np.exp(scale * (shocks[:, :, 2] - 0.5))
        high = np.maximum(opened, close) * np.exp(scale * shocks[:, :, 3])
        low = np.minimum(opened, close) * np.exp(-scale * shocks[:, :, 4])
        volume = np.round(1e6 * np.exp(np.abs(returns) / scale) / _BARS[interval])
        columns = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
        count = len(symbols)
        return pd.DataFrame(
            {
                "symbol": np.repeat(np.array(symbols, dtype=object), steps),
                "timestamp": utc_index(np.tile(times, count)),
                "session": pd.DatetimeIndex(np.tile(sessions, count)),
                **{name: values.T.ravel() for name, values in columns.items()},
                "dividend": 0.0,
                "split": 1.0,
            }
        )

    def _chance(self, name: str, interval: str, use: str) -> np.random.Generator:
        named = hashlib.sha256(f"{self.seed};{name};{interval};{use}".encode()).digest()
        return np.random.default_rng(int.from_bytes(named[:16], "little"))


def _by_exchange(symbols: list[str]) -> dict[str, list[str]]:
    from forecasting.prices.calendar import exchange_of

    together: dict[str, list[str]] = {}
    for symbol in symbols:
        together.setdefault(exchange_of(symbol), []).append(symbol)
    return together


def _times(
    symbol: str, last: "pd.Timestamp", interval: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Closes and sessions (nanoseconds) of every bar from the first session to the last."""
    from forecasting.prices.calendar import session_bars

    closes, sessions = session_bars(symbol, date.fromisoformat(FIRST_SESSION), last, interval)
    return nanoseconds(closes), nanoseconds(sessions)


def _returns(
    shocks: NDArray[np.float64], common: Floats, regimes: Floats, bars_per_day: float
) -> tuple[Floats, Floats]:
    """Log returns and their volatility, [steps, symbols]."""
    steps, count = shocks.shape[:2]
    unit = np.sqrt((_TAIL - 2) / _TAIL)
    share = np.sqrt(_MARKET_SHARE)
    own = np.sqrt(1 - _MARKET_SHARE)
    z = unit * (share * common[:, None] + own * shocks[:, :, 0])
    jump = shocks[:, :, 1]
    chance = _JUMP_CHANCE / bars_per_day
    sign = np.where(jump < chance / 2, -1.0, 1.0) * (jump < chance)
    variance = np.full(count, _CALM**2 / bars_per_day)
    last = np.zeros(count)
    returns, scale = np.empty((steps, count)), np.empty((steps, count))
    turbulent = False
    for step in range(steps):
        leave = (_LEAVE_TURBULENT if turbulent else _LEAVE_CALM) / bars_per_day
        turbulent ^= bool(regimes[step] < leave)
        level = (_TURBULENT if turbulent else _CALM) ** 2 / bars_per_day
        variance = (1 - _ALPHA - _BETA) * level + _ALPHA * last**2 + _BETA * variance
        scale[step] = np.sqrt(variance)
        last = scale[step] * z[step]
        returns[step] = last - variance / 2
    jumps = _JUMP_SIZE * sign * (0.5 + shocks[:, :, 2])
    return returns + _DRIFT / bars_per_day + jumps, scale
