"""The prediction log in a real PostgreSQL."""

from datetime import UTC, datetime

import numpy as np
import pytest

from forecasting.adapters.prediction_log.log import PredictionLog
from tests.unit.forecasting.adapters.prediction_log.test_log import ORIGIN, Rows, answered

pytestmark = pytest.mark.integration


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
    assert len(log.matured(datetime(2100, 1, 1, tzinfo=UTC))) == 1_200
    log.close()
