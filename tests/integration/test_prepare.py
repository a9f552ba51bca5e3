"""Preparing a real PostgreSQL: databases, tables, reader; again and twice at once."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bellwether.bootstrap import prepare
from forecasting.adapters.database_roles import READER, Account
from forecasting.adapters.databases import make_database, one_at_a_time
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.registry.ledger import Ledger
from forecasting.errors import Unavailable
from forecasting.settings import Settings
from tests.time_limits import expires, seconds
from tests.unit.forecasting.adapters.prediction_log.test_log import Rows, answered

pytestmark = pytest.mark.integration


def database(postgres_url, prefix):
    """URL of a database that is not there yet."""
    name = f"{prefix}_{uuid.uuid4().hex[:8]}"
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def tables(url):
    engine = create_engine(url, poolclass=NullPool)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_an_empty_server_gets_databases_tables_and_a_reader(postgres_url, tmp_path):
    log, registry = database(postgres_url, "log"), database(postgres_url, "registry")
    settings = Settings(lake_url=str(tmp_path / "lake"), prediction_log_url=log)
    for password in ("first", "it's 2nd"):  # the second time everything is there
        reader = Account("grafana", READER, password)
        prepare(settings, mlflow_url=registry, accounts=[reader], wait_seconds=seconds(5))
    assert tables(log) == {
        "predictions",
        "promotions",
        "approvals",
        "rollouts",
        "trials",
        "calibrations",
    }
    assert {"experiments", "registered_models", "alembic_version"} <= tables(registry)
    assert (tmp_path / "lake").is_dir()
    login = make_url(log).set(username="bellwether_reader", password="it's 2nd")
    engine = create_engine(login, poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM predictions")) == 0
    for forbidden in (
        "SELECT * FROM promotions",
        "SELECT * FROM approvals",
        "DELETE FROM predictions",
    ):
        with engine.connect() as connection, pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(text(forbidden))


def test_several_may_prepare_at_once(postgres_url, tmp_path):
    log, registry = database(postgres_url, "log"), database(postgres_url, "registry")
    settings = Settings(lake_url=str(tmp_path), prediction_log_url=log)

    def once(_):
        reader = Account("grafana", READER, "word")
        prepare(settings, mlflow_url=registry, accounts=[reader], wait_seconds=seconds(60))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(once, range(3)))
    assert tables(log) == {
        "predictions",
        "promotions",
        "approvals",
        "rollouts",
        "trials",
        "calibrations",
    }


def test_without_a_password_nobody_is_made_and_sqlite_needs_no_server(tmp_path):
    log = f"sqlite:///{tmp_path / 'log' / 'predictions.sqlite'}"
    settings = Settings(lake_url=str(tmp_path / "lake"), prediction_log_url=log)
    prepare(settings, mlflow_url="", wait_seconds=0)
    assert tables(log) == {
        "predictions",
        "promotions",
        "approvals",
        "rollouts",
        "trials",
        "calibrations",
    }


def test_a_database_that_is_down_is_said_in_words_without_its_password(tmp_path, capsys):
    settings = Settings(
        lake_url=str(tmp_path),
        prediction_log_url="postgresql+psycopg://someone:secret@127.0.0.1:9/log",
    )
    with pytest.raises(Unavailable, match="the database must answer") as caught:
        prepare(settings, mlflow_url="", wait_seconds=expires(2.5))
    said = capsys.readouterr().out
    assert "Waiting for the prediction log's server, 2 s at most" in said
    assert "secret" not in said + str(caught.value)


def test_who_waits_for_the_lock_too_long_is_told(postgres_url):
    with (
        one_at_a_time(postgres_url, seconds=0),
        pytest.raises(Unavailable, match="only one may prepare"),
        one_at_a_time(postgres_url, seconds=0),
    ):
        pass
    with one_at_a_time(postgres_url, seconds=0):
        pass


def test_writers_that_start_at_once_on_an_empty_database_all_write(postgres_url):
    url = database(postgres_url, "race")
    make_database(url)
    ready = threading.Barrier(12, timeout=seconds(30))

    def write(_):
        ready.wait()
        rows = Rows()
        log = PredictionLog(url, on_rows=rows)
        log.start()
        log.offer(answered("AAPL"))
        log.close()
        return rows.written

    def claim(number):
        ledger = Ledger(url)
        ready.wait()
        ledger.claim(f"model-{number}", expected="", to_version="1", who="test", why="race")
        ledger.close()

    with ThreadPoolExecutor(12) as pool:
        claims = [pool.submit(claim, number) for number in range(6)]
        written = list(pool.map(write, range(6)))
        for one in claims:
            one.result()
    assert written == [1] * 6
