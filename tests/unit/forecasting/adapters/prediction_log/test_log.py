"""The prediction log: bounded, off the caller's path, and nothing lost that was promised."""

import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasting.adapters.prediction_log.log import Answered, PredictionLog
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
        self.written = self.dropped = 0

    def __call__(self, outcome, rows):
        setattr(self, outcome, getattr(self, outcome) + rows)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'predictions.sqlite'}"


def test_an_answer_becomes_one_row_per_symbol_and_reads_back_as_it_was(url):
    log = PredictionLog(url)
    log.start()
    assert log.offer(answered("AAPL", "MSFT"))
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


def test_matured_forecasts_are_those_whose_first_day_has_come(url):
    log = PredictionLog(url)
    log.start()
    log.offer(answered("AAPL"))
    log.offer(answered("MSFT", model_version="4"))
    log.offer(answered("OWN", own_bars=True))
    log.close()
    before = datetime.fromtimestamp((ORIGIN + DAY - 1) / 1000, UTC)
    assert log.matured(before) == []
    after = before + timedelta(seconds=1)
    assert {row.symbol for row in log.matured(after)} == {"AAPL", "MSFT"}
    assert [row.symbol for row in log.matured(after, model_version="4")] == ["MSFT"]


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
