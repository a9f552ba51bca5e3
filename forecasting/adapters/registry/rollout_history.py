"""The rollout history: every split of the requests, with who, when and why, in the ledger's database.

The route on the cluster decides who gets the requests, and it ends with its release. This table does
not: what served last is read here when a release is installed again over the same data. One row is
appended after each write of the route; nothing is changed or removed.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.registry.numbered_table import NumberedTable, numbered
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings
from forecasting.rollout.traffic import Traffic

if TYPE_CHECKING:
    from sqlalchemy import Table

_RULE: Final = "the rollout history's database must answer"


@dataclass(frozen=True)
class Change:
    """One row: how the requests were split from then on.

    Attributes:
        number: place in the model's history, from 1.
        model: name of the registered model.
        at: when the route was written, aware UTC.
        who: who wrote it.
        why: the reason, as shown to people.
        traffic: the split, and the versions that held all requests before.
        digests: SHA-256 of the bundle's manifest by version, of those that ran.
    """

    number: int
    model: str
    at: datetime
    who: str
    why: str
    traffic: Traffic
    digests: Mapping[int, str] = field(default_factory=dict)


class RolloutHistory:
    """Splits of the requests in a database.

    Args:
        url: SQLAlchemy URL, SQLite or PostgreSQL, or what finds it out. Nothing is opened, and
            nothing found out, before the first call.
    """

    def __init__(self, url: str | Callable[[], str]) -> None:
        self._table = NumberedTable(url, _table, _RULE)

    def add(
        self,
        model: str,
        traffic: Traffic,
        *,
        who: str,
        why: str,
        digests: Mapping[int, str] | None = None,
        at: datetime | None = None,
    ) -> Change:
        """Append a row.

        Args:
            model: name of the registered model.
            traffic: the split.
            who: who wrote it to the route.
            why: the reason.
            digests: of the versions that run.
            at: when; None for now.

        Raises:
            InvalidSettings: the database does not take these words; nothing was written.
            Unavailable: it cannot be reached, or does not let us; nothing was written.
        """
        written = at or utc_now()

        def numbered_so(number: int) -> Change:
            return Change(number, model, written, who[:200], why, traffic, dict(digests or {}))

        number = self._table.append(model, lambda n: _values(numbered_so(n)), _refused)
        return numbered_so(number)

    def changes(self, model: str, *, last: int = 100) -> list[Change]:
        """The newest rows of a model, newest first.

        Raises:
            Unavailable: the database cannot be reached, or does not let us.
        """
        return [_change(row) for row in self._table.newest(model, last=last)]

    def close(self) -> None:
        """Give the database connections back."""
        self._table.close()


def _refused(error: Exception) -> InvalidSettings:
    return InvalidSettings(
        "a change of the weights needs words that the database takes",
        str(error).splitlines()[0],
        "Give a printable reason: --why",
    )


def _values(change: Change) -> dict[str, Any]:
    return {
        "model": change.model,
        "number": change.number,
        "at": change.at.isoformat(),
        "who": change.who,
        "why": change.why,
        "weights": _numbered(change.traffic.weights),
        "held": json.dumps(list(change.traffic.stable_history)),
        "digests": _numbered(change.digests),
    }


def _change(values: dict[str, Any]) -> Change:
    weights = {int(version): int(share) for version, share in json.loads(values["weights"]).items()}
    return Change(
        number=values["number"],
        model=values["model"],
        at=datetime.fromisoformat(values["at"]),
        who=values["who"],
        why=values["why"],
        traffic=Traffic(weights, tuple(map(int, json.loads(values["held"])))),
        digests={int(version): digest for version, digest in json.loads(values["digests"]).items()},
    )


def _numbered(values: Mapping[int, object]) -> str:
    return json.dumps({str(version): values[version] for version in sorted(values)})


def _table() -> "Table":
    from sqlalchemy import Column, String, Text

    return numbered(
        "rollouts",
        Column("at", String(40), nullable=False),
        Column("who", String(200), nullable=False),
        Column("why", Text, nullable=False),
        Column("weights", Text, nullable=False),
        Column("held", Text, nullable=False),
        Column("digests", Text, nullable=False),
    )
