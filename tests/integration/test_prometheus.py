"""Instant queries against a real Prometheus, and its failures in words."""

import pytest

from forecasting.adapters.monitoring.queries import Prometheus
from forecasting.errors import Unavailable
from tests.ports import free_port
from tests.programs import program
from tests.servers import serving
from tests.time_limits import expires, seconds, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real Prometheus that scrapes itself every second."""
    binary = program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"- {{job_name: itself, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
    )
    command = [
        *(binary, f"--config.file={folder / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with serving(command, f"http://127.0.0.1:{port}", folder / "log") as url:
        yield url


@pytest.fixture
def prometheus(server):
    prometheus = Prometheus(server, timeout=seconds(10))
    yield prometheus
    prometheus.close()


def test_a_vector_is_read_by_label(prometheus):
    query = 'label_replace(vector(3), "who", "a", "", "") or label_replace(vector(4), "who", "b", "", "")'
    assert prometheus.by_label(query, "who") == {"a": 3.0, "b": 4.0}


def test_a_value_that_is_nan_or_missing_is_none(prometheus):
    assert prometheus.value("vector(0) / vector(0)") is None
    assert prometheus.value("no_such_metric") is None
    assert prometheus.value("vector(2.5)") == 2.5


def test_a_scraped_counter_can_be_asked_for(prometheus):
    wait_until(lambda: prometheus.by_label("up", "job") == {"itself": 1.0}, 20)


def test_a_query_it_refuses_is_said_in_its_own_words(prometheus):
    with pytest.raises(Unavailable, match="parse error"):
        prometheus.value("sum(")
    with pytest.raises(Unavailable, match="must give a vector"):
        prometheus.value("1 + 1")


def test_a_prometheus_that_is_down_is_said():
    gone = Prometheus(f"http://127.0.0.1:{free_port()}", timeout=expires(1))
    with pytest.raises(Unavailable, match="Prometheus must be reachable"):
        gone.value("up")
