"""SQL databases: an engine with its table, and what a PostgreSQL server has to have.

The functions for a PostgreSQL server do nothing for other databases (SQLite), which need none of
it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from forecasting.errors import InvalidSettings, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import URL, Column, Connection, Engine, Table

_LOCK: Final = 5_201_314_159
"""Key of our advisory lock: any number that nobody else on the server takes."""
_LOOK_SECONDS: Final = 0.5
_BUSY_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5
_NO_DATABASE: Final = "3D000"
_MADE_BY_A_RIVAL: Final = {"42P04", "23505", "42710"}
_NO_RIGHT: Final = "42501"
# A login that is refused carries no code; the server's sentence is all there is.
_NO_LOGIN: Final = ("authentication failed", "permission denied for database", 'role "')
REFUSED_REMEDY: Final = (
    "Run `bellwether prepare`, as every start of MLflow's pod does: it makes tables and roles and "
    "gives each role its rights. Which those are: SECURITY.md, 'Who may what'"
)
"""What to do for a role that lacks a right, or whose password is not the one it has."""

_LOADING: Final = Lock()
"""SQLAlchemy 2.1 loads a dialect by import and attribute: of two threads that do so for the first
time, the second may find the module and not yet the attribute (AttributeError)."""


class Database:
    """A table in a SQLite or PostgreSQL database, created on first use; threads may share it.

    Args:
        url: SQLAlchemy URL. Nothing is opened before the first call.
        often: whether it is used all the time. Connections are kept then, and a crash of the machine
            may lose SQLite's last transactions, never the file; else a caller waits longer for a
            SQLite file that somebody else writes to.
    """

    def __init__(self, url: str, *, often: bool) -> None:
        self._url, self._often = url, often
        self._engine: Engine | None = None
        self._opening = Lock()

    def engine(self, table: "Table") -> "Engine":
        """The engine, with the table created unless it is there.

        Raises:
            InvalidSettings: the URL is none, or its driver is not installed.
            SQLAlchemyError: the database cannot be reached.
        """
        with self._opening:
            if self._engine is None:
                engine = self._open()
                try:
                    _create(engine, table)
                except BaseException:
                    engine.dispose()  # else each attempt leaves its connection open
                    raise
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _open(self) -> "Engine":
        from sqlalchemy import event
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool

        url = parsed_url(self._url)
        sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = (
            {"pool_pre_ping": True} if self._often else {"poolclass": NullPool}
        )
        if sqlite and not self._often:
            options["connect_args"] = {"timeout": _BUSY_SECONDS}
        elif url.get_backend_name() == "postgresql":
            options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
        if sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            engine = _new_engine(url, **options)
        except (ArgumentError, ImportError) as error:
            raise InvalidSettings(
                "a database's address must be an SQLAlchemy URL with an installed driver",
                str(error),
                "Use sqlite:///file or postgresql+psycopg://user@host/database",
            ) from error
        if sqlite:
            event.listen(engine, "connect", self._prepare_sqlite)
        return engine

    def _prepare_sqlite(self, connection: Any, _record: object) -> None:
        """Let readers read while a writer writes."""
        connection.execute("PRAGMA journal_mode=WAL")
        if self._often:
            connection.execute("PRAGMA synchronous=NORMAL")


def _new_engine(url: "URL", **options: Any) -> "Engine":
    from sqlalchemy import create_engine

    with _LOADING:
        return create_engine(url, **options)


def _create(engine: "Engine", table: "Table") -> None:
    """Create the table unless it is there, and columns that an earlier release did not have.

    A rival doing the same at the same time is welcome.
    """
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    try:
        table.create(engine, checkfirst=True)
    except SQLAlchemyError:
        if not inspect(engine).has_table(table.name):
            raise
    for column in _missing_columns(engine, table):
        words = f"{column.name} {column.type.compile(engine.dialect)}"
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {words}")
        except SQLAlchemyError:
            if column in _missing_columns(engine, table):
                raise


def _missing_columns(engine: "Engine", table: "Table") -> "list[Column[Any]]":
    """Columns of ours that the table in the database does not have; they may be null."""
    from sqlalchemy import inspect

    there = {str(column["name"]) for column in inspect(engine).get_columns(table.name)}
    return [column for column in table.columns if column.name not in there and column.nullable]


def make_database(url: str) -> bool:
    """Create the database that a URL names unless it is there; whether it was made.

    Raises:
        InvalidSettings: the URL is none.
        Unavailable: the server does not answer, or does not let us.
    """
    parsed = parsed_url(url)
    if parsed.get_backend_name() != "postgresql":
        return False
    try:
        with server_connection(parsed):
            return False
    except _Missing:
        pass
    # A database is created from another one; every server has this one.
    with server_connection(parsed.set(database="postgres")) as connection:
        name = connection.dialect.identifier_preparer.quote(str(parsed.database))
        return unless_made(connection, f"CREATE DATABASE {name}")


@contextmanager
def one_at_a_time(url: str, *, seconds: float) -> Iterator[None]:
    """Hold the server's advisory lock of ours, so that two who prepare take turns.

    The lock belongs to the connection: whoever dies lets go of it.

    Raises:
        Unavailable: somebody else holds it longer than so many seconds, or the server is down.
    """
    parsed = parsed_url(url)
    if parsed.get_backend_name() != "postgresql":
        yield
        return
    with server_connection(parsed) as connection:
        deadline = time.monotonic() + seconds
        while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK})").scalar():
            if time.monotonic() > deadline:
                raise Unavailable(
                    "only one may prepare the databases at a time",
                    f"somebody else has been at it for {seconds:.0f} seconds",
                    "Look for another `bellwether prepare` that hangs",
                )
            time.sleep(_LOOK_SECONDS)
        yield


def unanswered(rule: str, url: str, error: Exception) -> Unavailable:
    """The error for a database that was asked and did not do it.

    Args:
        rule: what must hold, where it is the server that does not answer.
        url: SQLAlchemy URL of the database.
        error: the driver's.
    """
    address = parsed_url(url)
    words = str(getattr(error, "orig", None) or error).strip()
    if is_refused(error):
        return Unavailable(
            "a component's database role must have the rights that its work takes",
            f"{address.username} on {address.database}: {words.splitlines()[0]}",
            REFUSED_REMEDY,
        )
    return Unavailable(
        rule,
        f"{address.render_as_string(hide_password=True)}: {words.splitlines()[0] if words else ''}",
        "Check BELLWETHER_PREDICTION_LOG_URL and that the database is up",
    )


def is_refused(error: Exception) -> bool:
    """Whether PostgreSQL answered, and refuses this role its login or what it asks."""
    from sqlalchemy.exc import DBAPIError

    if not isinstance(error, DBAPIError):
        return False
    words = str(error.orig)
    return _code(error) == _NO_RIGHT or (
        "FATAL:" in words and any(sign in words for sign in _NO_LOGIN)
    )


class _Missing(Exception):
    """There is no such database."""


def parsed_url(url: str) -> "URL":
    """An SQLAlchemy URL in its parts.

    Raises:
        InvalidSettings: it is none.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except ArgumentError as error:
        raise InvalidSettings(
            "a database's address must be an SQLAlchemy URL",
            str(error),
            "Use sqlite:///file or postgresql+psycopg://user@host/database",
        ) from error


@contextmanager
def server_connection(url: "URL", *, autocommit: bool = True) -> Iterator["Connection"]:
    """A connection to a PostgreSQL server, closed at the end.

    Args:
        url: of a database on it.
        autocommit: whether every statement commits by itself.

    Raises:
        InvalidSettings: the driver is not installed.
        Unavailable: the server does not answer, or does not let us.
    """
    from sqlalchemy.pool import NullPool

    with in_words(url):
        try:
            engine = _new_engine(
                url.set(drivername="postgresql+psycopg"),
                poolclass=NullPool,
                connect_args={"connect_timeout": _CONNECT_SECONDS},
                **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
            )
        except ImportError as error:
            raise InvalidSettings(
                "PostgreSQL needs its driver", str(error), "Install bellwether[postgres]"
            ) from error
        connection = engine.connect()
    try:
        yield connection
    finally:
        connection.close()


def unless_made(connection: "Connection", sentence: str) -> bool:
    """Execute a CREATE; whether it made something. A rival who was quicker is welcome.

    Raises:
        Unavailable: the server does not let us.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        with in_words(connection.engine.url):
            connection.exec_driver_sql(sentence)
    except Unavailable as error:
        cause = error.__cause__
        if isinstance(cause, DBAPIError) and _code(cause) in _MADE_BY_A_RIVAL:
            return False
        raise
    return True


@contextmanager
def in_words(url: "URL") -> Iterator[None]:
    """Turn what the driver raises while something is prepared into `Unavailable`."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        if _code(error) == _NO_DATABASE or _says_missing(error, url):
            raise _Missing from error
        raise Unavailable(
            "the database must answer, and let us prepare it",
            f"{url.render_as_string(hide_password=True)}: {str(error.orig).strip()}",
            "Check its address, the user's password, and that the user may create what is missing",
        ) from error


def _code(error: Any) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")


def _says_missing(error: Any, url: "URL") -> bool:
    # A refused connection carries no code; the server's sentence is all there is.
    return f'database "{url.database}" does not exist' in str(error.orig)
