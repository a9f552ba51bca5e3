"""What is observed of a version: its answers through the route, and Prometheus' counts."""

from types import SimpleNamespace

import numpy as np
import pytest

from forecasting.errors import NotReady, ServerUnavailable, Unavailable
from forecasting.rollout.canary import Probes
from serving.rollout.evidence import Evidence
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def evidence(client, lines):
    client.cluster = Cluster(1, 2, weights={1: 90, 2: 10}, held=(1,))
    return Evidence(client.cluster, Connections(), lines.append)


def test_a_version_is_asked_by_its_number_through_the_route(evidence, lines):
    evidence.answers(2)
    assert lines == ["version 2 answers a probe"]


def test_a_route_that_needs_a_moment_is_given_it(evidence, client, monkeypatch, clock, lines):
    symbols = client.symbols

    def late(self):
        if clock.now < 3:
            raise ServerUnavailable("the gateway must answer")
        return symbols(self)

    monkeypatch.setattr(client, "symbols", late)
    evidence.answers(2)
    assert len(lines) == 4
    monkeypatch.setattr(client, "symbols", lambda self: late(self) if clock.now > 1e9 else [])
    with pytest.raises(NotReady, match="hold symbols"):
        evidence.answers(2)


@pytest.mark.parametrize(
    ("quantiles", "problem"),
    [
        ([1.0, 2.0, float("nan"), 4.0, 5.0], "no positive number"),
        ([-1.0, 2.0, 3.0, 4.0, 5.0], "no positive number"),
        ([1.0, 3.0, 2.0, 4.0, 5.0], "quantiles that do not rise"),
    ],
)
def test_prices_that_cannot_be_are_refused_and_counted(evidence, client, quantiles, problem):
    client.quantiles = np.array([quantiles])
    with pytest.raises(NotReady, match=problem):
        evidence.answers(2)
    probes = evidence.probe(2, Probes())
    assert (probes.asked, probes.invalid, probes.failed) == (3, 3, 0)
    assert problem in probes.problem


def test_probes_add_up_and_count_who_was_routed_to(evidence):
    probes = evidence.probe(1, evidence.probe(1, Probes()))
    assert (probes.asked, probes.failed, probes.routed, probes.to_canary) == (6, 0, 220, 220)


def test_a_canary_without_prometheus_is_observed_by_probes_alone(evidence):
    seen = evidence.observe(2, 10, 60.0, 0, Probes(3))
    assert (seen.ready, seen.canary, seen.watched, seen.blind) == (True, None, False, "")


def test_a_prometheus_that_is_away_makes_blind(evidence, monkeypatch):
    def away():
        raise Unavailable("Prometheus must answer", "it is away")

    monkeypatch.setattr(evidence.connections, "prometheus", away)
    seen = evidence.observe(2, 10, 60.0, 0, Probes(3))
    assert (seen.watched, seen.blind) == (True, "Prometheus must answer: it is away")


def test_the_rollouts_own_requests_are_not_counted_as_users(evidence, monkeypatch):
    counts = {"bellwether-v1": 900.0, "bellwether-v2": 103.0}
    prometheus = SimpleNamespace(by_label=lambda *_: dict(counts), value=lambda _: 0.01)
    monkeypatch.setattr(evidence.connections, "prometheus", lambda: prometheus)
    seen = evidence.observe(2, 10, 60.0, 0, Probes(asked=4, failed=1))
    assert (seen.canary.requests, seen.stable.requests) == (100.0, 900.0)
    assert evidence.shares([1, 2]) == {1: 900 / 1003, 2: 103 / 1003}


def test_restarts_are_those_of_the_step(evidence, client):
    client.cluster.states[2].restarts = 5
    assert evidence.observe(2, 10, 60.0, 3, Probes()).restarts == 2
