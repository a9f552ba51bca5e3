"""A caller's own bars: what must hold for them, and when their next bars will close."""

import sys
import threading
from typing import Final

import numpy as np

from forecasting.arrays import Floats, Instants
from forecasting.errors import InvalidPrices
from forecasting.instants import DAY, SECOND, second_text
from forecasting.schema import ENCLOSES, INTERVALS, OHLCV, outside_range

_WEEK: Final = 7 * DAY
_MONDAY: Final = 4 * DAY
"""1970-01-01 was a Thursday; weeks counted from here start on Mondays."""

_RECENT_BARS: Final = 100
_RECENT_DAYS: Final = 14
_IMPORT = threading.Lock()


def import_indicators() -> None:
    """Import TA-Lib, which the features of own bars need, and not the pandas it would wrap.

    TA-Lib takes NumPy arrays; it imports pandas (45 MB resident) only to take its series, too, and
    goes without where pandas is missing, which for the time of the import it seems to be.
    """
    with _IMPORT:
        if "talib" in sys.modules:
            return
        hide = "pandas" not in sys.modules
        if hide:
            sys.modules["pandas"] = None  # type: ignore[assignment]
        try:
            import talib  # noqa: F401
        finally:
            if hide:
                del sys.modules["pandas"]


def check_bars(timestamps: Instants, bars: Floats, interval: str, now: int) -> None:
    """Refuse bars that no market could have printed, or that are not of the model's interval.

    Args:
        timestamps: closes [t], int64 ns since 1970.
        bars: open, high, low, close, volume [t, 5].
        interval: the model's interval, a key of INTERVALS.
        now: int64 ns since 1970; a bar cannot close a day from now.

    Raises:
        InvalidPrices: names the rule, the first bar that breaks it, and the remedy.
    """
    rules = (
        (~np.isfinite(bars).all(axis=1), "every number of a bar must be finite"),
        ((bars[:, :4] <= 0).any(axis=1), "a price must be positive"),
        ((bars > 1e15).any(axis=1), "a number of a bar must be below 1e15"),
        ((bars[:, :4] < 1e-9).any(axis=1), "a price must be above 1e-9"),
        (bars[:, 4] < 0, "volume must not be negative"),
        (bars[:, 1] < bars[:, 2], "a bar's high must not be below its low"),
        (outside_range(bars[:, :4]), ENCLOSES),
        (np.diff(timestamps, prepend=timestamps[0] - 1) <= 0, "timestamps must rise strictly"),
        (timestamps > now + DAY, "a bar must have closed"),
    )
    for broken, rule in rules:
        if broken.any():
            first = int(np.argmax(broken))
            numbers = ", ".join(
                f"{name} {value:g}" for name, value in zip(OHLCV, bars[first], strict=True)
            )
            raise InvalidPrices(
                rule,
                f"{int(broken.sum())} of {len(bars)} bars do not hold it, first bar {first} "
                f"({second_text(timestamps[first])}: {numbers})",
                "Mend or leave out those bars",
            )
    if len(timestamps) > 1:
        step = float(np.median(np.diff(timestamps))) / SECOND
        expected = INTERVALS[interval]
        if not 0.9 * expected <= step <= 1.1 * expected:
            raise InvalidPrices(
                f"bars must have the model's interval, {interval}",
                f"half of them are {step:g} s or more apart",
                f"Send bars of {expected} s",
            )


def next_closes(timestamps: Instants, interval: str, count: int) -> Instants:
    """When the next bars will close, by the week the bars themselves keep, int64 ns [count].

    Daily bars: the time of day of the last one, on the weekdays that recent bars fell on (five
    for stocks, seven for crypto). Shorter bars: the moments of the week seen in the last 14 days.
    Holidays are not known: these bars may be of any market.

    Args:
        timestamps: closes [t], int64 ns since 1970, rising.
        interval: the bars' interval, a key of INTERVALS.
        count: how many.
    """
    last = int(timestamps[-1])
    if INTERVALS[interval] == 86_400:
        recent = timestamps[-_RECENT_BARS:]
        days, seen = np.unique((recent - _MONDAY) % _WEEK // DAY, return_counts=True)
        # A day of the week counts with a twentieth of the bars: a make-up Saturday does not.
        trading = days[seen * 20 >= len(recent)]
        slots = trading * DAY + (last - _MONDAY) % DAY
    else:
        recent = timestamps[timestamps > last - _RECENT_DAYS * DAY]
        slots = np.unique((recent - _MONDAY) % _WEEK)
    week = (last - _MONDAY) // _WEEK * _WEEK + _MONDAY
    weeks = week + _WEEK * np.arange(2 + count // len(slots), dtype=np.int64)
    closes: Instants = (weeks[:, None] + slots).reshape(-1)
    return closes[closes > last][:count]
