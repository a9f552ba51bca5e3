"""Rolls a model version out: ready first, then weight step by step, and back when it is worse.

The cluster holds all state: weights on the route, InferenceServices, annotations. Every action
starts from what is there and may be repeated after a crash at any point. Nothing here prints.
"""

import time
from dataclasses import dataclass
from typing import Final

from forecasting.adapters.cluster.manifests import read_version_spec, service_name
from forecasting.adapters.cluster.routes import Route
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.registry.approvals import Approvals
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.records import CHALLENGER, CHAMPION
from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.errors import (
    BellwetherError,
    InvalidSettings,
    UnknownVersion,
)
from forecasting.rollout.canary import Judgement, check_steps, next_step
from forecasting.rollout.rules import Outcome, Policy
from forecasting.rollout.traffic import ALL, Traffic
from serving.rollout.approval import ApprovalGate
from serving.rollout.desired import DesiredVersions
from serving.rollout.evidence import Evidence, RolloutPart
from serving.rollout.progress import Asking, Pace, Progress
from serving.rollout.questions import rotation, users_questions
from serving.rollout.retirement import make_room
from serving.rollout.signed import SignedVersions
from serving.rollout.status import Status, read_status
from serving.rollout.verdict import require_verdict
from serving.rollout.weights import (
    INTERRUPTED,
    ROLLED_BACK,
    RouteWeights,
    refuse_other_canary,
)
from serving.rollout.withdrawal import WHO, record_withdrawal

MAX_LIVE: Final = 10
"""Versions that may run side by side; a route holds 16 rules."""

SETTLE_SECONDS: Final = 4.0
"""How long proxies may take to apply a route that the gateway's controller has accepted."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        version: what was rolled out.
        serving: whether it has all requests now; otherwise it was rolled back.
        reason: in words.
    """

    version: int
    serving: bool
    reason: str


@dataclass
class Rollout(RolloutPart):
    """The actions of a rollout.

    Attributes:
        ready_seconds: how long a version may take to become ready.
        ledger: the promotions, which say who is champion; None where their database is not known.
        predictions: the prediction log, which tells what users ask; None as well.
        despite_verdict: why a version may have requests that its evaluation refused; "" refuses.
        approvals: the ledger's; None where its database is not known.
        approvals_unknown: why it is not, in words.
        history: every split of the requests; None where its database is not known.
        who: who acts, for the record.
    """

    ready_seconds: float = 300.0
    ledger: Ledger | None = None
    predictions: PredictionLog | None = None
    despite_verdict: str = ""
    approvals: Approvals | None = None
    approvals_unknown: str = ""
    history: RolloutHistory | None = None
    who: str = ""

    @property
    def gate(self) -> ApprovalGate:
        """Which versions wait for a person."""
        return ApprovalGate(self.config, self.approvals, self.approvals_unknown)

    @property
    def signed(self) -> SignedVersions:
        """Which versions may run."""
        return SignedVersions(self.config, self.ledger)

    @property
    def desired(self) -> DesiredVersions:
        """What versions have to run."""
        return DesiredVersions(self.cluster, self.connections, self.log, self.signed)

    @property
    def evidence(self) -> Evidence:
        """What is observed of versions."""
        return Evidence(self.cluster, self.connections, self.log)

    @property
    def weights(self) -> RouteWeights:
        """The weights on the route."""
        return RouteWeights(self.cluster, self.connections, self.log, self.history, self.who)

    @property
    def progress(self) -> Progress:
        """What is waited for."""
        return Progress(self.cluster, self.connections, self.log, self.ready_seconds)

    def number(self, name: str) -> int:
        """A version's number from its number or its alias.

        Raises:
            InvalidSettings: it is neither.
            UnknownVersion: no version has the alias.
            BundleRejected: versions are signed, and the ledger has another champion.
            RegistryUnavailable: an alias was given and the registry cannot be asked.
        """
        plain = name.removeprefix("v")
        if plain.isdecimal() and int(plain) > 0:
            return int(plain)
        if name not in {CHAMPION, CHALLENGER}:
            raise InvalidSettings(
                "a version is a number, champion or challenger", repr(name), "Give e.g. 3"
            )
        number = self.connections.registry().aliases().get(name)
        if number is None:
            raise UnknownVersion(
                f"the registry must have a {name}", f"none of {self.config.model}", "Train first"
            )
        if name == CHAMPION:
            self.signed.check_champion(number)
        return int(number)

    def start(self, name: str, weight: int | None = None) -> int:
        """Run a version, wait until it is ready, then give it weight; safe to repeat.

        Args:
            name: number or alias.
            weight: per cent; None for the first step, or 100 when nothing else serves. A version
                that has weight already keeps it.

        Returns:
            Its number.

        Raises:
            NotReady: it does not get ready; it has no weight, and is left to be looked at.
            InvalidSettings: its evaluation refused it, and no reason to run it is given.
            Forbidden: a person has to approve it first.
            BundleRejected: it has no digest, or its bundle is not what the digest promises.
            RolloutConflict: another version is being rolled out.
            BellwetherError: the registry or the cluster fails.
        """
        version = self.prepare(name, evidence=weight != 0)
        route = self.weights.route()
        if weight is None:
            current = route.traffic.weights.get(version, 0)
            others = [number for number in route.traffic.serving if number != version]
            weight = current or (self.config.steps[0] if others else ALL)
        if weight:
            refuse_other_canary(route.traffic, version)
            self.evidence.answers(version)
            self.weight(version, weight, f"started with {weight} %")
        return version

    def weight(self, version: int, percent: int, why: str = "") -> Traffic:
        """Give a version its share of the requests.

        Returns:
            The split that was written.

        Raises:
            InvalidSettings: it had no requests, its evaluation refused it, and no reason is given.
            Forbidden: it had none, and a person has to approve it first.
            NotReady: a version that would get requests is not ready.
            RolloutConflict: somebody else changed the weights meanwhile.
        """
        route = self.weights.route()
        if version not in route.traffic.weights:
            raise UnknownVersion(
                "a version must be started before it gets requests",
                f"version {version} is not on the route",
                f"bellwether rollout start {version}",
            )
        if percent and not route.traffic.weights[version]:
            require_verdict(self.connections.registry(), version, self.despite_verdict)
            self._require_approval(route.traffic, version)
        traffic = route.traffic.give(version, percent, self.weights.ready_versions())
        self.weights.write(route, traffic, why or f"version {version} set to {percent} %")
        for number in traffic.serving:
            share = f"{traffic.weights[number]} % of the requests" if percent < ALL else ""
            self.weights.tag(number, "serving", share)
        return traffic

    def promote(self, version: int) -> None:
        """Give a version all requests, and wait until it answers every one.

        Raises:
            NotReady: it is not ready, or others still answer.
        """
        self.weight(version, ALL, f"version {version} promoted")
        self.progress.wait_alone(version, self.evidence)

    def rollback(self, to: int | None = None, why: str = "", who: str = WHO) -> int:
        """Give all requests back to the version before, in one write.

        Args:
            to: another version than that.
            why: for the record.
            who: withdrew a version, for the ledger.

        Returns:
            The version that serves now.

        Raises:
            InvalidSettings: there is nothing to go back to.
            NotReady: it is not ready.
            RolloutConflict: somebody else changed the weights meanwhile.
        """
        route = self.weights.route()
        why = why or "rolled back by hand"
        target = self.weights.withdraw(route, to, why)
        record_withdrawal(self.connections, self.signed, target, why, self.log, who=who)
        return target

    def delete(self, version: int, why: str = "") -> None:
        """Take a version off the route, then delete it and all that belongs to it.

        Raises:
            InvalidSettings: it has weight.
            NotReady: it is not gone in time.
        """
        config = self.config
        route = self.weights.route()
        name = service_name(config.model, version)
        if version in route.traffic.weights:
            why = why or f"version {version} retired"
            self.weights.write(route, route.traffic.without(version), why)
            time.sleep(SETTLE_SECONDS)
            self.log(f"version {version} is off the route")
        elif self.cluster.version_state(config, version) is None:
            raise UnknownVersion(
                "a version must run to be deleted",
                f"namespace {self.cluster.namespace} has no InferenceService {name}",
                "bellwether rollout status lists those that run",
            )
        self.cluster.delete_version(config, version)
        self.log(f"{name} is gone")
        self.weights.mark_gone(version)
        self.weights.tag(version, "retired", "", unless="rolled back")

    def sync(self) -> list[int]:
        """Make every live version run as the template now says, one after the other.

        One that fails does not keep the others from it.

        Returns:
            Their numbers.

        Raises:
            NotReady: a version does not get ready again.
            BundleRejected: a version's service names no digest, or no trusted key signed it; its
                pods stay as they are until it is adopted or deleted.
        """
        config = self.config
        services = self.cluster.services(config)
        failures: list[BellwetherError] = []
        for version in sorted(services, reverse=True):
            try:
                self.cluster.apply_version(config, self.desired.as_it_runs(services[version]))
                self.progress.wait_ready(version)
            except BellwetherError as error:
                self.log(f"version {version} is not as the template says: {error}")
                failures.append(error)
        if failures:
            raise failures[0]
        return sorted(services, reverse=True)

    def run(self, name: str, pace: Pace, policy: Policy) -> RunResult:
        """Start a version and give it more step by step, as long as it is not worse.

        A run that was interrupted goes on from the weight on the route. Once it has begun, a registry
        that is down does not stop it.

        Raises:
            RolloutConflict: another version is being rolled out, or somebody else changes the
                weights meanwhile; this run then leaves them alone.
            BellwetherError: the version cannot be started.
        """
        steps = check_steps(pace.steps)
        version = self.prepare(name, evidence=True)
        route = self.weights.route()
        refuse_other_canary(route.traffic, version)
        self.evidence.answers(version)
        weight = route.traffic.weights.get(version, 0)
        others = [number for number in route.traffic.serving if number != version]
        if not others:
            if weight < ALL:
                self.weight(version, ALL, "first version")
            self.progress.wait_alone(version, self.evidence)
            return RunResult(version, True, "no other version served")
        asking = self._asking(route.traffic, version)
        if not weight:
            judgement = self.progress.ask_first(version, policy, asking)
            if judgement.outcome is Outcome.WITHDRAW:
                return self._refused(version, asking.stable, judgement.reason)
        while True:
            if weight:
                judgement = self.progress.watch(version, weight, pace, policy, self.weights, asking)
                route = self.weights.check_unchanged(version, asking.weights)
                if judgement.outcome is not Outcome.GO_ON:
                    return self._withdrawn(route, version, weight, judgement)
            step = next_step(steps, weight)
            assert step is not None
            why = f"rollout of version {version}, step {step} %"
            asking.weights = self.weight(version, step, why).weights
            if step == ALL:
                self.progress.wait_alone(version, self.evidence)
                return RunResult(version, True, "every step went well")
            weight = step

    def _withdrawn(
        self, route: Route, version: int, weight: int, judgement: Judgement
    ) -> RunResult:
        """Give a canary's requests back; one that could not be judged is not called worse."""
        worse = judgement.outcome is Outcome.WITHDRAW
        reason = judgement.reason if worse else f"it could not be judged: {judgement.reason}"
        outcome = ROLLED_BACK if worse else INTERRUPTED
        why = f"version {version} at {weight} %: {reason}"
        target = self.weights.withdraw(route, None, why, outcome)
        if worse:
            record_withdrawal(self.connections, self.signed, target, why, self.log)
        return RunResult(version, False, reason)

    def _refused(self, version: int, stable: int, reason: str) -> RunResult:
        """Leave a canary without weight that was found worse before it had any."""
        why = f"version {version} before it had weight: {reason}"
        self.weights.tag(version, ROLLED_BACK, why)
        record_withdrawal(self.connections, self.signed, stable, why, self.log)
        return RunResult(version, False, reason)

    def status(self) -> Status:
        """Where things stand; see `read_status`."""
        return read_status(self.cluster, self.connections, self.log, self.gate)

    def _asking(self, traffic: Traffic, version: int) -> Asking:
        """Questions as users ask them, for the canary and for the stable version."""
        stable = traffic.stable
        assert stable is not None
        users = users_questions(self.predictions, self.log)
        symbols = self.evidence.symbols(stable)
        if not users:
            self.log(f"users' questions are not known: both are asked for {len(symbols)} symbols")
        state = self.cluster.version_state(self.config, version)
        restarts = state.restarts if state else 0
        return Asking(stable, rotation(users, symbols), traffic.weights, restarts)

    def prepare(self, name: str, *, evidence: bool) -> int:
        """Have a version run, wait until it is ready, and put it on the route without weight.

        Args:
            name: number or alias.
            evidence: whether it must not have been refused by its evaluation.

        Returns:
            Its number.

        Raises: as `start`.
        """
        config = self.config
        desired = self.desired.of(self.number(name))
        version = desired.version
        if evidence or self.despite_verdict:
            require_verdict(self.connections.registry(), version, self.despite_verdict)
        if evidence:
            self.gate.require(self.weights.route().traffic, version, desired.digest)
        running = self.cluster.services(config)
        if version not in running and len(running) >= MAX_LIVE:
            make_room(self, MAX_LIVE)
        if version in running:
            self.desired.check_bundle(desired, running[version])
            if running[version]["metadata"].get("deletionTimestamp"):
                self.log(f"version {version} is being deleted; waiting")
                self.cluster.delete_version(config, version)
        # First: from here on refreshes make the features that it needs, and nobody removes them.
        self.weights.mark_running(version)
        self.cluster.apply_version(config, desired)
        self.progress.wait_ready(version)
        route = self.weights.route()
        if version not in route.traffic.weights:
            self.weights.write(route, route.traffic.joined(version), f"version {version} is ready")
        return version

    def _require_approval(self, traffic: Traffic, version: int) -> None:
        """Refuse a version that waits for a person, by the files that it runs with."""
        if self.gate.concerns(traffic, version):
            running = self.cluster.services(self.config).get(version)
            digest = read_version_spec(running).digest if running else ""
            self.gate.require(traffic, version, digest)
