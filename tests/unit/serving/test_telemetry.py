"""Answers and refusals are counted; symbols of callers make no series of their own."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from forecasting import prometheus_metrics
from serving.inference import answer
from serving.request import ForecastRequest
from serving.state import AgeLimits, ServingState
from serving.telemetry import OTHER, Telemetry

LIMITS = AgeLimits(stale_after=60.0, refuse_after=3_600.0)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry):
    return Telemetry(registry)


def counted(registry, metric, *labels):
    return registry.get_sample_value(
        f"{metric.name.removesuffix('_total')}_total", dict(zip(metric.labels, labels, strict=True))
    )


def test_an_answer_is_counted_by_symbol_version_and_signal(telemetry, registry, served, version):
    at = served.features.age_from
    got = answer(ForecastRequest(["AAPL", "MSFT"], 2), version, LIMITS, at, baseline=False)
    telemetry.answered(got, version, "rest", 0.001)
    telemetry.answered(got, version, "grpc", 0.001)
    assert counted(registry, prometheus_metrics.REQUESTS, "AAPL", "200") == 2
    assert counted(registry, prometheus_metrics.SIGNALS, "1", got.signals[0]) in {2, 4}
    assert counted(registry, prometheus_metrics.STALE_ANSWERS, "answered") is None
    seconds = prometheus_metrics.REQUEST_SECONDS
    assert registry.get_sample_value(f"{seconds.name}_count", {seconds.labels[0]: "rest"}) == 1


@pytest.mark.parametrize(("move", "direction"), [(1.0, "up"), (-1.0, "down"), (0.0, "flat")])
def test_a_prediction_has_a_direction(telemetry, registry, served, version, move, direction):
    at = served.features.age_from
    got = answer(ForecastRequest(["AAPL"], 2), version, LIMITS, at, baseline=False)
    telemetry.answered(got._replace(moves=np.array([move])), version, "rest", 0.001)
    assert counted(registry, prometheus_metrics.PREDICTIONS, "AAPL", "1", direction) == 1


def test_a_name_of_the_callers_is_counted_as_other(telemetry, registry, served, version):
    at = served.features.age_from
    got = answer(ForecastRequest(["AAPL"], 2), version, LIMITS, at + 61, baseline=False)
    telemetry.answered(got._replace(symbols=["MINE"]), version, "rest", 0.001)
    assert counted(registry, prometheus_metrics.REQUESTS, "MINE", "200") is None
    assert counted(registry, prometheus_metrics.REQUESTS, OTHER, "200") == 1
    assert counted(registry, prometheus_metrics.STALE_ANSWERS, "answered") == 1


def test_a_refusal_is_counted_with_its_status(telemetry, registry):
    telemetry.refused(503, "rest", 0.001, stale=True, symbol="AAPL")
    telemetry.refused(400, "grpc", 0.001, stale=False)
    assert counted(registry, prometheus_metrics.REQUESTS, "AAPL", "503") == 1
    assert counted(registry, prometheus_metrics.REQUESTS, OTHER, "400") == 1
    assert counted(registry, prometheus_metrics.STALE_ANSWERS, "refused") == 1


def test_who_is_turned_away_is_counted_by_reason(telemetry, registry):
    telemetry.turned_away("too_slow")
    telemetry.turned_away("too_slow")
    assert counted(registry, prometheus_metrics.REFUSALS, "too_slow") == 2


def test_the_gauges_follow_what_is_served(telemetry, registry, served, version):
    telemetry.show(ServingState({"1": version}, "1", ""))
    info = prometheus_metrics.MODEL_INFO
    labels = ("1", "random_walk", "champion", served.digest[:16])
    named = dict(zip(info.labels, labels, strict=True))
    assert registry.get_sample_value(info.name, named) == 1
    last = prometheus_metrics.LAST_PRICE_TIMESTAMP
    newest = served.features.find("AAPL")
    where = {last.labels[0]: "AAPL"}
    assert registry.get_sample_value(last.name, where) == newest.as_of[0] / 1_000
    telemetry.show(ServingState())
    assert registry.get_sample_value(info.name, named) is None
    assert registry.get_sample_value(last.name, where) is None


def test_the_age_is_that_of_the_moment_it_is_read(telemetry, registry):
    ages = iter((1.0, 2.0))
    telemetry.watch_age(lambda: next(ages))
    name = prometheus_metrics.FEATURE_AGE_SECONDS.name
    assert [registry.get_sample_value(name) for _ in range(2)] == [1.0, 2.0]
