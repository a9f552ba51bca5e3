"""Writes batches of rows; a row that the database refuses holds up no other.

A database that is away is left to be tried again. Any other fault is looked for in the batch by
halves, until one row is left: if the database takes a row of ours, it refuses that one, which is
given up and counted; if it takes none, it is the database that fails, whatever the error's class.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.adapters.databases import REFUSED_REMEDY, Database, is_refused
from forecasting.adapters.prediction_log.rows import Answered, rows_of, table
from forecasting.errors import InvalidSettings

if TYPE_CHECKING:
    from sqlalchemy import Connection

WRITTEN: Final = "written"
REJECTED: Final = "rejected"

Row = tuple[Any, ...]

logger = logging.getLogger(__name__)


class BatchWriter:
    """Writes rows of the prediction log.

    Args:
        database: where the table is.
        on_rows: called with ("written" | "rejected", rows).
    """

    def __init__(self, database: Database, on_rows: Callable[[str, int], None]) -> None:
        self._database, self._on_rows = database, on_rows

    def write(self, rows: Sequence[Row]) -> list[Row]:
        """Write rows; return those that wait for a database that is away."""
        waiting = [list(rows)] if rows else []
        takes_rows = False
        while waiting:
            part = waiting.pop()
            try:
                self.insert(part)
            except Exception as error:  # noqa: BLE001 - ValueError and OverflowError, too
                if _away(error) or (len(part) == 1 and not (takes_rows or self._takes_a_row())):
                    return self._left([part, *reversed(waiting)], error)
                if len(part) == 1:
                    takes_rows = True
                    self._on_rows(REJECTED, 1)
                    logger.warning("the prediction log's database refuses a row: %s", _cause(error))
                else:
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
            else:
                takes_rows = True
                self._on_rows(WRITTEN, len(part))
        return []

    def _left(self, parts: list[list[Row]], error: Exception) -> list[Row]:
        remedy = f". {REFUSED_REMEDY}" if is_refused(error) else ""
        logger.warning("the prediction log cannot be written: %s%s", _cause(error), remedy)
        # Opened anew next time: the table may be gone, or the server another one.
        self._database.close()
        return [row for part in parts for row in part]

    def insert(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none; those that are there already stay.

        Raises:
            SQLAlchemyError, OSError: the database is away, or refuses one of them.
        """
        with self._connect() as connection:
            connection.exec_driver_sql(_sentence(connection.dialect.paramstyle), list(rows))
            connection.commit()

    def _takes_a_row(self) -> bool:
        """Whether the database takes a row that nothing is wrong with; it is not kept."""
        try:
            with self._connect() as connection:
                connection.exec_driver_sql(_sentence(connection.dialect.paramstyle), [_sound_row()])
                connection.rollback()
        except Exception as error:  # noqa: BLE001 - whatever it is, no row is to blame
            logger.warning("the prediction log's database takes no row: %s", _cause(error))
            return False
        return True

    def _connect(self) -> "Connection":
        return self._database.engine(table()).connect()


def _away(error: Exception) -> bool:
    """Whether the database cannot be reached or is busy: no row is to blame.

    psycopg raises OperationalError for a server that is down, full, shutting down or refuses the
    password, and DataError or ValueError for a value; sqlite3 raises OperationalError for a file
    that is locked, missing, read-only or on a full disk, and DatabaseError for a damaged one.
    """
    from sqlalchemy.exc import (
        DBAPIError,
        InterfaceError,
        OperationalError,
        SQLAlchemyError,
        StatementError,
    )

    if isinstance(error, DBAPIError):
        connection = isinstance(error, OperationalError | InterfaceError)
        return connection or error.connection_invalidated
    if isinstance(error, StatementError):
        return False
    return isinstance(error, SQLAlchemyError | OSError | InvalidSettings)


def _cause(error: Exception) -> str:
    """The driver's words, without the statement's parameters: they are what a caller sent."""
    words = str(getattr(error, "orig", None) or error).strip()
    return f"{type(error).__name__}: {words.splitlines()[0] if words else ''}"


@cache
def _sentence(paramstyle: str) -> str:
    # The driver's own executemany: SQLAlchemy's per-row parameter handling would cost more than
    # the insert. A batch whose commit was not confirmed may be there already.
    names = [column.name for column in table().columns]
    marks = ", ".join(["?" if paramstyle == "qmark" else "%s"] * len(names))
    return (
        f"INSERT INTO predictions ({', '.join(names)}) "  # noqa: S608 - our own names
        # Naming the column would take the right to read it, which a model server does not have.
        f"VALUES ({marks}) ON CONFLICT DO NOTHING"
    )


def _sound_row() -> Row:
    """A row that every database takes."""
    one = np.ones((1, 1))
    answer = Answered(
        request_id="",
        symbols=["A"],
        as_of=np.array([0]),
        made_at=0.0,
        model_version="1",
        model_kind="random_walk",
        last_close=np.ones(1),
        quantiles=np.ones((1, 1, 5)),
        target_times=np.zeros((1, 1), dtype=np.int64),
        probability_of_rise=one,
        signal=["hold"],
        stale=np.zeros(1, dtype=np.bool_),
        source="none",
        replay=False,
        processing_seconds=0.0,
        protocol="rest",
        own_bars=False,
    )
    return next(rows_of(answer))
