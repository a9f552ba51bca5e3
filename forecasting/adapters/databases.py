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
    from sqlalchemy import URL, Connection, Engine, Table

READER: Final = "bellwether_reader"
"""The role that may only read the prediction log, for dashboards."""

_LOCK: Final = 5_201_314_159
"""Key of our advisory lock: any number that nobody else on the server takes."""
_LOOK_SECONDS: Final = 0.5
_BUSY_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5
_NO_DATABASE: Final = "3D000"
_MADE_BY_A_RIVAL: Final = {"42P04", "23505", "42710"}


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
                _create(engine, table)
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _open(self) -> "Engine":
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool

        url = _parsed(self._url)
        sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = (
            {"pool_pre_ping": True} if self._often else {"poolclass": NullPool}
        )
        if sqlite and not self._often:
            options["connect_args"] = {"timeout": _BUSY_SECONDS}
        if sqlite and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            engine = create_engine(url, **options)
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


def _create(engine: "Engine", table: "Table") -> None:
    """Create the table unless it is there; a rival creating it at the same time is welcome."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    try:
        table.create(engine, checkfirst=True)
    except SQLAlchemyError:
        if not inspect(engine).has_table(table.name):
            raise


def make_database(url: str) -> bool:
    """Create the database that a URL names unless it is there; whether it was made.

    Raises:
        InvalidSettings: the URL is none.
        Unavailable: the server does not answer, or does not let us.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "postgresql":
        return False
    try:
        with _connected(parsed):
            return False
    except _Missing:
        pass
    # A database is created from another one; every server has this one.
    with _connected(parsed.set(database="postgres")) as connection:
        name = connection.dialect.identifier_preparer.quote(str(parsed.database))
        return _unless_made(connection, f"CREATE DATABASE {name}")


def make_reader(url: str, password: str, tables: tuple[str, ...]) -> None:
    """Give the role `bellwether_reader` this password and the right to read some tables.

    Raises:
        Unavailable: the server does not answer, or does not let us.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "postgresql":
        return
    from psycopg.sql import SQL, Identifier, Literal

    role = Identifier(READER)
    with _connected(parsed) as connection:
        driver: Any = connection.connection.driver_connection

        def sentence(text: str, **parts: Any) -> str:
            return SQL(text).format(role=role, **parts).as_string(driver)

        _unless_made(connection, sentence("CREATE ROLE {role} LOGIN"))
        with _words(parsed):
            for change in (
                sentence("ALTER ROLE {role} LOGIN PASSWORD {word}", word=Literal(password)),
                sentence(
                    "GRANT CONNECT ON DATABASE {it} TO {role}", it=Identifier(str(parsed.database))
                ),
                sentence("GRANT USAGE ON SCHEMA public TO {role}"),
                *(sentence("GRANT SELECT ON {it} TO {role}", it=Identifier(it)) for it in tables),
            ):
                connection.exec_driver_sql(change)


@contextmanager
def one_at_a_time(url: str, *, seconds: float) -> Iterator[None]:
    """Hold the server's advisory lock of ours, so that two who prepare take turns.

    The lock belongs to the connection: whoever dies lets go of it.

    Raises:
        Unavailable: somebody else holds it longer than so many seconds, or the server is down.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "postgresql":
        yield
        return
    with _connected(parsed) as connection:
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


class _Missing(Exception):
    """There is no such database."""


def _parsed(url: str) -> "URL":
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
def _connected(url: "URL") -> Iterator["Connection"]:
    """A connection that commits every statement by itself."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with _words(url):
        try:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args={"connect_timeout": _CONNECT_SECONDS},
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


def _unless_made(connection: "Connection", sentence: str) -> bool:
    from sqlalchemy.exc import DBAPIError

    try:
        with _words(connection.engine.url):
            connection.exec_driver_sql(sentence)
    except Unavailable as error:
        cause = error.__cause__
        if isinstance(cause, DBAPIError) and _code(cause) in _MADE_BY_A_RIVAL:
            return False
        raise
    return True


@contextmanager
def _words(url: "URL") -> Iterator[None]:
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
