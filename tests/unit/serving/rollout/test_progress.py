"""What a rollout waits for, and when it stops waiting."""

import pytest

from forecasting.adapters.cluster.readiness import Trouble
from forecasting.errors import BundleRejected, NotReady
from forecasting.rollout.canary import Observation, Routed
from forecasting.rollout.pairs import Pairs
from forecasting.rollout.rules import Outcome, Policy
from forecasting.rollout.traffic import Traffic
from serving.rollout.evidence import Evidence
from serving.rollout.progress import GIVE_UP_SECONDS, Asking, Pace, Progress
from serving.rollout.weights import RouteWeights
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def cluster():
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    cluster.states[2].settled = False
    return cluster


@pytest.fixture
def progress(cluster, lines):
    return Progress(cluster, Connections(), lines.append, ready_seconds=300.0)


def test_a_version_that_gets_ready_is_waited_for(progress, cluster, clock, lines):
    sleep = clock.sleep

    def ready_after_ten(seconds):
        sleep(seconds)
        cluster.states[2].settled = clock.now >= 10

    clock.sleep = ready_after_ten
    progress.wait_ready(2)
    assert lines == [
        "version 2: its pods are starting",
        "version 2 is ready after 10.0 s, 1 endpoint",
    ]


def test_waiting_ends_when_the_time_is_over(progress, clock):
    with pytest.raises(NotReady, match="its pods are starting"):
        progress.wait_ready(2)
    assert 300 < clock.now < 303


def test_a_hopeless_version_is_given_up_early(progress, cluster, clock):
    cluster.states[2].trouble = Trouble("no such image", hopeless=True)
    with pytest.raises(NotReady, match="no such image"):
        progress.wait_ready(2)
    assert GIVE_UP_SECONDS < clock.now < GIVE_UP_SECONDS + 2


def test_trouble_that_passes_is_not_given_up(progress, cluster, clock):
    state, sleep = cluster.states[2], clock.sleep

    def flapping(seconds):
        sleep(seconds)
        state.trouble = Trouble("refused", hopeless=int(clock.now) % 10 != 0)
        state.settled = clock.now >= 60

    clock.sleep = flapping
    progress.wait_ready(2)


def test_what_failed_before_is_given_the_time_of_another_try(progress, cluster, clock):
    state = cluster.states[2]
    state.trouble, state.failures = Trouble("crashed", hopeless=True), {"pod": 3}
    with pytest.raises(NotReady):
        progress.wait_ready(2)
    assert clock.now > 300


def test_a_bundle_that_is_not_what_was_promised_is_rejected(progress, cluster):
    cluster.states[2].trouble = Trouble("wrong digest", hopeless=True, corrupted=True)
    with pytest.raises(BundleRejected, match="wrong digest"):
        progress.wait_ready(2)


def test_of_a_version_with_requests_nobody_says_that_it_got_none_or_should_be_removed(
    progress, cluster
):
    cluster.states[1].trouble = Trouble("crashed", hopeless=True)
    cluster.states[1].settled = False
    with pytest.raises(NotReady, match="version 1 must be ready: it has 90 % of the re") as caught:
        progress.wait_ready(1)
    assert "delete" not in caught.value.remedy
    cluster.traffic = Traffic({1: 0, 2: 100}, (2, 1))
    with pytest.raises(NotReady, match="it got none") as caught:
        progress.wait_ready(1)
    assert "bellwether rollout delete 1" in caught.value.remedy


def test_a_version_that_is_gone_is_not_waited_for(progress, cluster):
    del cluster.states[2]
    with pytest.raises(NotReady, match="InferenceService is gone"):
        progress.wait_ready(2)


def test_a_version_answers_alone_or_it_is_said_who_does(progress, cluster, client, lines):
    client.cluster = cluster
    evidence = Evidence(cluster, progress.connections, lines.append)
    progress.wait_alone(1, evidence)
    assert lines == ["version 1 answers everything"]
    with pytest.raises(NotReady, match=r"answered by \{1: 50\}"):
        progress.wait_alone(2, evidence)


@pytest.fixture
def watched(progress, cluster, lines, monkeypatch):
    """Watches version 2 at 10 % and sees these observations, the last one again and again."""

    def watch(*observations, hold_seconds=20.0):
        left = list(observations)
        monkeypatch.setattr(Evidence, "ask_both", lambda *_: [])
        monkeypatch.setattr(Evidence, "split", lambda self, version, before: before)
        monkeypatch.setattr(
            Evidence, "observe", lambda self, *what: left.pop(0) if len(left) > 1 else left[0]
        )
        weights = RouteWeights(cluster, progress.connections, lines.append)
        pace, asking = Pace((10, 100), 60.0, hold_seconds), Asking(1, iter(()), {1: 90, 2: 10})
        return progress.watch(2, 10, pace, Policy(), weights, asking)

    return watch


SEEN = {"restarts": 0, "pairs": Pairs(asked=20), "routed": Routed(200, to_canary=20)}
WELL = Observation(10, ready=True, **SEEN)
GONE = Observation(10, ready=False, **SEEN)
BLIND = Observation(10, ready=True, **SEEN, blind="no Prometheus")


def test_a_step_that_goes_well_is_watched_to_its_end(watched, clock):
    well = Observation(**{**vars(WELL), "watched": False})
    assert watched(well).outcome is Outcome.GO_ON
    assert clock.now == 60


def test_a_worse_canary_ends_its_step_at_once(watched, clock):
    assert watched(GONE).outcome is Outcome.WITHDRAW
    assert clock.now == 10


def test_an_unclear_step_is_held_for_the_time_allowed(watched, clock, lines):
    assert watched(BLIND).outcome is Outcome.HOLD
    assert clock.now == 80
    assert len([line for line in lines if line.startswith("step 10 % is held")]) == 1
