"""Batch metrics: one whole text file, or an error that says why not."""

import pytest

from forecasting import prometheus_metrics
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.errors import InvalidSettings, Unavailable
from tests.time_limits import seconds


def share(value):
    return Sample(prometheus_metrics.DRIFT_SHARE, ("features",), value)


def test_without_a_gateway_a_text_file_is_written_whole(tmp_path):
    file = tmp_path / "deep" / "drift.prom"
    for value in (0.25, 0.5):
        publish("drift", [share(value)], gateway_url="", file=file, succeeded_at=1e9)
    text = file.read_text()
    assert 'bellwether_drift_share{scope="features"} 0.5' in text
    assert "# HELP bellwether_drift_share Share of watched columns that drifted." in text
    assert [entry.name for entry in file.parent.iterdir()] == ["drift.prom"]


def test_a_gateway_that_is_down_is_unavailable_and_no_file_pretends_otherwise(tmp_path):
    with pytest.raises(Unavailable, match="the Pushgateway must take the metrics"):
        publish(
            "drift",
            [share(0.5)],
            gateway_url="http://127.0.0.1:9",
            file=tmp_path / "x.prom",
            succeeded_at=1e9,
            timeout=seconds(2),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_no_url_is_refused(tmp_path):
    with pytest.raises(InvalidSettings, match="must be an http address"):
        publish(
            "drift", [], gateway_url="localhost:9091", file=tmp_path / "x.prom", succeeded_at=1e9
        )


def test_a_failed_write_leaves_the_last_file_as_it_was(tmp_path):
    file = tmp_path / "drift.prom"
    publish("drift", [share(0.5)], gateway_url="", file=file, succeeded_at=1e9)
    before = file.read_text()
    with pytest.raises(ValueError, match="counter"):
        publish(
            "drift",
            [Sample(prometheus_metrics.LOG_ROWS, ("written",), 1.0)],
            gateway_url="",
            file=file,
            succeeded_at=2e9,
        )
    assert file.read_text() == before
