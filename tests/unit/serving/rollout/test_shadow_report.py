"""A shadow's report: the answers from the real log, the cost from Prometheus, and what was not seen."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.errors import Unavailable
from forecasting.rollout.traffic import Shadow
from serving.rollout.shadow_report import ShadowReporter
from tests.unit.forecasting.adapters.prediction_log.test_log import answered
from tests.unit.serving.rollout.release import Cluster, Connections

SINCE = datetime(2025, 10, 9, 9, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)
SHADOW = Shadow(4, 100, SINCE, UNTIL, "ann")


class Prometheus:
    """Answers by what a query is about."""

    def __init__(self, scraped=UNTIL):
        self.scraped, self.asked = scraped, []

    def value(self, query):
        self.asked.append(query)
        return self.scraped.timestamp()

    def by_label(self, query, label):
        self.asked.append(query)
        if "shadow_requests" in query:
            return {"200": 95.0, "404": 4.0, "503": 1.0}
        if "cpu" in query:
            return {"bellwether-v4": 1.5, "bellwether-v1": 3.0}
        return {"bellwether-v1": 200.0, "bellwether-v4": 0.0}


@pytest.fixture
def log(tmp_path):
    """Two requests and their copies, one request without, and what users asked otherwise."""
    log = PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")
    log.start()
    at = SINCE.timestamp() + 60
    for key in ("a", "b", "c"):
        log.offer(answered("AAPL", "MSFT", made_at=at, gateway_id=key))
    wider = answered("AAPL", "MSFT").quantiles + np.array([-1.0, 0.0, 0.4, 0.0, 1.0])
    for key in ("a", "b"):
        log.offer(
            answered(
                *("AAPL", "MSFT"), made_at=at, gateway_id=key, shadow=True,
                model_version="4", quantiles=wider, processing_seconds=0.0003,
            )
        )  # fmt: skip
    log.offer(answered("AAPL", made_at=at))
    log.offer(answered("AAPL", made_at=at - 3_600, gateway_id="old"))
    log.close()
    yield log
    log.close()


@pytest.fixture
def reporter(lines, log):
    def make(prometheus=None, predictions=log, unknown=""):
        connections = Connections()
        connections.prometheus = lambda: prometheus
        return ShadowReporter(Cluster(1, 4), connections, lines.append, predictions, unknown)

    return make


def test_a_report_joins_both_answers_of_the_log_and_counts_the_cost(reporter):
    report = reporter(Prometheus()).report(SHADOW, UNTIL)
    found = report.comparison
    assert (found.joined, found.only_users, found.only_copies) == (2, 1, 0)
    assert found.versions == ("3",)
    first = found.differences[0]
    assert (first.symbol, first.horizon, first.answers) == ("AAPL", 1, 2)
    # The interval of these forecasts is 4 wide, the shadow's 6, its point 0.4 higher.
    assert first.point_median == pytest.approx(0.1, rel=1e-5)
    assert first.width_largest == pytest.approx(0.5, rel=1e-5)
    assert found.shadow_seconds == (pytest.approx(0.0003), pytest.approx(0.0003))
    cost = report.cost
    assert (cost.mirrored, cost.with_status("4"), cost.with_status("5")) == (100, 4, 1)
    assert (cost.shadow_cpu, cost.stable_cpu, cost.stable_requests) == (1.5, 3.0, 200.0)
    assert report.remarks == ()


def test_a_report_asks_prometheus_for_the_shadows_own_time(reporter):
    prometheus = Prometheus()
    reporter(prometheus).report(SHADOW, UNTIL)
    assert 'inferenceservice="bellwether-v4"' in prometheus.asked[0]
    windows = {
        int(found) for query in prometheus.asked for found in re.findall(r"\[(\d+)s\]", query)
    }
    assert min(windows) >= (UNTIL - SINCE).total_seconds()


def test_counts_that_prometheus_has_not_scraped_since_the_end_are_remarked(reporter):
    report = reporter(Prometheus(scraped=SINCE)).report(SHADOW, UNTIL)
    assert report.remarks == ("Prometheus has no count of copies after the end, 45 s on",)


def test_what_is_not_there_is_said(reporter, monkeypatch, log):
    report = reporter(None, None, "nobody says where the log is").report(SHADOW, UNTIL, "Ctrl-C")
    assert (report.comparison, report.cost, report.ended_early) == (None, None, "Ctrl-C")
    assert report.remarks == (
        "refusals, failures and CPU were not counted: no Prometheus",
        "the answers were not compared: nobody says where the log is",
    )

    def away(*_, **__):
        raise Unavailable("it must answer", "it is away")

    prometheus = Prometheus()
    monkeypatch.setattr(prometheus, "by_label", away)
    monkeypatch.setattr(log, "mirrored", away)
    assert reporter(prometheus).report(SHADOW, UNTIL).remarks == (
        "refusals, failures and CPU were not counted: it must answer: it is away",
        "the answers were not compared: it must answer: it is away",
    )


def test_copies_of_which_nobody_wrote_down_the_begin_are_reported_as_far_as_known(reporter):
    report = reporter().report(Shadow(4, 50), UNTIL)
    assert "the route does not say when the copies began" in report.remarks
    assert report.comparison.joined == 0
