"""The prediction log: one row per symbol answered, in SQLite here, PostgreSQL there.

The server offers answers to a bounded queue and goes on; one writer thread turns them into rows
and writes them in batches. What does not fit is dropped and counted, never waited for.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.databases import Database
from forecasting.adapters.prediction_log.rows import (
    Answered,
    LoggedForecast,
    forecast_of,
    rows_of,
    table,
)
from forecasting.errors import InvalidSettings, Unavailable
from forecasting.instants import to_milliseconds

if TYPE_CHECKING:
    from sqlalchemy import Select

__all__ = ["Answered", "LoggedForecast", "PredictionLog"]

logger = logging.getLogger(__name__)

_BATCH_SECONDS: Final = 0.5
_BATCH_ROWS: Final = 500
_RETRY_SECONDS: Final = 2.0


class PredictionLog:
    """The log at a SQLAlchemy URL; opens nothing before it is used.

    Args:
        url: SQLAlchemy URL, e.g. sqlite:///predictions.sqlite.
        capacity: rows that may wait to be written.
        on_rows: told ("written" | "dropped", rows), from any thread.
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int = 10_000,
        on_rows: Callable[[str, int], None] | None = None,
    ) -> None:
        self._url = url
        self._capacity = capacity
        self._on_rows = on_rows or (lambda _outcome, _rows: None)
        self._queue: deque[Answered] = deque()
        self._waiting = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._give_up = 0.0
        self._writer: threading.Thread | None = None
        self._database = Database(url, often=True)

    # writing

    def start(self) -> None:
        """Start the writer thread; a database that is down is tried again, not fatal."""
        self._writer = threading.Thread(target=self._write_loop, name="prediction-log", daemon=True)
        self._writer.start()

    def offer(self, answer: Answered) -> bool:
        """Queue an answer to be logged; never blocks. False: no room, it was dropped."""
        rows = len(answer.symbols)
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
        while rows or (
            rows := [row for answer in self._take(_BATCH_ROWS) for row in rows_of(answer)]
        ):
            if not self._insert(rows):
                return rows
            self._on_rows("written", len(rows))
            rows = []
        return rows

    def _insert(self, rows: list[tuple[Any, ...]]) -> bool:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            engine = self._database.engine(table())
            with engine.begin() as connection:
                # The driver's own executemany: SQLAlchemy's per-row parameter handling would
                # cost more than the insert.
                mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
                names = [column.name for column in table().columns]
                marks = ", ".join([mark] * len(names))
                sentence = (
                    f"INSERT INTO predictions ({', '.join(names)}) "  # noqa: S608 - our own names
                    f"VALUES ({marks})"
                )
                connection.exec_driver_sql(sentence, rows)
        except (SQLAlchemyError, OSError, InvalidSettings) as error:
            logger.warning("the prediction log cannot be written: %s", error)
            return False
        return True

    # reading

    def recent(self, limit: int = 100) -> list[LoggedForecast]:
        """The newest forecasts, newest first.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = (
            predictions.select()
            .order_by(predictions.c.made_at.desc(), predictions.c.id)
            .limit(limit)
        )
        return list(self._read(query))

    def since(self, instant: datetime, limit: int = 100_000) -> list[LoggedForecast]:
        """Forecasts made at or after an instant, oldest first.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = predictions.select().where(predictions.c.made_at >= to_milliseconds(instant))
        return list(
            self._read(query.order_by(predictions.c.made_at, predictions.c.id).limit(limit))
        )

    def matured(
        self, now: datetime, *, model_version: str | None = None, limit: int = 100_000
    ) -> list[LoggedForecast]:
        """Forecasts of served symbols with at least one horizon whose day has come, oldest first.

        Args:
            now: the data's present (`DataClock.now`), which replayed data set in the past.
            model_version: only this version's.
            limit: only the newest so many.

        Raises:
            Unavailable: the database cannot be read.
        """
        predictions = table()
        query = predictions.select().where(
            predictions.c.first_target <= to_milliseconds(now), predictions.c.own_bars.is_(False)
        )
        if model_version is not None:
            query = query.where(predictions.c.model_version == model_version)
        newest = query.order_by(predictions.c.made_at.desc(), predictions.c.id).limit(limit)
        return list(self._read(newest))[::-1]

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
            raise _unreadable(error) from error

    def _read(self, query: "Select[Any]") -> Iterator[LoggedForecast]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._database.engine(table()).connect() as connection:
                rows = connection.execute(query).mappings().all()
        except (SQLAlchemyError, OSError) as error:
            raise _unreadable(error) from error
        return map(forecast_of, rows)


def _unreadable(error: Exception) -> Unavailable:
    return Unavailable(
        "the prediction log must be readable",
        str(error).splitlines()[0],
        "Check BELLWETHER_PREDICTION_LOG_URL and that the database is up",
    )
