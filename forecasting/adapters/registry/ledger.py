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
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.registry.numbered_table import LEDGER_RULE, NumberedTable, numbered
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, PromotionConflict

if TYPE_CHECKING:
    from sqlalchemy import Table

PENDING: Final = "pending"
DONE: Final = "done"
NO_VERSION: Final = ""

QUALITY: Final = "quality"
"""Who withdraws a version whose realised forecasts have degraded."""


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
        bundle_digest: SHA-256 of the manifest of `to_version`'s bundle; "" in rows of before, and
            where signatures are not asked for.
        signer: id of the key that signed it; "" likewise.
    """

    number: int
    model: str
    from_version: str
    to_version: str
    who: str
    at: datetime
    why: str
    state: str
    bundle_digest: str = ""
    signer: str = ""

    @property
    def for_quality(self) -> bool:
        """Whether `from_version` was withdrawn because its realised forecasts had degraded."""
        return self.who == QUALITY


class Ledger:
    """Promotions in a database.

    Args:
        url: SQLAlchemy URL, SQLite or PostgreSQL. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self._table = NumberedTable(url, _table, LEDGER_RULE)

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
        return [_promotion(row) for row in self._table.newest(model, last=last)]

    def claim(
        self,
        model: str,
        *,
        expected: str,
        to_version: str,
        who: str,
        why: str,
        bundle_digest: str = "",
        signer: str = "",
    ) -> Promotion:
        """Write the next promotion as pending, if the champion is still the expected one.

        Args:
            model: name of the registered model.
            expected: version the caller believes is champion, "" for none.
            to_version: version that becomes champion.
            who: who promotes.
            why: the reason.
            bundle_digest: digest of the version's bundle.
            signer: id of the key that signed it.

        Raises:
            PromotionConflict: somebody else's promotion came first; nothing was written.
            InvalidSettings: the database does not take these words; nothing was written.
            Unavailable: the database cannot be reached; nothing was written.
        """
        from sqlalchemy import func, insert, select
        from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

        engine, table = self._table.opened()
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
                    *(number + 1, model, champion, to_version, who, utc_now(), why, PENDING),
                    bundle_digest=bundle_digest,
                    signer=signer,
                )
                values = {**promotion.__dict__, "at": promotion.at.isoformat()}
                connection.execute(insert(table).values(values))
        except IntegrityError as error:
            winner = self.head(model)
            raise _conflict(model, expected, winner.to_version if winner else "") from error
        except (DataError, UnicodeError) as error:
            # PostgreSQL takes no NUL, and no longer words than its columns are wide.
            raise InvalidSettings(
                "a promotion needs words that the ledger's database takes",
                f"{who[:40]!r}, version {to_version[:40]!r}: {str(error).splitlines()[0]}",
                "Give a shorter, printable name: --who",
            ) from error
        except SQLAlchemyError as error:
            raise self._table.unavailable(error) from error
        return promotion

    def settle(self, promotion: Promotion) -> None:
        """Mark a promotion done. Settling twice is harmless.

        Raises:
            Unavailable: the database cannot be reached.
        """
        from sqlalchemy import update
        from sqlalchemy.exc import SQLAlchemyError

        engine, table = self._table.opened()
        mark = update(table).where(
            table.c.model == promotion.model, table.c.number == promotion.number
        )
        try:
            with engine.begin() as connection:
                connection.execute(mark.values(state=DONE))
        except SQLAlchemyError as error:
            raise self._table.unavailable(error) from error

    def close(self) -> None:
        """Give the database connections back."""
        self._table.close()


def _conflict(model: str, expected: str, champion: str) -> PromotionConflict:
    return PromotionConflict(
        "a promotion needs the champion it was decided against",
        f"{model}: version {expected or 'none'} was expected, "
        f"version {champion or 'none'} is champion",
        "Evaluate against the new champion and decide again",
    )


def _promotion(values: dict[str, Any]) -> Promotion:
    later = {name: values[name] or "" for name in ("bundle_digest", "signer")}
    return Promotion(**{**values, **later, "at": datetime.fromisoformat(values["at"])})


def _table() -> "Table":
    from sqlalchemy import Column, String, Text

    return numbered(
        "promotions",
        Column("from_version", String(20), nullable=False),
        Column("to_version", String(20), nullable=False),
        Column("who", String(200), nullable=False),
        Column("at", String(40), nullable=False),
        Column("why", Text, nullable=False),
        Column("state", String(10), nullable=False),
        # Added later: nullable, so that an earlier release still writes its rows.
        Column("bundle_digest", String(64)),
        Column("signer", String(64)),
    )
