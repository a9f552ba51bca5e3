"""What time it is for a test: a moment that stands still, or the machine's clock where it must be."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import pandas as pd
import pytest

from forecasting.prices.calendar import session_bars, session_closes

NOW: Final = datetime(2026, 11, 18, 17, 30, tzinfo=UTC)
"""A Wednesday: Asia and Europe have closed, New York trades, and no exchange rests."""


class Clock:
    """The present of a test and of the product in its process; it moves only when it is set."""

    def __init__(self) -> None:
        self.now = NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the product's core reads, at `NOW` until the test sets it."""
    clock = Clock()

    class Standing(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return clock.now.astimezone(tz)

    monkeypatch.setattr("forecasting.clock.datetime", Standing)
    return clock


def machine_now() -> datetime:
    """The machine's clock, aware UTC: for what another process or a library reads there itself."""
    return datetime.now(UTC)


def past_sessions(symbol: str, count: int, before: datetime) -> pd.DatetimeIndex:
    """Trading dates of the last sessions that a symbol's exchange closed before a moment."""
    first = before - timedelta(days=30 + 2 * count)
    _, days = session_bars(symbol, first.date(), before.date(), "1d")
    return days[session_closes(symbol, days) < before][-count:]
