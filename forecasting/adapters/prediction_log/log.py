"""The prediction log: one row per symbol answered, in SQLite here, PostgreSQL there.

The server offers answers to a bounded queue and goes on; one writer thread turns them into rows
and writes them in batches. What does not fit is dropped and counted, never waited for; so is a row
that the database refuses. Forecasts of a caller's own bars are counted and not kept, unless asked.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.databases import Database, unanswered
from forecasting.adapters.prediction_log.batches import REJECTED, BatchWriter
from forecasting.adapters.prediction_log.queries import (
    each_once,
    longest_of_each,
    not_copied,
    of_users,
)
from forecasting.adapters.prediction_log.rows import (
    REFRESH,
    Answered,
    LoggedForecast,
    forecast_of,
    rows_of,
    table,
)
from forecasting.instants import to_milliseconds

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Select

__all__ = ["Answered", "LoggedForecast", "PredictionLog"]

logger = logging.getLogger(__name__)

READABLE: Final = "the prediction log must be readable"

_BATCH_SECONDS: Final = 0.5
_BATCH_ROWS: Final = 500
_RETRY_SECONDS: Final = 2.0
_READ_ROWS: Final = 1_000


class PredictionLog:
    """The log at a SQLAlchemy URL; opens nothing before it is used.

    Args:
        url: SQLAlchemy URL, e.g. sqlite:///predictions.sqlite.
        capacity: rows that may wait to be written.
        own_bars: whether forecasts of a caller's own bars are kept, too.
        on_rows: called with (outcome, rows), from any thread. The outcome is "written", "dropped"
            (no room, or the database stayed away), "rejected" (the database refuses the row) or
            "own_bars" (not kept).
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int = 10_000,
        own_bars: bool = False,
        on_rows: Callable[[str, int], None] | None = None,
    ) -> None:
        self._url = url
        self._capacity = capacity
        self._keeps_own_bars = own_bars
        self._on_rows = on_rows or (lambda _outcome, _rows: None)
        self._queue: deque[Answered] = deque()
        self._waiting = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._give_up = 0.0
        self._writer: threading.Thread | None = None
        self._database = Database(url, often=True)
        self._batches = BatchWriter(self._database, self._on_rows)

    # writing

    def start(self) -> None:
        """Start the writer thread; a database that is down is tried again, not fatal."""
        self._writer = threading.Thread(target=self._write_loop, name="prediction-log", daemon=True)
        self._writer.start()

    def offer(self, answer: Answered) -> bool:
        """Queue an answer to be logged; never blocks. False: it will not be."""
        rows = len(answer.symbols)
        if answer.own_bars and not self._keeps_own_bars:
            self._on_rows("own_bars", rows)
            return False
        with self._lock:
            fits = self._waiting + rows <= self._capacity
            if fits:
                self._waiting += rows
                self._queue.append(answer)
        if not fits:
            self._on_rows("dropped", rows)
        elif self._waiting >= _BATCH_ROWS and not self._wake.is_set():
            self._wake.set()
        return fits

    def keep(self, answer: Answered) -> int:
        """Write an answer now; rows that are there already stay. How many rows it has.

        Raises:
            Unavailable: the database cannot be reached, or does not let us; nothing was written.
        """
        from sqlalchemy.exc import SQLAlchemyError

        rows = list(rows_of(answer))
        try:
            self._batches.insert(rows)
        except (SQLAlchemyError, OSError) as error:
            raise unanswered("the prediction log must take rows", self._url, error) from error
        return len(rows)

    def close(self, seconds: float = 10.0) -> None:
        """Write what waits, for at most so long, then let go of the database."""
        self._give_up = time.monotonic() + seconds
        self._closing.set()
        self._wake.set()
        if self._writer is not None:
            self._writer.join(seconds + 1)
        left = self._take(self._capacity + 1)
        if left:
            self._on_rows("dropped", sum(len(answer.symbols) for answer in left))
        self._database.close()

    def _take(self, most: int) -> list[Answered]:
        taken: list[Answered] = []
        rows = 0
        with self._lock:
            while self._queue and rows < most:
                taken.append(self._queue.popleft())
                rows += len(taken[-1].symbols)
            self._waiting -= rows
        return taken

    def _write_loop(self) -> None:
        rows: list[tuple[Any, ...]] = []
        while not self._closing.is_set():
            self._wake.wait(_BATCH_SECONDS)
            self._wake.clear()
            rows = self._drain(rows)
            if rows:
                self._closing.wait(_RETRY_SECONDS)
        while (rows := self._drain(rows)) and time.monotonic() < self._give_up:
            time.sleep(0.1)
        if rows:
            self._on_rows("dropped", len(rows))

    def _drain(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Write `rows`, then all that waits; return what the database would not take."""
        while True:
            if rows := self._batches.write(rows):
                return rows
            answers = self._take(_BATCH_ROWS)
            if not answers:
                return []
            for answer in answers:
                rows += self._rows(answer)

    def _rows(self, answer: Answered) -> list[tuple[Any, ...]]:
        try:
            return list(rows_of(answer))
        except Exception:  # one answer that cannot be written down must not end the log
            logger.exception("an answer cannot be logged")
            self._on_rows(REJECTED, len(answer.symbols))
            return []

    # reading

    def recent(self, limit: int = 100) -> list[LoggedForecast]:
        """The newest forecasts that users got of served symbols, newest first; none of own bars.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = (
            predictions.select()
            .where(predictions.c.own_bars.is_(False), of_users())
            .order_by(predictions.c.made_at.desc(), predictions.c.id)
            .limit(limit)
        )
        return list(self._read(query))

    def since(self, instant: datetime, limit: int = 100_000) -> list[LoggedForecast]:
        """Forecasts that users got at or after an instant, own bars included, oldest first.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = predictions.select().where(
            predictions.c.made_at >= to_milliseconds(instant), of_users()
        )
        return list(
            self._read(query.order_by(predictions.c.made_at, predictions.c.id).limit(limit))
        )

    def each_once(
        self,
        *,
        model_version: str | None = None,
        symbols: Collection[str] | None = None,
        since: datetime | None = None,
    ) -> Iterator[LoggedForecast]:
        """Every forecast of served symbols that a refresh logged or a user got, once, as they were made.

        A forecast is a version's of a symbol as of a bar of a source, however often it was asked for. Of its
        repeats come those that were the first to reach their horizon, at most one a horizon. Rows
        are read while they are used, so memory does not grow with the log. None of a caller's own
        bars: nobody here knows their outcomes.

        Args:
            model_version: only this version's.
            symbols: only of these.
            since: only those made at or after this instant.

        Raises:
            Unavailable: the database cannot be read.
        """
        columns = table().c
        where = [columns.own_bars.is_(False), not_copied()]
        if model_version is not None:
            where.append(columns.model_version == model_version)
        if symbols is not None:
            where.append(columns.symbol.in_(symbols))
        if since is not None:
            where.append(columns.made_at >= to_milliseconds(since))
        return self._read(each_once(where))

    def earlier(
        self, symbol: str, as_of: datetime, since: datetime, *, limit: int = 40
    ) -> list[LoggedForecast]:
        """Forecasts that users got of a symbol as of bars before one, a row a bar and version.

        Args:
            symbol: which.
            as_of: close of the bar before whose forecasts are meant.
            since: made at or after this instant.
            limit: only those of the newest bars.

        Returns:
            The longest of each bar and version, the first of these; those of the newest bar first,
            and of one bar in the order in which they were made.

        Raises:
            Unavailable: the database cannot be read.
        """
        columns = table().c
        before = (
            columns.symbol == symbol,
            columns.as_of < to_milliseconds(as_of),
            columns.made_at >= to_milliseconds(since),
            columns.own_bars.is_(False),
            of_users(),
        )
        query = longest_of_each((columns.as_of, columns.model_version), before)
        query = query.order_by(columns.as_of.desc(), columns.made_at, columns.id)
        return list(self._read(query.limit(limit)))

    def mirrored(
        self, since: datetime, until: datetime, *, limit: int = 200_000
    ) -> list[LoggedForecast]:
        """What was answered of requests that were copied, and of their copies; oldest first.

        Args:
            since: when the first answer was made.
            until: when the last was.
            limit: only the newest so many.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = (
            predictions.select()
            .where(
                predictions.c.made_at.between(to_milliseconds(since), to_milliseconds(until)),
                predictions.c.gateway_id.is_not(None),
                predictions.c.own_bars.is_(False),
            )
            .order_by(predictions.c.made_at.desc(), predictions.c.id)
            .limit(limit)
        )
        return list(self._read(query))[::-1]

    def count(self) -> int:
        """Rows in the log.

        Raises:
            Unavailable: the database cannot be read.
        """
        from sqlalchemy import func, select
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._database.engine(table()).connect() as connection:
                return int(connection.scalar(select(func.count()).select_from(table())) or 0)
        except (SQLAlchemyError, OSError) as error:
            raise unanswered(READABLE, self._url, error) from error

    def versions_since(self, instant: datetime) -> list[str]:
        """Versions that answered users at or after an instant, sorted.

        Raises:
            Unavailable: the database cannot be read.
        """
        from sqlalchemy import select
        from sqlalchemy.exc import SQLAlchemyError

        predictions = table()
        query = select(predictions.c.model_version).distinct()
        query = query.where(
            predictions.c.made_at >= to_milliseconds(instant), predictions.c.protocol != REFRESH
        )
        try:
            with self._database.engine(table()).connect() as connection:
                return sorted(str(row[0]) for row in connection.execute(query))
        except (SQLAlchemyError, OSError) as error:
            raise unanswered(READABLE, self._url, error) from error

    def _read(self, query: "Select[Any]") -> Iterator[LoggedForecast]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._database.engine(table()).connect() as connection:
                streamed = connection.execution_options(yield_per=_READ_ROWS)
                for row in streamed.execute(query).mappings():
                    if (forecast := _readable(row)) is not None:
                        yield forecast
        except (SQLAlchemyError, OSError) as error:
            raise unanswered(READABLE, self._url, error) from error


def _readable(row: "RowMapping") -> LoggedForecast | None:
    """A row read back; one that is damaged is left out, so that it hides no other."""
    try:
        return forecast_of(row)
    except (TypeError, ValueError, OverflowError) as error:
        logger.warning("row %s of the prediction log is damaged: %s", row["id"], error)
        return None
