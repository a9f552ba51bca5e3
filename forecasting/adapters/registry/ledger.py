"""The promotion ledger: who is champion, by compare-and-set, with who, when and why.

One append-only table. A promotion is the row after the last one; its number is the primary key,
so of any number of rivals exactly one can write it, in SQLite and in PostgreSQL alike:

    pending   the promotion is decided; the registry's alias may not have moved yet
    done      the alias was moved

The ledger decides and the registry's alias follows, so a promoter that dies in between leaves a
pending row that the next one completes (`forecasting.adapters.registry.registry`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from forecasting.adapters.databases import Database
from forecasting.clock import utc_now
from forecasting.errors import PromotionConflict, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row, Table

PENDING: Final = "pending"
DONE: Final = "done"
NO_VERSION: Final = ""


@dataclass(frozen=True)
class Promotion:
    """One row of the ledger.

    Attributes:
        number: place in the model's history, from 1.
        model: name of the registered model.
        from_version: champion before, "" when there was none.
        to_version: champion after, "" when the registry had lost its champion.
        who: who promoted.
        at: when it was decided, aware UTC.
        why: the reason, as shown to people.
        state: "pending" or "done".
    """

    number: int
    model: str
    from_version: str
    to_version: str
    who: str
    at: datetime
    why: str
    state: str


class Ledger:
    """Promotions in a database.

    Args:
        url: SQLAlchemy URL, SQLite or PostgreSQL. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._database = Database(url, often=False)

    def head(self, model: str) -> Promotion | None:
        """The last promotion of a model, or None.

        Raises:
            Unavailable: the database cannot be reached.
        """
        history = self.history(model, last=1)
        return history[0] if history else None

    def history(self, model: str, *, last: int = 100) -> list[Promotion]:
        """The newest promotions of a model, newest first.

        Raises:
            Unavailable: the database cannot be reached.
        """
        from sqlalchemy import select
        from sqlalchemy.exc import SQLAlchemyError

        engine, table = self._open()
        query = (
            select(table).where(table.c.model == model).order_by(table.c.number.desc()).limit(last)
        )
        try:
            with engine.connect() as connection:
                return [_promotion(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def claim(self, model: str, *, expected: str, to_version: str, who: str, why: str) -> Promotion:
        """Write the next promotion as pending, if the champion is still the expected one.

        Args:
            model: name of the registered model.
            expected: version the caller believes is champion, "" for none.
            to_version: version that becomes champion.
            who: who promotes.
            why: the reason.

        Raises:
            PromotionConflict: somebody else's promotion came first; nothing was written.
            Unavailable: the database cannot be reached; nothing was written.
        """
        from sqlalchemy import func, insert, select
        from sqlalchemy.exc import IntegrityError, SQLAlchemyError

        engine, table = self._open()
        of_model = table.c.model == model
        head_number = select(func.max(table.c.number)).where(of_model).scalar_subquery()
        head = select(table.c.number, table.c.to_version).where(
            of_model, table.c.number == head_number
        )
        try:
            with engine.begin() as connection:
                row = connection.execute(head).one_or_none()
                number, champion = (row.number, row.to_version) if row else (0, NO_VERSION)
                if champion != expected:
                    raise _conflict(model, expected, champion)
                promotion = Promotion(
                    number + 1, model, champion, to_version, who, utc_now(), why, PENDING
                )
                values = {**promotion.__dict__, "at": promotion.at.isoformat()}
                connection.execute(insert(table).values(values))
        except IntegrityError as error:
            winner = self.head(model)
            raise _conflict(model, expected, winner.to_version if winner else "") from error
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error
        return promotion

    def settle(self, promotion: Promotion) -> None:
        """Mark a promotion done. Settling twice is harmless.

        Raises:
            Unavailable: the database cannot be reached.
        """
        from sqlalchemy import update
        from sqlalchemy.exc import SQLAlchemyError

        engine, table = self._open()
        mark = update(table).where(
            table.c.model == promotion.model, table.c.number == promotion.number
        )
        try:
            with engine.begin() as connection:
                connection.execute(mark.values(state=DONE))
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Give the database connections back."""
        self._database.close()

    def _open(self) -> tuple["Engine", "Table"]:
        from sqlalchemy.exc import SQLAlchemyError

        table = _table()
        try:
            return self._database.engine(table), table
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        from sqlalchemy.engine import make_url

        return Unavailable(
            "the promotion ledger's database must answer",
            f"{make_url(self._url).render_as_string(hide_password=True)}: {error}",
            "Check BELLWETHER_PREDICTION_LOG_URL and that the database is up",
        )


def _conflict(model: str, expected: str, champion: str) -> PromotionConflict:
    return PromotionConflict(
        "a promotion needs the champion it was decided against",
        f"{model}: version {expected or 'none'} was expected, "
        f"version {champion or 'none'} is champion",
        "Evaluate against the new champion and decide again",
    )


def _promotion(row: "Row[tuple[object, ...]]") -> Promotion:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row's mapping
    return Promotion(**{**values, "at": datetime.fromisoformat(values["at"])})


def _table() -> "Table":
    from sqlalchemy import Column, Integer, MetaData, String, Table, Text

    return Table(
        "promotions",
        MetaData(),
        Column("model", String(200), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("from_version", String(20), nullable=False),
        Column("to_version", String(20), nullable=False),
        Column("who", String(200), nullable=False),
        Column("at", String(40), nullable=False),
        Column("why", Text, nullable=False),
        Column("state", String(10), nullable=False),
    )
