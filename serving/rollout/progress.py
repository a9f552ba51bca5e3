"""Waits for what a rollout has begun: a version gets ready, a step is watched, it answers alone."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from forecasting.adapters.cluster.manifests import service_name
from forecasting.adapters.cluster.readiness import Trouble
from forecasting.errors import BellwetherError, BundleRejected, NotReady
from forecasting.rollout.canary import Judgement, Routed, judge
from forecasting.rollout.pairs import Pairs, Question, findings
from forecasting.rollout.rules import Outcome, Policy
from serving.rollout.evidence import Evidence, RolloutPart, StepStart
from serving.rollout.weights import RouteWeights

GIVE_UP_SECONDS: Final = 20.0
"""How long a hopeless condition must last before waiting ends: early KServe conditions flap."""

POLL_SECONDS: Final = 10.0
"""Pause between two observations of a step."""

FIRST_ROUNDS: Final = 6
"""Rounds of questions before a canary has any weight."""

FIRST_PAUSE_SECONDS: Final = 2.0
"""Pause between two of them: one hiccup of a pod must not fall into several."""

ROUTE_CHANGE_SECONDS: Final = 30.0
"""How long requests may still reach other versions after one was given all of them."""


@dataclass(frozen=True)
class Pace:
    """How fast a rollout goes.

    Attributes:
        steps: weights, rising to 100.
        step_seconds: how long each is watched.
        hold_seconds: how much longer a step may be held before the canary is withdrawn.
    """

    steps: tuple[int, ...]
    step_seconds: float
    hold_seconds: float


@dataclass
class Progress(RolloutPart):
    """Waits for a version and watches it.

    Attributes:
        ready_seconds: how long a version may take to become ready.
    """

    ready_seconds: float

    def wait_ready(self, version: int) -> None:
        """Wait until a version runs as its InferenceService says and takes requests.

        Raises:
            NotReady: it does not, in time or at all.
            BundleRejected: its bundle is not what its digest promises.
        """
        config, started = self.config, time.monotonic()
        hopeless_since: float | None = None
        logged = ""
        first_failures: dict[str, int] | None = None
        while True:
            state = self.cluster.version_state(config, version)
            now = time.monotonic()
            if state is not None and state.settled:
                count = state.ready_endpoints
                self.log(
                    f"version {version} is ready after {now - started:.1f} s, "
                    f"{count} endpoint{'' if count == 1 else 's'}"
                )
                return
            trouble = (
                Trouble("its InferenceService is gone", hopeless=True)
                if state is None
                else self.cluster.trouble(state)
            )
            # What failed before this wait began is tried again by the kubelet, with pauses of up to
            # five minutes; it is hopeless only when it fails during the wait, too.
            failures = state.failures if state else {}
            first_failures = failures if first_failures is None else first_failures
            failed_before = failures and all(
                0 < count == first_failures.get(pod) for pod, count in failures.items()
            )
            if trouble.found != logged:
                self.log(f"version {version}: {trouble.found}")
                logged = trouble.found
            hopeless = trouble.hopeless and not failed_before
            hopeless_since = (hopeless_since or now) if hopeless else None
            give_up = hopeless_since is not None and now - hopeless_since > GIVE_UP_SECONDS
            if give_up or now - started > self.ready_seconds:
                raise self._never_ready(version, trouble, now - started)
            time.sleep(0.5 if now - started < 30 else 2.0)

    def _never_ready(self, version: int, trouble: Trouble, waited: float) -> BellwetherError:
        error = BundleRejected if trouble.corrupted else NotReady
        name = service_name(self.config.model, version)
        found = f"after {waited:.0f} s: {trouble.found}"
        look = f"Look: kubectl -n {self.cluster.namespace} describe isvc {name}. "
        traffic = self.cluster.route(self.config).traffic
        if weight := traffic.weights.get(version, 0):
            others = [one for one in traffic.stable_history if one != version]
            back = "bellwether rollout rollback" if others else "roll out another version"
            return error(
                f"version {version} must be ready: it has {weight} % of the requests",
                found,
                f"{look}Its older pods may still answer; if none does, {back}",
            )
        return error(
            f"version {version} must be ready before it gets requests; it got none",
            found,
            f"{look}Remove it: bellwether rollout delete {version}",
        )

    def wait_alone(self, version: int, evidence: Evidence) -> None:
        """Wait until this version answers every request.

        Raises:
            NotReady: others still answer after `ROUTE_CHANGE_SECONDS`.
        """
        deadline = time.monotonic() + ROUTE_CHANGE_SECONDS
        while True:
            answered = evidence.routed(50)
            if set(answered) == {version}:
                self.log(f"version {version} answers everything")
                return
            if time.monotonic() > deadline:
                raise NotReady(
                    f"version {version} must answer everything",
                    f"50 questions were answered by {dict(answered)}",
                    f"kubectl -n {self.cluster.namespace} describe httproute {self.config.route}",
                )
            time.sleep(1.0)

    def ask_first(self, version: int, policy: Policy, asking: "Asking") -> Judgement:
        """Compare a canary that has no weight yet: what is found now harms no user."""
        evidence = Evidence(self.cluster, self.connections, self.log)
        for number in range(FIRST_ROUNDS):
            if number:
                time.sleep(FIRST_PAUSE_SECONDS)
            asking.round(evidence, version, policy)
            judgement = Judgement(tuple(findings(asking.pairs, policy)))
            if judgement.outcome is Outcome.WITHDRAW:
                break
        return judgement

    def watch(
        self,
        version: int,
        weight: int,
        pace: Pace,
        policy: Policy,
        weights: RouteWeights,
        asking: "Asking",
    ) -> Judgement:
        """Watch one step to its end; earlier when the canary is clearly worse.

        Raises:
            RolloutConflict: somebody else changes the weights meanwhile.
        """
        evidence = Evidence(self.cluster, self.connections, self.log)
        started = time.monotonic()
        before = StepStart(asking.restarts, asking.pairs.asked)
        routed = Routed()
        logged = ""
        while True:
            time.sleep(min(POLL_SECONDS, pace.step_seconds))
            weights.check_unchanged(version, asking.weights)
            asking.round(evidence, version, policy)
            routed = evidence.split(version, routed)
            age = time.monotonic() - started
            observation = evidence.observe(version, weight, age, before, asking.pairs, routed)
            judgement = judge(observation, policy)
            over = age >= pace.step_seconds
            if judgement.outcome is Outcome.WITHDRAW:
                return judgement
            if over and judgement.outcome is Outcome.GO_ON:
                self.log(f"step {weight} %: {judgement.reason}")
                return judgement
            if over and age >= pace.step_seconds + pace.hold_seconds:
                return judgement
            if over and judgement.reason != logged:
                self.log(f"step {weight} % is held: {judgement.reason}")
                logged = judgement.reason


@dataclass
class Asking:
    """The questions that a rollout asks of its canary and of the stable version, and the answers.

    Attributes:
        stable: version that held all requests when the rollout began.
        questions: without end; none where neither users nor the stable version name a symbol.
        weights: per cent by version, as this rollout wrote or found them last.
        restarts: of the canary's containers when the rollout began: one between the writing of a
            weight and the first look at its step counts, too.
        pairs: what was asked so far, over all steps.
    """

    stable: int
    questions: Iterator[Question]
    weights: Mapping[int, int]
    restarts: int = 0
    pairs: Pairs = field(default_factory=Pairs)

    def round(self, evidence: Evidence, canary: int, policy: Policy) -> None:
        """Ask one round more."""
        pairs = evidence.ask_both(canary, self.stable, self.questions)
        self.pairs = self.pairs.after(pairs, policy)
