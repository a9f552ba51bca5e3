"""The present: by the wall clock, and for a data set, whose clock may be a replayed one."""

from dataclasses import dataclass
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present by the wall clock, aware UTC.

    The core reads the wall clock here and nowhere else, so that a test can set it.
    """
    return datetime.now(UTC)


@dataclass(frozen=True)
class DataClock:
    """The present as a data set sees it.

    Historical data (`replay`) is served as if its last bar had just closed when it was fetched,
    and ages from there like live data does, so freshness means the same in both.

    Attributes:
        fetched_at: when the data were fetched, aware UTC.
        last_bar: close of the newest bar, aware UTC.
        replay: whether the data are historical and replayed.
    """

    fetched_at: datetime
    last_bar: datetime
    replay: bool

    def now(self, wall: datetime | None = None) -> datetime:
        """The instant that counts as now for these data, aware UTC."""
        wall = wall or utc_now()
        return self.last_bar + (wall - self.fetched_at) if self.replay else wall

    def age_seconds(self, wall: datetime | None = None) -> float:
        """Seconds since the newest bar closed."""
        return (self.now(wall) - self.last_bar).total_seconds()
