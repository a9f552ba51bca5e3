"""The prediction log in a real PostgreSQL."""

import time
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url, text

from forecasting.adapters.databases import make_database
from forecasting.adapters.prediction_log.log import PredictionLog
from tests.time_limits import wait_until
from tests.unit.forecasting.adapters.prediction_log.test_log import ORIGIN, Rows, answered
from tests.unit.forecasting.adapters.prediction_log.test_queries import (
    check_against_a_plain_loop,
    check_that_repeats_change_no_score,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def own_url(postgres_url):
    """A database of this test alone."""
    url = make_url(postgres_url).set(database=f"log_{uuid.uuid4().hex[:12]}")
    made = url.render_as_string(hide_password=False)
    assert make_database(made)
    return made


@pytest.fixture
def sql(own_url):
    """Executes statements in that database."""
    engine = create_engine(own_url, isolation_level="AUTOCOMMIT")

    def execute(sentence):
        with engine.connect() as connection:
            connection.execute(text(sentence))

    yield execute
    engine.dispose()


def test_the_log_writes_and_reads_the_same_in_postgresql(postgres_url):
    rows = Rows()
    log = PredictionLog(postgres_url, on_rows=rows)
    log.start()
    for _ in range(600):
        assert log.offer(answered("AAPL", "MSFT"))
    log.close()
    assert (rows.written, rows.dropped) == (1_200, 0)
    assert log.count() == 1_200
    row = log.recent(1)[0]
    assert row.as_of == datetime.fromtimestamp(ORIGIN / 1000, UTC)
    assert (row.replay, row.stale, row.horizon) == (True, False, 3)
    np.testing.assert_allclose(row.quantiles[0][0], 101.123456789, rtol=1e-7)
    assert len(list(log.each_once())) == 2
    log.close()


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "\0"},
        {"request_id": "r" * 300},
        {"request_id": "\ud800"},
        {"signal": ["a signal too long"]},
        {"model_version": None},
        {"as_of": [2**70]},
        {"processing_seconds": 10**400},
    ],
    ids=["NUL", "too long", "no character", "other column", "missing", "large", "overflow"],
)
def test_a_row_that_postgresql_refuses_holds_up_no_other(own_url, change):
    rows = Rows()
    log = PredictionLog(own_url, on_rows=rows)
    for number in range(700):
        log.offer(answered(f"S{number}", **(change if number in {3, 321} else {})))
    log.start()
    wait_until(lambda: rows.written == 698, 30)
    assert log.offer(answered("LATER"))
    log.close()
    assert (rows.written, rows.rejected, rows.dropped) == (699, 2, 0)
    missing = {f"S{number}" for number in range(700)} - {row.symbol for row in log.recent(2_000)}
    assert missing == {"S3", "S321"}
    log.close()


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        ("DROP TABLE predictions", "SELECT 1"),
        ("ALTER TABLE predictions RENAME signal TO other", "ALTER TABLE predictions RENAME other TO signal"),
        ("REVOKE INSERT ON predictions FROM writer", "GRANT INSERT ON predictions TO writer"),
        ("ALTER ROLE writer SET default_transaction_read_only = on",
         "ALTER ROLE writer RESET default_transaction_read_only"),
        ("ALTER ROLE writer NOLOGIN", "ALTER ROLE writer LOGIN"),
    ],
    ids=["table gone", "column gone", "not allowed", "read only", "login refused"],
)  # fmt: skip
def test_a_postgresql_that_takes_no_row_for_a_while_loses_none(own_url, sql, harm, mend):
    writer = f"writer_{uuid.uuid4().hex[:12]}"
    harm, mend = harm.replace("writer", writer), mend.replace("writer", writer)
    made = PredictionLog(own_url)
    made.count()
    made.close()
    sql(f"CREATE ROLE {writer} LOGIN")
    sql(f"GRANT CREATE, USAGE ON SCHEMA public TO {writer}")
    sql(f"GRANT SELECT, INSERT ON predictions TO {writer}")
    rows = Rows()
    url = make_url(own_url).set(username=writer).render_as_string(hide_password=False)
    log = PredictionLog(url, on_rows=rows)
    log.start()
    log.offer(answered("BEFORE"))
    wait_until(lambda: rows.written == 1, 20)
    sql(harm)
    # Whoever is connected is thrown out, too, as by a server that starts anew.
    sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{writer}'")
    for _ in range(600):
        log.offer(answered("AAPL"))
    time.sleep(1.0)
    assert (rows.rejected, rows.dropped) == (0, 0)
    sql(mend)
    wait_until(lambda: rows.written == 601, 30)
    log.close()
    assert (rows.rejected, rows.dropped) == (0, 0)


def test_the_answers_to_a_request_and_to_its_copy_are_joined_in_postgresql(own_url):
    log = PredictionLog(own_url)
    log.start()
    log.offer(answered("AAPL", gateway_id="a"))
    log.offer(answered("AAPL", gateway_id="a", model_version="4", shadow=True))
    log.offer(answered("AAPL"))
    log.close()
    both = log.mirrored(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert sorted((row.gateway_id, row.model_version, row.shadow) for row in both) == [
        ("a", "3", False),
        ("a", "4", True),
    ]
    assert {row.model_version for row in log.recent()} == {"3"}
    log.close()


def test_a_log_of_before_shadows_gets_its_columns_and_keeps_its_rows(own_url, sql):
    log = PredictionLog(own_url)
    log.start()
    log.offer(answered("AAPL"))
    log.close()
    for column in ("gateway_id", "shadow"):
        sql(f"ALTER TABLE predictions DROP COLUMN {column}")
    later = PredictionLog(own_url)
    (row,) = later.recent()
    assert (row.gateway_id, row.shadow) == ("", False)
    later.close()


def test_repeats_change_neither_coverage_nor_skill_in_postgresql(own_url):
    few = make_url(own_url).set(database=f"log_{uuid.uuid4().hex[:12]}")
    few_url = few.render_as_string(hide_password=False)
    assert make_database(few_url)
    check_that_repeats_change_no_score(few_url, own_url, 20_000)


def test_the_first_row_of_every_horizon_is_read_and_no_other_in_postgresql(own_url):
    check_against_a_plain_loop(own_url, 7)
