"""Trials: every configuration ever weighed on a data set, with when and on how much evidence.

One append-only table beside the promotions, in the ledger's database. A configuration is written when
it is weighed for the first time; weighing it again on more bars writes nothing. A data set is told by
its name in the lake: which symbols, bars and features of it were taken is part of the configuration,
so that no argument of a training begins the count anew.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.registry.numbered_table import LEDGER_RULE, NumberedTable, numbered
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table

_MOST: Final = 1_000_000


@dataclass(frozen=True)
class Trial:
    """One row.

    Attributes:
        number: place in the model's trials, from 1.
        model: name of the registered model.
        dataset: name of the data set in the lake.
        configuration: what was weighed, as JSON: kind, parameters, features, seed, folds.
        digest: SHA-256 of it.
        settings: settings that a search tried for it, at least 1.
        periods: out-of-sample periods at the training that weighed it first.
        at: when that was, aware UTC.
    """

    number: int
    model: str
    dataset: str
    configuration: str
    digest: str
    settings: int
    periods: int
    at: datetime


class Trials:
    """Trials in a database.

    Args:
        url: SQLAlchemy URL of the ledger's database. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self._table = NumberedTable(url, _table, LEDGER_RULE)

    def of(self, model: str, dataset: str) -> list[Trial]:
        """Every configuration once, the oldest first.

        Raises:
            Unavailable: the database cannot be reached.
        """
        rows = self._table.newest(model, _table().c.dataset == dataset, last=_MOST)
        first: dict[str, Trial] = {}
        for row in reversed(rows):
            # Two trainings at once may both have written it.
            first.setdefault(row["digest"], _trial(row))
        return list(first.values())

    def add(
        self, model: str, dataset: str, settings: "Mapping[str, int]", *, periods: int
    ) -> list[Trial]:
        """Write the configurations that are not there yet; those written.

        Args:
            model: name of the registered model.
            dataset: name of the data set.
            settings: by configuration, how many settings a search tried for it.
            periods: out-of-sample periods of this training.

        Raises:
            InvalidSettings: the database does not take these words.
            Unavailable: the database cannot be reached.
        """
        known = {trial.digest for trial in self.of(model, dataset)}
        return [
            self._append(model, dataset, configuration, count, periods)
            for configuration, count in settings.items()
            if digest_of(configuration) not in known
        ]

    def close(self) -> None:
        """Give the database connections back."""
        self._table.close()

    def _append(
        self, model: str, dataset: str, configuration: str, settings: int, periods: int
    ) -> Trial:
        digest, at = digest_of(configuration), utc_now()

        def numbered_so(number: int) -> Trial:
            return Trial(number, model, dataset, configuration, digest, settings, periods, at)

        number = self._table.append(
            model, lambda n: {**vars(numbered_so(n)), "at": at.isoformat()}, _refused
        )
        return numbered_so(number)


def digest_of(configuration: str) -> str:
    """SHA-256 of a configuration, 64 hex digits."""
    return hashlib.sha256(configuration.encode()).hexdigest()


def _refused(error: Exception) -> InvalidSettings:
    return InvalidSettings(
        "a trial needs words that the ledger's database takes",
        str(error).splitlines()[0],
        "Give a shorter, printable name of the data set: --dataset",
    )


def _trial(row: dict[str, Any]) -> Trial:
    return Trial(**{**row, "at": datetime.fromisoformat(row["at"])})


@cache
def _table() -> "Table":
    """The table, described once."""
    from sqlalchemy import Column, Integer, String, Text

    return numbered(
        "trials",
        Column("dataset", String(200), nullable=False),
        Column("configuration", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("settings", Integer, nullable=False),
        Column("periods", Integer, nullable=False),
        Column("at", String(40), nullable=False),
    )
