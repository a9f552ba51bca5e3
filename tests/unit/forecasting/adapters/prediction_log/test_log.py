"""The prediction log: bounded, off the caller's path, and nothing lost that was promised."""

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecasting.adapters.databases import Database
from forecasting.adapters.prediction_log.batches import BatchWriter
from forecasting.adapters.prediction_log.log import Answered, PredictionLog
from forecasting.adapters.prediction_log.rows import rows_of
from forecasting.errors import Unavailable
from tests.time_limits import expires, seconds, wait_until

DAY = 86_400_000
ORIGIN = 1_750_000_000_000


def answered(*symbols, made_at=1_760_000_000.0, horizon=3, **changes):
    n = len(symbols)
    steps = np.arange(1, horizon + 1)
    return Answered(
        request_id="r1",
        symbols=list(symbols),
        as_of=np.full(n, ORIGIN),
        made_at=made_at,
        model_version="3",
        model_kind="ridge",
        last_close=np.full(n, 101.25),
        quantiles=np.add.outer(np.zeros(n), np.add.outer(steps, np.arange(5.0)) + 100.123456789),
        target_times=np.tile(ORIGIN + DAY * steps, (n, 1)),
        probability_of_rise=np.full((n, horizon), 0.51),
        signal=["hold"] * n,
        stale=np.zeros(n, dtype=bool),
        source="test",
        replay=True,
        processing_seconds=0.0001,
        protocol="rest",
        own_bars=False,
    )._replace(**changes)


class Rows:
    """Counts what the log says about its rows."""

    def __init__(self):
        self.written = self.dropped = self.rejected = self.own_bars = 0

    def __call__(self, outcome, rows):
        setattr(self, outcome, getattr(self, outcome) + rows)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'predictions.sqlite'}"


def test_an_answer_becomes_one_row_per_symbol_and_reads_back_as_it_was(url):
    log = PredictionLog(url)
    log.start()
    assert log.offer(answered("AAPL", "MSFT", calibration=7))
    log.close()
    rows = PredictionLog(url).recent()
    assert {row.symbol for row in rows} == {"AAPL", "MSFT"}
    row = rows[0]
    assert row.as_of == datetime.fromtimestamp(ORIGIN / 1000, UTC)
    assert row.made_at == datetime.fromtimestamp(1_760_000_000, UTC)
    assert row.horizon == 3
    assert row.target_times == [row.as_of + timedelta(days=day) for day in (1, 2, 3)]
    expected = np.add.outer(np.arange(1, 4), np.arange(5.0)) + 100.123456789
    np.testing.assert_allclose(row.quantiles, expected, rtol=1e-7)
    np.testing.assert_allclose(row.probability_of_rise, 0.51, rtol=1e-7)
    assert (row.signal, row.stale, row.replay, row.own_bars) == ("hold", False, True, False)
    assert (row.request_id, row.model_version, row.protocol) == ("r1", "3", "rest")
    assert row.calibration == 7
    assert len({row.id for row in rows}) == 2


def test_the_newest_come_first_and_only_as_many_as_asked_for(url):
    log = PredictionLog(url)
    log.start()
    for minute in range(10):
        log.offer(answered("AAPL", made_at=1_760_000_000.0 + 60 * minute))
    log.close()
    newest = log.recent(3)
    assert [row.made_at.minute for row in newest] == sorted(
        (row.made_at.minute for row in newest), reverse=True
    )
    assert len(newest) == 3
    since = datetime.fromtimestamp(1_760_000_000 + 300, UTC)
    assert len(log.since(since)) == 5
    assert log.count() == 10


def test_every_forecast_of_served_symbols_is_read_once_however_often_it_was_asked_for(url):
    log = PredictionLog(url, own_bars=True)
    log.start()
    asked = [
        answered("AAPL", horizon=1, request_id="shortest"),
        answered("AAPL", "MSFT", horizon=3, made_at=1_760_000_010.0, request_id="longest"),
        answered("AAPL", horizon=3, made_at=1_760_000_020.0),
        answered("AAPL", horizon=2, made_at=1_760_000_030.0),
        answered("NFLX", horizon=5, made_at=1_760_000_040.0),
        answered("AAPL", horizon=9, own_bars=True),
        answered("AAPL", horizon=9, shadow=True),
        answered("AAPL", horizon=9, made_at=1_700_000_000.0, model_version="4"),
        answered("AAPL", horizon=2, made_at=1_760_000_050.0, source="another"),
    ]
    for one in asked:
        assert log.offer(one)
    log.close()

    def found(**which):
        return [
            (row.model_version, row.symbol, row.horizon, row.source, row.request_id)
            for row in log.each_once(**which)
        ]

    of_third = [
        ("3", "AAPL", 1, "test", "shortest"),
        ("3", "AAPL", 3, "test", "longest"),
        ("3", "MSFT", 3, "test", "longest"),
        ("3", "NFLX", 5, "test", "r1"),
        ("3", "AAPL", 2, "another", "r1"),
    ]
    assert sorted(found()[1:]) == sorted(of_third)
    assert found()[0] == ("4", "AAPL", 9, "test", "r1")
    assert found(symbols=["NFLX"]) == [of_third[3]]
    assert found(model_version="4") == found()[:1]
    later = datetime.fromtimestamp(1_760_000_020, UTC)
    assert found(symbols=["AAPL"], since=later)[0] == ("3", "AAPL", 3, "test", "r1")


def test_earlier_forecasts_of_a_symbol_come_once_a_bar_and_version_the_newest_bar_first(url):
    log = PredictionLog(url, own_bars=True)
    log.start()
    since = datetime.fromtimestamp(1_760_000_000.0, UTC)
    yesterday, today = np.array([ORIGIN - DAY]), np.array([ORIGIN])
    for answer in (
        answered("AAPL", as_of=today),
        answered("AAPL", as_of=yesterday, made_at=1_760_000_009.0, model_version="4"),
        answered("AAPL", as_of=yesterday, made_at=1_760_000_001.0, horizon=2),
        answered("AAPL", as_of=yesterday, made_at=1_760_000_003.0),
        answered("AAPL", as_of=yesterday, made_at=1_760_000_002.0, request_id="first and longest"),
        answered("AAPL", as_of=yesterday - DAY, request_id="the day before"),
        answered("AAPL", as_of=yesterday - 2 * DAY, made_at=1_759_000_000.0, request_id="too old"),
        answered("AAPL", as_of=yesterday, shadow=True, model_version="5"),
        answered("AAPL", as_of=yesterday, own_bars=True, model_version="6"),
        answered("MSFT", as_of=yesterday),
    ):
        assert log.offer(answer)
    log.close()
    found = log.earlier("AAPL", datetime.fromtimestamp(ORIGIN / 1000, UTC), since)
    assert [(row.request_id, row.model_version) for row in found] == [
        ("first and longest", "3"), ("r1", "4"), ("the day before", "3"),
    ]  # fmt: skip
    assert len(log.earlier("AAPL", found[0].as_of + timedelta(days=1), since, limit=1)) == 1
    assert log.earlier("AAPL", found[-1].as_of, since) == []


def test_forecasts_of_a_callers_own_bars_are_counted_and_not_kept(url):
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    log.start()
    assert not log.offer(answered("OWN", own_bars=True))
    assert log.offer(answered("AAPL"))
    log.close()
    assert (rows.own_bars, rows.written, rows.dropped) == (1, 1, 0)
    assert [row.symbol for row in log.since(datetime.fromtimestamp(0, UTC))] == ["AAPL"]


def test_own_bars_that_are_kept_are_not_among_the_newest_forecasts(url):
    rows = Rows()
    log = PredictionLog(url, own_bars=True, on_rows=rows)
    log.start()
    assert log.offer(answered("AAPL"))
    for _ in range(3):
        assert log.offer(answered("OWN", own_bars=True, made_at=1_770_000_000.0))
    log.close()
    assert (rows.own_bars, rows.written) == (0, 4)
    assert [row.symbol for row in log.recent(2)] == ["AAPL"]
    assert log.count() == 4


def test_what_does_not_fit_is_dropped_and_counted_and_the_caller_never_waits(url):
    rows = Rows()
    log = PredictionLog(url, capacity=5, on_rows=rows)
    assert log.offer(answered("A", "B", "C"))
    assert not log.offer(answered("D", "E", "F"))
    assert log.offer(answered("G", "H"))
    assert rows.dropped == 3
    log.start()
    log.close()
    assert rows.written == 5
    assert log.count() == 5


def test_closing_writes_all_that_waits(url):
    rows = Rows()
    log = PredictionLog(url, capacity=10_000, on_rows=rows)
    log.start()
    for _ in range(2_000):
        assert log.offer(answered("AAPL"))
    log.close()
    assert (rows.written, rows.dropped) == (2_000, 0)
    assert log.count() == 2_000


def test_many_threads_may_offer_at_once(url):
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    log.start()
    threads = [
        threading.Thread(target=lambda: [log.offer(answered("A")) for _ in range(200)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert rows.written == log.count() == 1_600


def refuse(url, condition):
    """Have the database refuse rows, as a database does that takes no such value."""
    log = PredictionLog(url)
    log.count()
    log.close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(
            f"CREATE TRIGGER refusal BEFORE INSERT ON predictions WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'not such a row'); END"
        )
    connection.close()


@pytest.mark.parametrize("place", [0, 250, 499, 700])
def test_a_row_that_the_database_refuses_holds_up_no_other(url, place):
    refuse(url, "NEW.request_id = 'poison'")
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    for number in range(1_000):
        log.offer(answered(f"S{number}", request_id="poison" if number == place else "r"))
    log.start()
    wait_until(lambda: rows.written == 999, 20)
    assert log.offer(answered("LATER"))
    log.close()
    assert (rows.written, rows.rejected, rows.dropped) == (1_000, 1, 0)
    missing = {f"S{n}" for n in range(1_000)} - {row.symbol for row in log.recent(2_000)}
    assert missing == {f"S{place}"}


@pytest.mark.parametrize(
    "change",
    [{"request_id": "\ud800"}, {"processing_seconds": 10**400}, {"signal": ["hold", None]}],
)
def test_a_value_that_no_driver_writes_is_rejected_and_ends_nothing(url, change):
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    log.start()
    log.offer(answered("AAPL", "MSFT"))
    log.offer(answered("AAPL", "MSFT", **change))
    log.offer(answered("AAPL", "MSFT"))
    log.close()
    assert rows.rejected >= 1
    assert rows.written + rows.rejected == 6
    assert log.count() == rows.written


def test_an_answer_that_cannot_be_made_rows_is_rejected_and_ends_nothing(url):
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    log.start()
    log.offer(answered("AAPL", "MSFT", as_of=None))
    log.offer(answered("AAPL"))
    log.close()
    assert (rows.written, rows.rejected, rows.dropped) == (1, 2, 0)


def test_a_database_that_refuses_every_row_is_at_fault_itself_and_is_tried_again(url):
    refuse(url, "1")
    rows = Rows()
    log = PredictionLog(url, on_rows=rows)
    log.start()
    for _ in range(20):
        log.offer(answered("AAPL"))
    time.sleep(1.0)
    assert (rows.written, rows.rejected, rows.dropped) == (0, 0, 0)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TRIGGER refusal")
    connection.close()
    wait_until(lambda: rows.written == 20, 15)
    log.close()
    assert rows.rejected == 0


@pytest.mark.parametrize("fault", ["locked", "table gone", "no database"])
def test_a_database_that_cannot_be_written_for_a_while_loses_nothing(url, fault):
    file = Path(url.removeprefix("sqlite:///"))
    log = PredictionLog(url)
    log.count()
    log.close()
    rows = Rows()
    log = PredictionLog(f"{url}?timeout=0.1", on_rows=rows)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    if fault == "locked":
        other.execute("BEGIN EXCLUSIVE")
    elif fault == "table gone":
        log.count()
        other.execute("DROP TABLE predictions")
    else:
        for path in file.parent.iterdir():
            path.unlink()
        file.write_bytes(b"no database, but words" * 100)
    log.start()
    for _ in range(20):
        log.offer(answered("AAPL"))
    time.sleep(1.0)
    assert rows.rejected == rows.dropped == 0
    if fault == "locked":
        other.execute("COMMIT")
    elif fault == "no database":
        file.unlink()
    wait_until(lambda: rows.written == 20, 30)
    other.close()
    log.close()
    assert (log.count(), rows.rejected, rows.dropped) == (20, 0, 0)


def test_a_batch_whose_commit_was_not_confirmed_is_not_written_twice(url):
    rows = Rows()
    database = Database(url, often=True)
    batches = BatchWriter(database, rows)
    batch = list(rows_of(answered("AAPL", "MSFT")))
    assert batches.write(batch) == batches.write(batch) == []
    database.close()
    assert PredictionLog(url).count() == 2
    assert rows.rejected == 0


def test_a_damaged_row_hides_no_other(url):
    log = PredictionLog(url)
    log.start()
    log.offer(answered("AAPL"))
    log.offer(answered("MSFT"))
    log.close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE predictions SET quantiles = '[[1,' WHERE symbol = 'AAPL'")
    connection.close()
    assert [row.symbol for row in log.recent()] == ["MSFT"]


def test_a_database_that_is_down_is_tried_again_and_nothing_is_lost(tmp_path):
    rows = Rows()
    folder = tmp_path / "mount"
    folder.write_text("a file where the folder will be")
    log = PredictionLog(f"sqlite:///{folder / 'predictions.sqlite'}", on_rows=rows)
    log.start()
    log.offer(answered("AAPL"))
    time.sleep(0.8)
    assert rows.written == 0
    folder.unlink()
    wait_until(lambda: rows.written == 1, 10)
    log.close()
    assert log.count() == 1


def test_a_database_that_stays_down_costs_rows_but_not_the_shutdown(tmp_path):
    rows = Rows()
    (tmp_path / "file").write_text("")
    log = PredictionLog(f"sqlite:///{tmp_path / 'file' / 'x.sqlite'}", on_rows=rows)
    log.start()
    log.offer(answered("A", "B"))
    began = time.monotonic()
    log.close(expires(0.3))
    assert time.monotonic() - began < seconds(3)
    assert (rows.written, rows.dropped) == (0, 2)


def test_reading_a_database_that_is_down_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    log = PredictionLog(f"sqlite:///{tmp_path / 'file' / 'x.sqlite'}")
    with pytest.raises(Unavailable, match="prediction log must be readable"):
        log.recent()
    with pytest.raises(Unavailable):
        log.count()


def test_readers_read_while_the_writer_writes(url):
    log = PredictionLog(url)
    log.start()
    reader = PredictionLog(url)
    for _ in range(5):
        for _ in range(100):
            log.offer(answered("AAPL"))
        reader.recent(10)
    log.close()
    assert reader.count() == 500
    reader.close()
