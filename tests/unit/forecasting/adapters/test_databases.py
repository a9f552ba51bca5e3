"""A database opens on first use, creates its table once, and refuses what is no address."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect

from forecasting.adapters.databases import Database, make_database
from forecasting.errors import InvalidSettings


def table() -> Table:
    return Table("things", MetaData(), Column("number", Integer, primary_key=True))


@pytest.mark.parametrize("often", [True, False])
def test_the_file_its_folder_and_its_table_are_made_on_first_use(
    tmp_path: Path, *, often: bool
) -> None:
    file = tmp_path / "deep" / "log.sqlite"
    database = Database(f"sqlite:///{file}", often=often)
    assert not file.parent.exists()
    engine = database.engine(table())
    assert inspect(engine).has_table("things")
    assert database.engine(table()) is engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == (1 if often else 2)
    database.close()
    database.close()
    again = database.engine(table())
    assert again is not engine
    database.close()


def test_rivals_that_create_the_table_at_the_same_time_all_find_it(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'log.sqlite'}", often=False) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(lambda database: database.engine(table()), databases))
    assert all(inspect(engine).has_table("things") for engine in engines)
    for database in databases:
        database.close()


def test_what_is_no_address_and_what_has_no_driver_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="must be an SQLAlchemy URL"):
        Database("nowhere", often=True).engine(table())
    with pytest.raises(InvalidSettings, match="with an installed driver"):
        Database("mysql+nobody://host/log", often=False).engine(table())


def test_a_sqlite_database_needs_no_server_to_create_it() -> None:
    assert make_database("sqlite:///anything") is False
