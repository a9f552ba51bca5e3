"""Approvals: which version a person let have requests, with name, reason and time.

One append-only table beside the promotions, in the ledger's database. An approval is for one version
and the digest of its bundle: other files under the same number are another model. Rows are numbered
by model, so of rivals who write at once each gets a number of his own.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.registry.numbered_table import LEDGER_RULE, NumberedTable, numbered
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings
from forecasting.path_names import require_digest

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

MAX_REASON: Final = 2_000
"""Characters of a reason."""

MAX_NAME: Final = 200

COMMAND: Final = "command"
PAGE: Final = "page"
"""Where an approval was given."""


@dataclass(frozen=True)
class Approval:
    """One row.

    Attributes:
        number: place in the model's approvals, from 1.
        model: name of the registered model.
        version: that may have requests.
        bundle_digest: SHA-256 of its bundle's manifest.
        who: approved it.
        at: when, aware UTC.
        why: the reason, as shown to people.
        via: where it was given: `COMMAND` or `PAGE`.
    """

    number: int
    model: str
    version: str
    bundle_digest: str
    who: str
    at: datetime
    why: str
    via: str


class Approvals:
    """Approvals in a database.

    Args:
        url: SQLAlchemy URL of the ledger's database. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self._table = NumberedTable(url, _table, LEDGER_RULE)

    def find(self, model: str, version: str, bundle_digest: str) -> Approval | None:
        """The newest approval of this version with these files, or None.

        Raises:
            Unavailable: the database cannot be reached.
        """
        columns = _table().c
        return self._newest(
            model, columns.version == version, columns.bundle_digest == bundle_digest
        )

    def newest(self, model: str) -> Approval | None:
        """The newest approval of a model, or None.

        Raises:
            Unavailable: the database cannot be reached.
        """
        return self._newest(model)

    def give(
        self, model: str, version: str, bundle_digest: str, *, who: str, why: str, via: str
    ) -> Approval:
        """Write an approval.

        Args:
            model: name of the registered model.
            version: that may have requests.
            bundle_digest: of its bundle.
            who: approves it.
            why: the reason.
            via: `COMMAND` or `PAGE`.

        Raises:
            InvalidSettings: there is no name or no reason, or the database does not take them.
            BundleRejected: the digest is none.
            Unavailable: the database cannot be reached; nothing was written.
        """
        who, why = (
            _words(who, MAX_NAME, "name", "--who"),
            _words(why, MAX_REASON, "reason", "--why"),
        )
        digest = require_digest(bundle_digest, f"that of version {version}")
        at = utc_now()

        def numbered_so(number: int) -> Approval:
            return Approval(number, model, version, digest, who, at, why, via)

        def refused(error: Exception) -> InvalidSettings:
            return InvalidSettings(
                "an approval needs words that the ledger's database takes",
                f"{who[:40]!r}: {str(error).splitlines()[0]}",
                "Give a shorter, printable name and reason",
            )

        number = self._table.append(
            model, lambda n: {**vars(numbered_so(n)), "at": at.isoformat()}, refused
        )
        return numbered_so(number)

    def close(self) -> None:
        """Give the database connections back."""
        self._table.close()

    def _newest(self, model: str, *conditions: "ColumnElement[bool]") -> Approval | None:
        rows = self._table.newest(model, *conditions, last=1)
        return _approval(rows[0]) if rows else None


def _words(text: str, most: int, what: str, option: str) -> str:
    words = text.strip()
    if not words or len(words) > most or not words.replace("\n", " ").isprintable():
        raise InvalidSettings(
            f"an approval needs a {what} of 1 to {most} printable characters",
            f"{len(words)} characters" if words else "it is empty",
            f"Give one: {option}",
        )
    return words


def _approval(row: dict[str, Any]) -> Approval:
    return Approval(**{**row, "at": datetime.fromisoformat(row["at"])})


@cache
def _table() -> "Table":
    """The table, described once."""
    from sqlalchemy import Column, String, Text

    return numbered(
        "approvals",
        Column("version", String(20), nullable=False),
        Column("bundle_digest", String(64), nullable=False),
        Column("who", String(MAX_NAME), nullable=False),
        Column("at", String(40), nullable=False),
        Column("why", Text, nullable=False),
        Column("via", String(20), nullable=False),
    )
