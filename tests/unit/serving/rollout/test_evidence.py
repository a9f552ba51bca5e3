"""What is observed of a version: its answers through the route, and Prometheus' counts."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from forecasting.errors import NotReady, ServerUnavailable, Unavailable
from forecasting.rollout.canary import Counts, Routed
from forecasting.rollout.pairs import Pairs, Question
from serving.rollout.evidence import Evidence, StepStart
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def evidence(client, lines):
    client.cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
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
    (pair,) = evidence.ask_both(2, 1, iter([Question("AAPL", 5)]))
    assert problem in pair.canary.invalid


def test_both_versions_are_asked_the_same_questions_by_their_numbers(evidence, client):
    client.unknown = {"2": {"MSFT"}}
    questions = [Question("AAPL", 5), Question("MSFT", 1), Question("AAPL", 30)]
    pairs = evidence.ask_both(2, 1, iter(questions))
    assert [pair.question for pair in pairs] == questions
    assert [bool(pair.canary.refused) for pair in pairs] == [False, True, False]
    assert not any(pair.stable.refused or pair.canary.invalid for pair in pairs)
    assert pairs[0].canary.last_close == pairs[0].stable.last_close == 3.0
    assert np.isfinite(pairs[0].canary.scale)


def test_a_version_that_stalls_is_asked_less_and_its_seconds_count(evidence, client, clock):
    client.delays = {"2": 2.0}
    pairs = evidence.ask_both(2, 1, itertools.repeat(Question("AAPL", 5)))
    assert len(pairs) == 3
    assert [pair.canary.seconds for pair in pairs] == pytest.approx([2.0] * 3)
    assert [pair.stable.seconds for pair in pairs] == pytest.approx([0.0] * 3)


def test_a_gateway_that_is_away_refuses_both(evidence, client):
    client.away = True
    (pair,) = evidence.ask_both(2, 1, iter([Question("AAPL", 5)]))
    assert "gateway" in pair.canary.refused
    assert "gateway" in pair.stable.refused
    assert evidence.symbols(1) == []


def test_requests_that_name_no_version_add_up(evidence, client, lines):
    routed = evidence.split(1, evidence.split(1, Routed()))
    assert routed == Routed(220, 220)
    client.away = True
    assert evidence.split(1, routed) == routed
    assert "gateway" in lines[-1]


def test_a_canary_without_prometheus_is_observed_by_probes_alone(evidence):
    observation = evidence.observe(2, 10, 60.0, StepStart(), Pairs(), Routed())
    assert (observation.ready, observation.canary, observation.watched, observation.blind) == (
        True,
        None,
        False,
        "",
    )


def test_a_prometheus_that_is_away_makes_blind(evidence, monkeypatch):
    def away():
        raise Unavailable("Prometheus must answer", "it is away")

    monkeypatch.setattr(evidence.connections, "prometheus", away)
    observation = evidence.observe(2, 10, 60.0, StepStart(), Pairs(), Routed())
    assert (observation.watched, observation.blind) == (True, "Prometheus must answer: it is away")


def test_a_request_counts_once_for_successes_as_for_failures(evidence, monkeypatch):
    """Of 1,000 requests of 100 symbols each half fail: not 500 of 50,500."""
    counters = {
        "request_duration_seconds_count": {"bellwether-v1": 9_000.0, "bellwether-v2": 1_000.0},
        'status=~"5.."': {"bellwether-v2": 500.0},
        'status=~"4.."': {"bellwether-v1": 90.0, "bellwether-v2": 10.0},
        "requests_total": {"bellwether-v1": 900_000.0, "bellwether-v2": 50_500.0},
        "stale": {},
    }

    def by_label(query, label):
        return next(counts for part, counts in counters.items() if part in query)

    prometheus = SimpleNamespace(by_label=by_label, value=lambda _: 0.01)
    monkeypatch.setattr(evidence.connections, "prometheus", lambda: prometheus)
    observation = evidence.observe(2, 10, 60.0, StepStart(), Pairs(), Routed())
    assert observation.canary == Counts(1_000.0, 10.0, 500.0, 0.0, 0.01)
    assert observation.stable == Counts(9_000.0, 90.0, 0.0, 0.0, 0.01)
    assert evidence.shares([1, 2]) == {1: 0.9, 2: 0.1}


def test_restarts_are_those_of_the_step(evidence, client):
    client.cluster.states[2].restarts = 5
    assert evidence.observe(2, 10, 60.0, StepStart(restarts=3), Pairs(), Routed()).restarts == 2
