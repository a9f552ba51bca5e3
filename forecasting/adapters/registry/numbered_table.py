"""An append-only table in the ledger's database whose rows are numbered by model, from 1.

The number is part of the primary key, so of rivals who write at once each gets one of his own, in
SQLite and in PostgreSQL alike (test_approvals.py, test_rollout_history.py, test_ledger.py).
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.databases import Database, unanswered
from forecasting.errors import InvalidSettings, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Engine, Table

LEDGER_RULE: Final = "the promotion ledger's database must answer"

_TRIES: Final = 30
_PAUSE: Final = 0.05
"""Longest pause before another try, seconds: rivals that go on at once would meet again."""


class NumberedTable:
    """Rows by model and number.

    Args:
        url: SQLAlchemy URL, SQLite or PostgreSQL, or what finds it out. Nothing is opened, and
            nothing found out, before the first call.
        describe: gives the table, with the columns of `numbered`.
        rule: what must hold, for the error of a database that does not answer.
    """

    def __init__(
        self, url: str | Callable[[], str], describe: Callable[[], "Table"], rule: str
    ) -> None:
        self._url, self._describe, self._rule = url, describe, rule
        self._database = Database(url, often=False) if isinstance(url, str) else None

    def newest(
        self, model: str, *conditions: "ColumnElement[bool]", last: int
    ) -> list[dict[str, Any]]:
        """The newest rows of a model that meet the conditions, newest first, as values by column.

        Raises:
            Unavailable: the database cannot be reached, or does not let us.
        """
        from sqlalchemy import select
        from sqlalchemy.exc import SQLAlchemyError

        engine, table = self.opened()
        query = select(table).where(table.c.model == model, *conditions)
        try:
            with engine.connect() as connection:
                rows = connection.execute(query.order_by(table.c.number.desc()).limit(last))
                return [dict(row) for row in rows.mappings()]
        except SQLAlchemyError as error:
            raise self.unavailable(error) from error

    def append(
        self,
        model: str,
        values: Callable[[int], Mapping[str, object]],
        refused: Callable[[Exception], InvalidSettings],
    ) -> int:
        """Write the row after the last one; its number.

        Args:
            model: name of the registered model.
            values: of the row, by its number.
            refused: the error for words that the database does not take.

        Raises:
            InvalidSettings: `refused`; nothing was written.
            Unavailable: the database cannot be reached, or does not let us; nothing was written.
        """
        from sqlalchemy import func, insert, select
        from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

        engine, table = self.opened()
        last = select(func.max(table.c.number)).where(table.c.model == model)
        for left in range(_TRIES, 0, -1):
            try:
                with engine.begin() as connection:
                    number = int(connection.scalar(last) or 0) + 1
                    connection.execute(insert(table).values(values(number)))
            except IntegrityError as error:
                # Somebody else took the number; the next is as good.
                if left == 1:
                    raise self.unavailable(error) from error
                time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
                continue
            except (DataError, UnicodeError) as error:
                raise refused(error) from error
            except SQLAlchemyError as error:
                raise self.unavailable(error) from error
            return number
        raise AssertionError  # the last try returns or raises

    def opened(self) -> tuple["Engine", "Table"]:
        """The engine, with the table created unless it is there, and the table.

        Raises:
            InvalidSettings: the URL is none, or its driver is not installed.
            Unavailable: the database cannot be reached, or does not let us.
        """
        from sqlalchemy.exc import SQLAlchemyError

        if self._database is None:
            if not isinstance(self._url, str):
                self._url = self._url()
            self._database = Database(self._url, often=False)
        table = self._describe()
        try:
            return self._database.engine(table), table
        except (SQLAlchemyError, OSError) as error:
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> Unavailable:
        """The error for a database that was asked and did not do it."""
        assert isinstance(self._url, str)  # it was opened
        return unanswered(self._rule, self._url, error)

    def close(self) -> None:
        """Give the database connections back."""
        if self._database is not None:
            self._database.close()


def numbered(name: str, *columns: "Column[Any]") -> "Table":
    """A table with model and number for its key, and further columns."""
    from sqlalchemy import Column, Integer, MetaData, String, Table

    return Table(
        name,
        MetaData(),
        Column("model", String(200), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        *columns,
    )
