"""Database roles: each component's own, with the rights that its work takes and no more.

`bellwether prepare` makes them as the owner of the tables, whenever MLflow's pod starts, and says
anew what each may: a right that a table here does not give is taken back. Tables are named one by
one, so a table that a later release adds is closed until it stands here, too. MLflow's tables are
not ours to name: its role reads and writes all of them, also those that a later version makes, and
the owner alone makes or drops any.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.databases import (
    in_words,
    parsed_url,
    server_connection,
    unless_made,
)
from forecasting.errors import InvalidSettings, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

PREDICTIONS: Final = "predictions"
PROMOTIONS: Final = "promotions"
APPROVALS: Final = "approvals"
ROLLOUTS: Final = "rollouts"
TRIALS: Final = "trials"
CALIBRATIONS: Final = "calibrations"

TABLES: Final = (PREDICTIONS, PROMOTIONS, APPROVALS, ROLLOUTS, TRIALS, CALIBRATIONS)
"""The tables of the prediction log's database."""

RIGHTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    # Who is an operator there may approve a version, and nobody may take that back or change it.
    "page": {
        PREDICTIONS: ("SELECT",),
        PROMOTIONS: ("SELECT",),
        APPROVALS: ("SELECT", "INSERT"),
    },
    # A server writes what it answered, and never reads it back.
    "models": {
        PREDICTIONS: ("INSERT",),
        PROMOTIONS: ("SELECT",),
        CALIBRATIONS: ("SELECT",),
    },
    # A promotion is added, then marked done; everything else about it stays as it was written. What
    # was weighed is added and never taken back, and so is every calibration. A refresh adds forecasts. The refresh keeps the features of versions that have answered lately.
    "jobs": {
        PREDICTIONS: ("SELECT", "INSERT"),
        PROMOTIONS: ("SELECT", "INSERT", "UPDATE (state)"),
        TRIALS: ("SELECT", "INSERT"),
        CALIBRATIONS: ("SELECT", "INSERT"),
    },
    "drift": {PREDICTIONS: ("SELECT",), CALIBRATIONS: ("SELECT",)},
    # Canaries are asked what users asked, a champion that is withdrawn leaves a row, and so does
    # every change of the weights, which nobody changes afterwards. What waits for a person's
    # approval cannot approve itself.
    "rollout": {
        PREDICTIONS: ("SELECT",),
        PROMOTIONS: ("SELECT", "INSERT", "UPDATE (state)"),
        APPROVALS: ("SELECT",),
        ROLLOUTS: ("SELECT", "INSERT"),
        CALIBRATIONS: ("SELECT",),
    },
    "grafana": {PREDICTIONS: ("SELECT",)},
}
"""Account -> table of the prediction log's database -> what it may do there."""

MLFLOW: Final = "mlflow"
GRAFANA: Final = "grafana"
NAMES: Final = (*RIGHTS, MLFLOW)

READER: Final = "bellwether_reader"
"""The role of Grafana's data source."""

_OF_TABLES: Final = "SELECT, INSERT, UPDATE, DELETE"
_OF_SEQUENCES: Final = "USAGE, SELECT, UPDATE"


@dataclass(frozen=True)
class Account:
    """A component's login.

    Attributes:
        name: one of `NAMES`.
        role: its name in PostgreSQL.
        password: the one it is to have.
    """

    name: str
    role: str
    password: str = field(repr=False)


def accounts_in(variables: Mapping[str, str]) -> tuple[Account, ...]:
    """The accounts that environment variables name.

    BELLWETHER_ROLE_PAGE is the role of the page, BELLWETHER_ROLE_PAGE_PASSWORD its password, and so
    for every other name; Grafana's has its password in BELLWETHER_READER_PASSWORD. What is empty
    or missing is no account.

    Raises:
        InvalidSettings: a role has no password.
    """
    found = []
    for name in NAMES:
        variable = f"BELLWETHER_ROLE_{name.upper()}"
        role, password = variables.get(variable, ""), variables.get(f"{variable}_PASSWORD", "")
        if name == GRAFANA:
            password = variables.get("BELLWETHER_READER_PASSWORD", "")
            role = READER if password else ""
        if role and not password:
            raise InvalidSettings(
                "a database role needs a password",
                f"{variable} names {role!r}, {variable}_PASSWORD is empty",
                "Set both, or neither",
            )
        if role:
            found.append(Account(name, role, password))
    return tuple(found)


def make_roles(log_url: str, registry_url: str, accounts: Sequence[Account]) -> tuple[str, ...]:
    """Make the accounts' roles where they are missing, and give each its password and its rights.

    The tables have to be there. With any account but Grafana's, both databases are closed to
    whoever is not named here: PostgreSQL lets every role of a server in by default.

    Args:
        log_url: SQLAlchemy URL of the prediction log's database, as the owner of its tables.
        registry_url: of MLflow's, as the owner of its tables; "" for none.
        accounts: whose roles.

    Returns:
        What could not be done and does no harm to the components, in sentences.

    Raises:
        InvalidSettings: a role is the owner's, or may more than a component's should.
        Unavailable: the server does not answer, or does not let us.
    """
    close = any(account.name != GRAFANA for account in accounts)
    of_log = [account for account in accounts if account.name in RIGHTS]
    of_registry = [account for account in accounts if account.name == MLFLOW]
    remarks: list[str] = []
    for url, concerned in ((log_url, of_log), (registry_url, of_registry)):
        parsed = parsed_url(url) if url else None
        if parsed is None or parsed.get_backend_name() != "postgresql" or not accounts:
            continue
        _check(parsed, accounts)
        with server_connection(parsed) as connection:
            for account in concerned:
                _log_in(connection, account)
        remarks += _grant(parsed, concerned, close=close)
    return tuple(remarks)


def _check(url: "URL", accounts: Sequence[Account]) -> None:
    words: dict[str, str] = {}
    for account in accounts:
        if account.role == url.username:
            raise InvalidSettings(
                "a component's database role must not be the owner of the tables",
                f"{account.name} has {account.role!r}",
                f"Leave database.accounts.{account.name} empty, or name a Secret with another role",
            )
        if words.setdefault(account.role, account.password) != account.password:
            raise InvalidSettings(
                "a database role has one password",
                f"two Secrets give {account.role!r} different ones",
                "Give each account a role of its own",
            )


def _log_in(connection: "Connection", account: Account) -> None:
    """Make a role that may log in with its password."""
    url = connection.engine.url
    with in_words(url):
        powers = connection.exec_driver_sql(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
            "FROM pg_roles WHERE rolname = %s",
            (account.role,),
        ).scalar()
    if powers:
        raise InvalidSettings(
            "a component's database role must have no rights over the server",
            f"{account.role!r} of {account.name} has some (superuser, roles, databases, "
            "replication or row security)",
            "Name another role in its Secret",
        )
    driver: Any = connection.connection.driver_connection
    try:
        if powers is None:
            unless_made(connection, _sentence(connection, "CREATE ROLE {role} LOGIN", account.role))
        # The server's log may keep statements: it gets to see the hash alone.
        words, name = account.password.encode(), account.role.encode()
        with in_words(url):
            kept = driver.pgconn.encrypt_password(words, name).decode()
            connection.exec_driver_sql(
                _sentence(
                    connection, "ALTER ROLE {role} LOGIN PASSWORD {kept}", account.role, kept=kept
                )
            )
    except Unavailable as error:
        # Whoever may make no roles may have had them made.
        if powers is None or not _opens(url, account):
            raise Unavailable(
                "the databases' owner must be able to make roles, or find them made",
                error.found,
                f"Allow it: ALTER ROLE {url.username} CREATEROLE. Or make {account.role} with the "
                f"password in its Secret. Or leave database.accounts.{account.name} empty",
            ) from error


def _opens(url: "URL", account: Account) -> bool:
    login = url.set(username=account.role, password=account.password)
    try:
        with server_connection(login):
            return True
    except Unavailable:
        return False


def _grant(url: "URL", accounts: Sequence[Account], *, close: bool) -> list[str]:
    """Give the roles their rights in one database, all at once: nobody sees half of it."""
    remarks: list[str] = []
    with (
        server_connection(url, autocommit=False) as connection,
        in_words(url),
        connection.begin(),
    ):
        ours = connection.exec_driver_sql(
            "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database "
            "WHERE datname = current_database()"
        ).scalar()
        if close and ours:
            for closing in (
                "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            ):
                connection.exec_driver_sql(_sentence(connection, closing))
        elif close:
            remarks.append(
                f"{url.username} does not own the database {url.database}, so that every role of "
                "the server may still connect to it"
            )
        for role in dict.fromkeys(account.role for account in accounts):
            names = [account.name for account in accounts if account.role == role]
            for sentence in _rights(names, owned=bool(ours)):
                connection.exec_driver_sql(_sentence(connection, sentence, role))
    return remarks


def _rights(names: Sequence[str], *, owned: bool) -> Iterator[str]:
    """The sentences that give a role what all of its accounts may, and nothing else."""
    if owned:
        yield "GRANT CONNECT ON DATABASE {database} TO {role}"
        yield "GRANT USAGE ON SCHEMA public TO {role}"
    if MLFLOW in names:
        yield f"GRANT {_OF_TABLES} ON ALL TABLES IN SCHEMA public TO {{role}}"
        yield f"GRANT {_OF_SEQUENCES} ON ALL SEQUENCES IN SCHEMA public TO {{role}}"
        later = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT"
        yield f"{later} {_OF_TABLES} ON TABLES TO {{role}}"
        yield f"{later} {_OF_SEQUENCES} ON SEQUENCES TO {{role}}"
        return
    for table in TABLES:
        given = dict.fromkeys(right for name in names for right in RIGHTS[name].get(table, ()))
        # Takes back what is granted on single columns, too.
        yield f"REVOKE ALL ON {table} FROM {{role}}"
        if given:
            yield f"GRANT {', '.join(given)} ON {table} TO {{role}}"


def _sentence(connection: "Connection", text: str, role: str = "", **literals: str) -> str:
    """A statement with its names and literals in it, quoted as this server wants them."""
    from psycopg.sql import SQL, Identifier, Literal

    driver: Any = connection.connection.driver_connection
    return (
        SQL(text)
        .format(
            role=Identifier(role),
            database=Identifier(str(connection.engine.url.database)),
            **{name: Literal(value) for name, value in literals.items()},
        )
        .as_string(driver)
    )
