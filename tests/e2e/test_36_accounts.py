"""Each component's key in turn: what it opens in the object store and the database, as SECURITY.md says."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from forecasting.adapters import database_roles
from forecasting.adapters.database_roles import GRAFANA, NAMES, READER
from tests.accounts_table import OWNER, account_rows
from tests.e2e.cluster import DATA_NAMESPACE, Cluster
from tests.e2e.installation import STORE_ACCOUNTS

PLACES = ("", "lake/prices/", "lake/features/", "lake/drift/", "lake/doctor/", "mlflow/")
"""Where in the bucket it is tried."""

TRIED = "e2e-accounts"

LOG, REGISTRY = "bellwether", "mlflow"
TABLES = {
    LOG: database_roles.TABLES,
    REGISTRY: ("experiments", "registered_models"),
}
ATTEMPTS = {
    "SELECT": "SELECT * FROM {table} LIMIT 1",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = {column} WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "DROP": "DROP TABLE {table}",
}
COLUMNS = {
    "predictions": {"UPDATE": "symbol"},
    "promotions": {"UPDATE": "who", "UPDATE (state)": "state"},
    "approvals": {"UPDATE": "who"},
    "rollouts": {"UPDATE": "who"},
    "trials": {"UPDATE": "dataset"},
    "calibrations": {"UPDATE": "who"},
    "experiments": {"UPDATE": "name"},
    "registered_models": {"UPDATE": "description"},
}
NO_RIGHT = "42501"


@dataclass
class Opened:
    """What an account was seen to open.

    Attributes:
        reads, writes, lists: beginnings of keys in the bucket.
        databases: those it comes into.
        tables: table -> what it may there.
        makes: databases in which it may make a table.
    """

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    databases: set[str] = field(default_factory=set)
    tables: dict[str, set[str]] = field(default_factory=dict)
    makes: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        tables = "; ".join(f"{', '.join(sorted(may))} on {name}" for name, may in
                           sorted(self.tables.items()) if may)  # fmt: skip
        return (
            f"reads {_words(self.reads)} | writes {_words(self.writes)} | "
            f"lists {_words(self.lists)} | comes into {_words(self.databases)} | "
            f"{tables or 'no table'} | makes tables in {_words(self.makes)}"
        )


def _words(found: set[str]) -> str:
    return " ".join(sorted(one or "(the bucket)" for one in found)) or "nothing"


@pytest.fixture(scope="module")
def opened(cluster, versions, figures) -> dict[str, Opened]:
    """Account -> what its keys opened; `versions` has filled tables and bucket."""
    found = {name: Opened() for name in NAMES}
    with things_to_read(cluster):
        for name in STORE_ACCOUNTS:
            try_the_store(cluster, name, found[name])
    for name in NAMES:
        user, password = login(cluster, name)
        for database in TABLES:
            try_the_database(cluster, user, password, database, found[name])
    for name, seen in found.items():
        figures.remark(f"accounts     {name:<8} {seen}")
    return found


@contextlib.contextmanager
def things_to_read(cluster: Cluster) -> Iterator[None]:
    """An object in every place, gone at the end with what the attempts left."""
    store = cluster.s3
    for place in PLACES:
        store.pipe_file(f"bellwether/{place}{TRIED}/seen", b"seen")
    try:
        yield
    finally:
        for place in PLACES:
            store.rm(f"bellwether/{place}{TRIED}", recursive=True)


def try_the_store(cluster: Cluster, name: str, seen: Opened) -> None:
    store = cluster.store_of(f"bellwether-objectstore-{name}")

    def allowed(act, *words) -> bool:
        try:
            act(*words)
        except PermissionError:
            return False
        return True

    for place in PLACES:
        folder = f"bellwether/{place}{TRIED}"
        if allowed(store.cat_file, f"{folder}/seen"):
            seen.reads.add(place)
        if allowed(store.pipe_file, f"{folder}/{name}", b"written"):
            seen.writes.add(place)
        assert allowed(store.rm_file, f"{folder}/seen-by-nobody") is (place in seen.writes)
        if allowed(store.ls, folder):
            seen.lists.add(place)
    assert not allowed(store.mkdir, f"e2e-bucket-of-{name}")


def login(cluster: Cluster, name: str) -> tuple[str, str]:
    """User and password of a role."""
    if name == GRAFANA:
        return READER, cluster.secret("bellwether-database")["readerPassword"]
    kept = cluster.secret(f"bellwether-database-{name}")
    return kept["username"], kept["password"]


def psql(cluster: Cluster, user: str, password: str, database: str, script: str):
    """Run SQL over the network as a role: from its own pod by the pod's address, which takes a password."""
    (pod,) = cluster.pods("app=postgresql", namespace=DATA_NAMESPACE)
    return cluster.run(
        *("kubectl", "--namespace", DATA_NAMESPACE, "exec", "--stdin", pod["metadata"]["name"]),
        *("--", "env", f"PGPASSWORD={password}", "psql", f"--host={pod['status']['podIP']}"),
        *(f"--username={user}", f"--dbname={database}", "--no-psqlrc", "--quiet", "--no-password"),
        *("--tuples-only", "--no-align", "--output=/dev/null"),
        text=script,
    )


def try_the_database(
    cluster: Cluster, user: str, password: str, database: str, seen: Opened
) -> None:
    """Every statement in a transaction of its own, which is taken back."""
    statements = {
        f"{table}.{what}": ATTEMPTS[what.partition(" ")[0]].format(
            table=table, column=COLUMNS[table].get(what, "")
        )
        for table in TABLES[database]
        for what in [*ATTEMPTS, *(one for one in COLUMNS[table] if one not in ATTEMPTS)]
    }
    statements[".CREATE"] = "CREATE TABLE e2e_intruder (x int)"
    script = "".join(
        f"BEGIN;\n{sentence};\n\\echo tried {key} :SQLSTATE\nROLLBACK;\n"
        for key, sentence in statements.items()
    )
    done = psql(cluster, user, password, database, script)
    codes = {
        words[1]: words[2]
        for line in done.output.replace(" (state)", "_state").splitlines()
        if len(words := line.split()) == 3 and words[0] == "tried"
    }
    if not codes:
        assert "permission denied for database" in done.output, done.output
        return
    assert len(codes) == len(statements), done.output
    seen.databases.add(database)
    for key, code in codes.items():
        table, what = key.split(".")
        if code == NO_RIGHT:
            continue
        # Refused for another reason (a row of nothing but defaults) is not for want of a right.
        assert code == "00000" or (what == "INSERT" and code.startswith("23")), (key, code)
        if table:
            seen.tables.setdefault(table, set()).add(what.replace("_state", " (state)"))
        else:
            seen.makes.add(database)
    for may in seen.tables.values():
        if "UPDATE" in may:
            may.discard("UPDATE (state)")


def said(name: str) -> Opened:
    """What SECURITY.md's rows about an account come to."""
    due = Opened()
    for row in account_rows():
        if row.account != name or row.store is None or row.database is None:
            continue
        for verb, places in (("reads", due.reads), ("writes", due.writes)):
            beginnings = tuple(row.store.get(verb, ()))
            places |= {place for place in PLACES if beginnings and place.startswith(beginnings)}
        for table, may in row.database.items():
            database = REGISTRY if table == "*" else LOG
            due.databases.add(database)
            for one in TABLES[database] if table == "*" else [table]:
                due.tables.setdefault(one, set()).update(may)
    return due


@pytest.mark.parametrize("name", NAMES)
def test_an_account_opens_what_its_row_says_and_nothing_else(opened, name):
    seen, due = opened[name], said(name)
    assert (seen.reads, seen.writes) == (due.reads, due.writes)
    assert seen.databases == due.databases
    assert seen.tables == due.tables
    assert seen.makes == set()


def test_only_keys_of_artifacts_cannot_list_the_lake(opened):
    listing = {name: opened[name].lists for name in STORE_ACCOUNTS}
    assert listing.pop("mlflow") == {"mlflow/"}
    assert all(lists == set(PLACES) for lists in listing.values()), listing


def test_every_account_of_the_table_was_tried(opened):
    named = {row.account for row in account_rows() if row.account}
    # Kubeflow Pipelines is not on this cluster.
    assert set(opened) == named - {OWNER, "pipelines"}
    assert {row.account for row in account_rows() if row.store} - {"pipelines"} == set(
        STORE_ACCOUNTS
    )


def test_a_wrong_password_opens_nothing(cluster):
    user, _ = login(cluster, "page")
    done = psql(cluster, user, "a-wrong-password", LOG, "SELECT 1;\n")
    assert done.code != 0
    assert "password authentication failed" in done.output, done.output
