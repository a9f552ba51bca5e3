"""Waits for what a rollout has begun: a version gets ready, a step is watched, it answers alone."""

import time
from dataclasses import dataclass
from typing import Final

from forecasting.adapters.cluster.manifests import service_name
from forecasting.adapters.cluster.readiness import Trouble
from forecasting.errors import BellwetherError, BundleRejected, NotReady
from forecasting.rollout.canary import Judgement, Outcome, Policy, Probes, judge
from serving.rollout.evidence import Evidence, RolloutPart
from serving.rollout.weights import RouteWeights

GIVE_UP_SECONDS: Final = 20.0
"""How long a hopeless condition must last before waiting ends: early KServe conditions flap."""

POLL_SECONDS: Final = 10.0
"""Pause between two observations of a step."""

SEEN_SECONDS: Final = 30.0
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
            state = self.cluster.seen(config, version)
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
        return error(
            f"version {version} must be ready before it gets requests; it got none",
            f"after {waited:.0f} s: {trouble.found}",
            f"Look: kubectl -n {self.cluster.namespace} describe isvc {name}. "
            f"Remove it: bellwether rollout delete {version}",
        )

    def wait_alone(self, version: int, evidence: Evidence) -> None:
        """Wait until this version answers every request.

        Raises:
            NotReady: others still answer after `SEEN_SECONDS`.
        """
        deadline = time.monotonic() + SEEN_SECONDS
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

    def watch(
        self, version: int, weight: int, pace: Pace, policy: Policy, weights: RouteWeights
    ) -> Judgement:
        """Watch one step to its end; earlier when the canary is clearly worse.

        Raises:
            RolloutConflict: somebody else changes the weights meanwhile.
        """
        evidence = Evidence(self.cluster, self.connections, self.log)
        started = time.monotonic()
        state = self.cluster.seen(self.config, version)
        restarts = state.restarts if state else 0
        probes = Probes()
        logged = ""
        while True:
            time.sleep(min(POLL_SECONDS, pace.step_seconds))
            weights.check_unchanged(version, weight)
            probes = evidence.probe(version, probes)
            age = time.monotonic() - started
            observation = evidence.observe(version, weight, age, restarts, probes)
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
