"""The table "Who may what" of SECURITY.md, read: what each account opens, for tests to hold it to."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SECURITY = Path(__file__).parents[1] / "SECURITY.md"
OWNER = "owner"
NAMED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class AccountRow:
    """One row.

    Attributes:
        who: whom it is about.
        account: its name in `objectStore.accounts` and `database.accounts`; "" for none.
        store: "reads" and "writes" -> beginnings of the keys; None for everything.
        database: table, or "*" for all of MLflow's -> rights as SQL names them; None for all.
    """

    who: str
    account: str
    store: dict[str, set[str]] | None
    database: dict[str, set[str]] | None


@cache
def account_rows() -> tuple[AccountRow, ...]:
    """The rows, in their order."""
    section = SECURITY.read_text().partition("## Who may what")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    heads = _cells(lines[0])
    assert heads[:4] == ["who", "account", "object store", "database"], heads
    return tuple(_row(*_cells(line)[:4]) for line in lines[1:])


def row_of(who: str) -> AccountRow:
    """The row about somebody."""
    (found,) = (row for row in account_rows() if row.who == who)
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _row(who: str, account: str, store: str, database: str) -> AccountRow:
    named = NAMED.findall(account)
    return AccountRow(who, named[0] if named else "", _store(store), _database(database))


def _store(words: str) -> dict[str, set[str]] | None:
    """E.g. "reads `lake/`, writes `lake/drift/`"."""
    if words == "everything":
        return None
    may: dict[str, set[str]] = {}
    if words == "nothing":
        return may
    verbs: set[str] = set()
    for part in re.split(r", | and (?=`)", words):
        said = set(re.findall(r"reads|writes", part))
        verbs = said or verbs
        places = NAMED.findall(part)
        assert verbs, words
        assert len(places) == 1, words
        for verb in verbs:
            may.setdefault(verb, set()).add(places[0])
    return may


def _database(words: str) -> dict[str, set[str]] | None:
    """E.g. "INSERT on `predictions`; SELECT on `promotions`"."""
    if words == "owner of both":
        return None
    may: dict[str, set[str]] = {}
    if words == "nothing":
        return may
    for part in words.split("; "):
        rights, on, tables = part.partition(" on ")
        assert on, words
        named = ["*"] if tables == "all tables of MLflow's" else NAMED.findall(tables)
        assert named, words
        for name in named:
            may.setdefault(name, set()).update(rights.split(", "))
    return may
