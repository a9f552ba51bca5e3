"""The calibrations of every version, in the ledger's database: which is in force, who made it, and why.

One append-only table beside the promotions. The newest row of a version decides: it holds a calibration,
or takes an earlier one back into force (`restores`), or the bundle's own (0). The content of a row is
signed where there is a key; which row is in force is the ledger's word, as it is for the champion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.registry.numbered_table import LEDGER_RULE, NumberedTable, numbered
from forecasting.bundle.calibration import Calibration
from forecasting.clock import utc_now
from forecasting.errors import BundleRejected, InvalidSettings

if TYPE_CHECKING:
    from sqlalchemy import Table

    from forecasting.bundle.signature import Signer, TrustedKeys

BUNDLES_OWN: Final = 0
"""Number of the calibration that a bundle brings."""

_MOST: Final = 100_000


@dataclass(frozen=True)
class CalibrationRow:
    """One row.

    Attributes:
        number: place in the model's rows, from 1.
        version: whose calibration.
        content: the calibration's payload; "" where an earlier one is taken back.
        seal: signature of the content; "" without a key.
        restores: number of the row taken back into force; None for a calibration of its own.
        who: who made it.
        why: for people.
        at: when, aware UTC.
    """

    number: int
    version: str
    content: str
    seal: str
    restores: int | None
    who: str
    why: str
    at: datetime

    def calibration(self) -> Calibration:
        """What it holds; nothing is verified.

        Raises:
            BundleRejected: it is damaged, or of another row.
        """
        found = Calibration.from_payload(self.content)
        if (found.number, found.version) != (self.number, self.version):
            raise BundleRejected(
                "a calibration must be that of its row",
                f"row {self.number} of version {self.version} holds number {found.number} of "
                f"version {found.version[:20]}",
                "Recalibrate again: bellwether calibration run",
            )
        return found


class Calibrations:
    """Calibrations in a database.

    Args:
        url: SQLAlchemy URL of the ledger's database. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self._table = NumberedTable(url, _table, LEDGER_RULE)

    def current(self, model: str, version: str) -> CalibrationRow | None:
        """The row that is in force for a version; None where that is the bundle's own calibration.

        Raises:
            BundleRejected: the newest row takes back one that is gone.
            Unavailable: the database cannot be reached.
        """
        of_version = _table().c.version == version
        newest = [_row(row) for row in self._table.newest(model, of_version, last=1)]
        if not newest or newest[0].restores == BUNDLES_OWN:
            return None
        if newest[0].restores is None:
            return newest[0]
        numbered_so = _table().c.number == newest[0].restores
        found = [_row(row) for row in self._table.newest(model, of_version, numbered_so, last=1)]
        if not found:
            raise BundleRejected(
                "a rollback goes to a calibration that is there",
                f"row {newest[0].number} takes back {newest[0].restores} of version {version}",
                "Go back to another: bellwether calibration rollback VERSION --to N",
            )
        return found[0]

    def history(self, model: str, version: str = "") -> list[CalibrationRow]:
        """Every row of a version, or of all, newest first.

        Raises:
            Unavailable: the database cannot be reached.
        """
        conditions = [_table().c.version == version] if version else []
        return [_row(row) for row in self._table.newest(model, *conditions, last=_MOST)]

    def add(
        self,
        make: Callable[[int], Calibration],
        *,
        model: str,
        who: str,
        why: str,
        signer: "Signer | None" = None,
    ) -> Calibration:
        """Write the next calibration, which is in force from then on.

        Args:
            make: gives it, by its number.
            model: name of the registered model.
            who: who recalibrates.
            why: for people.
            signer: signs it.

        Raises:
            InvalidSettings: the database does not take these words; nothing was written.
            Unavailable: the database cannot be reached; nothing was written.
        """
        at = utc_now().isoformat()

        def values(number: int) -> dict[str, object]:
            made = make(number)
            payload = made.payload()
            return {
                "model": model,
                "number": number,
                "version": made.version,
                "content": payload.decode(),
                "seal": signer.seal(payload) if signer else "",
                "restores": None,
                "who": who,
                "why": why,
                "at": at,
            }

        return make(self._table.append(model, values, _refused))

    def roll_back(self, model: str, version: str, *, to: int, who: str, why: str) -> int:
        """Take an earlier calibration of a version back into force; the new row's number.

        Args:
            model: name of the registered model.
            version: whose.
            to: number of the earlier one; 0 for the one that the bundle brings.
            who: who does so.
            why: for people.

        Raises:
            InvalidSettings: the version has no such calibration; nothing was written.
            BundleRejected: it is damaged; nothing was written.
            Unavailable: the database cannot be reached; nothing was written.
        """
        rows = {row.number: row for row in self.history(model, version) if row.restores is None}
        known = list(rows)
        if to != BUNDLES_OWN and to not in known:
            raise InvalidSettings(
                "a rollback goes to an earlier calibration of the version, or to 0, its bundle's own",
                f"version {version} has no calibration {to}",
                f"It has {', '.join(map(str, known[:20])) or 'none'}: bellwether calibration list",
            )
        if to != BUNDLES_OWN:
            rows[to].calibration()
        at = utc_now().isoformat()
        return self._table.append(
            model,
            lambda number: {
                "model": model,
                "number": number,
                "version": version,
                "content": "",
                "seal": "",
                "restores": to,
                "who": who,
                "why": why,
                "at": at,
            },
            _refused,
        )

    def close(self) -> None:
        """Give the database connections back."""
        self._table.close()


def verified(row: CalibrationRow, model: str, keys: "TrustedKeys | None") -> Calibration:
    """The calibration of a row, if it is whole and, where there are keys, signed by one of them.

    Raises:
        BundleRejected: it is damaged, unsigned, signed by another key or of another model.
    """
    if keys is not None:
        keys.unseal(row.seal, row.content.encode(), f"calibration {row.number}")
    found = row.calibration()
    if found.model != model:
        raise BundleRejected(
            "a calibration must be of the model that is served",
            f"calibration {row.number} is of {found.model[:40]!r}, served is {model!r}",
            "Recalibrate again: bellwether calibration run",
        )
    return found


def _refused(error: Exception) -> InvalidSettings:
    return InvalidSettings(
        "a calibration needs words that the ledger's database takes",
        str(error).splitlines()[0],
        "Give a shorter, printable name: --who",
    )


def _row(row: dict[str, Any]) -> CalibrationRow:
    fields = {name: value for name, value in row.items() if name != "model"}
    return CalibrationRow(**{**fields, "at": datetime.fromisoformat(row["at"])})


@cache
def _table() -> "Table":
    """The table, described once."""
    from sqlalchemy import Column, Integer, String, Text

    return numbered(
        "calibrations",
        Column("version", String(20), nullable=False),
        Column("content", Text, nullable=False),
        Column("seal", String(200), nullable=False),
        Column("restores", Integer),
        Column("who", String(200), nullable=False),
        Column("why", Text, nullable=False),
        Column("at", String(40), nullable=False),
    )
