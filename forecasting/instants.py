"""Converts instants between int64 nanoseconds since 1970 UTC, datetime, milliseconds, pandas and text.

The predictor imports this module, so pandas is imported where it is used.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.arrays import Instants

if TYPE_CHECKING:
    import pandas as pd

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant that counts as 0."""

MILLISECOND: Final = 10**6
"""Nanoseconds of a millisecond."""

SECOND: Final = 10**9
"""Nanoseconds of a second."""

HOUR: Final = 3_600 * SECOND
"""Nanoseconds of an hour."""

DAY: Final = 24 * HOUR
"""Nanoseconds of a day."""


def nanoseconds(moments: "pd.DatetimeIndex | pd.Series[Any]") -> Instants:
    """Instants of pandas as int64 ns [n]; those without a zone, and dates, count as UTC."""
    import pandas as pd

    instants: Instants = pd.DatetimeIndex(moments).to_numpy(dtype="datetime64[ns]").view(np.int64)
    return instants


def utc_index(instants: Instants) -> "pd.DatetimeIndex":
    """Instants, int64 ns [n], as a pandas index in UTC."""
    import pandas as pd

    return pd.DatetimeIndex(instants.view("datetime64[ns]")).tz_localize("UTC")


def to_nanoseconds(moment: datetime) -> int:
    """An aware datetime in ns, exact to the microsecond.

    Raises:
        TypeError: the datetime has no zone.
    """
    return (moment - EPOCH) // timedelta(microseconds=1) * 1_000


def to_datetime(instant: int | np.int64) -> datetime:
    """An instant in ns as an aware UTC datetime, cut to the microsecond.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return EPOCH + timedelta(microseconds=int(instant) // 1_000)


def to_milliseconds(moment: datetime) -> int:
    """An aware datetime in milliseconds since 1970 UTC, cut to the millisecond.

    Raises:
        TypeError: the datetime has no zone.
    """
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """Milliseconds since 1970 UTC as an aware UTC datetime.

    Raises:
        OverflowError: they lie outside the years 1 to 9999.
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


def date_text(instant: int | np.int64) -> str:
    """The UTC date of an instant in ns, like "2026-01-30"."""
    return f"{to_datetime(instant):%Y-%m-%d}"


def minute_text(instant: int | np.int64) -> str:
    """An instant in ns as UTC text to the minute, like "2026-01-30 21:00"."""
    return f"{to_datetime(instant):%Y-%m-%d %H:%M}"


def second_text(instant: int | np.int64) -> str:
    """An instant in ns as ISO-8601 in UTC to the second, like "2026-01-30T21:00:00Z"."""
    return f"{to_datetime(instant):%Y-%m-%dT%H:%M:%S}Z"
