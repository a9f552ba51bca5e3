"""A champion whose realised forecasts have degraded steps back, and the ledger says why."""

from datetime import UTC, datetime

import numpy as np
import pytest

from forecasting.adapters.realised import Realised
from forecasting.adapters.registry.ledger import Ledger
from forecasting.errors import NotReady, ServerUnavailable, Unavailable
from forecasting.live.quality import Compared, QualityRules
from serving.rollout.quality import QualityWatch
from serving.rollout.rollout import Rollout
from tests.unit.forecasting.live.test_quality import year
from tests.unit.serving.rollout.release import Cluster, Connections

SICK, HEALTHY = year(0, width=0.6), year(0)
NONE = Compared(*(column[:0] for column in vars(HEALTHY).values()))


@pytest.fixture
def watched(client, lines, ledger, monkeypatch):
    """A watch over version 2, which users get after version 1, with these outcomes."""
    asked = []

    def make(compared=SICK, *, running=(1, 2), history=(2, 1), by_before=1.0, unanswered=((), ())):
        def read(log, lake, registry, version, before, *, since, horizons, calibrations):
            asked.append((version, before, since, horizons))
            return Realised(compared, by_before, *unanswered)

        monkeypatch.setattr("serving.rollout.quality.read_realised", read)
        weights = {version: 100 * (version == 2) for version in sorted({*running, *history})}
        client.cluster = Cluster(*running, weights=weights, stable_history=history)
        rollout = Rollout(client.cluster, Connections("2"), lines.append, ledger=ledger)
        watch = QualityWatch(rollout, None, None, QualityRules(), None)
        watch.rollout.connections.asked = asked
        return watch

    return make


def test_a_degraded_champion_steps_back_to_the_version_before_and_the_ledger_says_why(
    watched, ledger
):
    watch = watched()
    assert watch.withdrawn() is None
    state = watch.state()
    assert (state.version, state.reference) == (2, "version 1")
    assert watch.step_back(state) == 1
    head = ledger.head("bellwether")
    assert (head.from_version, head.to_version, head.who) == ("2", "1", "quality")
    assert "realised forecasts have degraded: intervals too narrow, found at the bar of" in head.why
    assert "over 60 bars its 90 % interval held" in head.why
    assert watch.withdrawn() == head
    tags = watch.rollout.connections.known.tags["2"]
    assert tags["rollout"] == "rolled back"
    assert tags["rollout_reason"] in head.why


def test_what_counts_is_what_the_version_answered_since_its_promotion(watched, ledger):
    watch = watched()
    state = watch.state()
    ((version, before, since, horizons),) = watch.rollout.connections.asked
    assert (version, before, since) == ("2", "1", ledger.head("bellwether").at)
    assert horizons == tuple(QualityRules().horizons)
    assert state.since == since


def test_a_healthy_champion_stays_and_its_figures_are_told(watched):
    state = watched(HEALTHY, by_before=0.4).state()
    assert state.quality.degraded_at is None
    assert "version 1 (where it was asked, 40%; else the random walk)" in state.finding
    assert state.to_dict()["degraded_at"] is None


def test_before_any_outcome_nothing_is_said_against_it(watched):
    state = watched(NONE).state()
    assert state.finding == "no outcome has come due yet"
    assert state.to_dict()["coverage"] is None


def test_where_no_version_before_runs_it_steps_back_to_a_random_walk(watched, lines):
    watch = watched(running=(2,), history=(2,))
    known = watch.rollout.connections.known
    known.tags["3"]["kind"] = "random_walk"
    state = watch.state()
    assert state.reference == "the random walk"
    assert watch.step_back(state) == 3
    assert watch.rollout.cluster.traffic.weights == {3: 100, 2: 0}
    assert any("the version before cannot serve" in line for line in lines)


def test_a_version_before_that_is_not_ready_is_passed_over(watched):
    watch = watched()
    watch.rollout.cluster.states[1].ready_endpoints = 0
    watch.rollout.connections.known.tags["3"]["kind"] = "random_walk"
    assert watch.step_back(watch.state()) == 3


def test_without_anything_to_step_back_to_users_keep_what_they_have_and_it_is_said(watched):
    watch = watched(running=(2,), history=(2,))
    with pytest.raises(NotReady, match="no random walk is registered"):
        watch.step_back(watch.state())
    assert watch.rollout.cluster.traffic.weights == {2: 100}


def test_a_rollout_under_way_is_left_alone(watched):
    watch = watched()
    watch.rollout.cluster.traffic = type(watch.rollout.cluster.traffic)({1: 90, 2: 10}, (1,))
    assert watch.state() == "a rollout is under way: version 1 90 %, version 2 10 %"
    watch.rollout.cluster.traffic = type(watch.rollout.cluster.traffic)()
    assert watch.state() == "no version serves yet"


def test_a_version_before_that_left_the_registry_is_no_reference(watched):
    watch = watched()
    del watch.rollout.connections.known.digests["1"]
    watch.state()
    assert watch.rollout.connections.asked[0][1] is None


def test_symbols_that_nobody_asked_for_are_asked_of_both_versions(watched, client, monkeypatch):
    watch = watched(HEALTHY, unanswered=(("AAPL", "MSFT"), ("MSFT",)))
    calls = []

    def forecast(self, symbols, horizon=None, *, request_id):
        calls.append((symbols, horizon, request_id))
        raise ServerUnavailable("the gateway must be reachable", "it is away")

    monkeypatch.setattr(client, "forecast", forecast)
    watch.ask(watch.state())
    both = [(["AAPL", "MSFT"], None, "rollout-2"), (["MSFT"], None, "rollout-1")]
    assert calls == both
    watch.ask(watched(HEALTHY).state())
    assert calls == both


@pytest.fixture
def pushed(monkeypatch):
    """Samples that are pushed, by metric and label."""
    groups = []

    def publish(job, samples, **_):
        groups.append({(one.metric.name, one.labels): one.value for one in samples})

    monkeypatch.setattr("serving.rollout.quality.publish", publish)
    monkeypatch.setattr(Connections, "pushgateway", lambda _: "http://push")
    return groups


def test_the_metric_says_degraded_until_another_version_is_promoted(watched, pushed, ledger):
    watch = watched()
    state = watch.state()
    watch.publish(state)
    watch.step_back(state)
    watch.publish(None)
    head = ledger.head("bellwether")
    ledger.claim("bellwether", expected=head.to_version, to_version="3", who="us", why="")
    watch.publish(None)
    degraded = [{k: v for k, v in group.items() if k[0].endswith("degraded")} for group in pushed]
    sick = {("bellwether_quality_degraded", ("2",)): 1.0}
    assert degraded == [sick, sick, {}]
    assert pushed[0]["bellwether_quality_evidence_limit", ()] == pytest.approx(20)
    assert pushed[0]["bellwether_quality_evidence", ("2",)] >= 20


def test_a_ledger_or_pushgateway_that_is_away_is_told(watched, pushed, monkeypatch, lines):
    watch = watched(HEALTHY)
    state = watch.state()

    def away(*_):
        raise Unavailable("the ledger must answer", "it is away")

    monkeypatch.setattr(Ledger, "head", away)
    watch.publish(state)
    assert lines[-1] == "warning: the evidence was not pushed as metrics: it is away"


def test_the_instant_at_which_it_was_found_is_that_of_the_outcome(watched):
    state = watched().state()
    at = datetime.fromisoformat(state.to_dict()["degraded_at"])
    assert at.replace(microsecond=0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert np.isfinite(state.to_dict()["loss_ratio"])
