"""Rolls a model version out: ready first, then weight step by step, and back when it is worse.

The cluster holds all state: weights on the route, InferenceServices, annotations. Every action
starts from what is there and may be repeated after a crash at any point. Nothing here prints.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forecasting.adapters.cluster.manifests import (
    Wanted,
    read_wanted,
    service_name,
    storage_uri,
)
from forecasting.adapters.registry.reader import CHALLENGER, CHAMPION
from forecasting.errors import BundleRejected, InvalidSettings, RolloutConflict, UnknownVersion
from forecasting.rollout.canary import Outcome, Policy, check_steps, next_step
from forecasting.rollout.traffic import ALL, Traffic
from serving.rollout.evidence import Evidence, RolloutPart
from serving.rollout.progress import Pace, Progress
from serving.rollout.status import Status, read_status
from serving.rollout.weights import RouteWeights

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
    """

    ready_seconds: float = 300.0

    @property
    def evidence(self) -> Evidence:
        """What is observed of versions."""
        return Evidence(self.cluster, self.connections, self.log)

    @property
    def weights(self) -> RouteWeights:
        """The weights on the route."""
        return RouteWeights(self.cluster, self.connections, self.log)

    @property
    def progress(self) -> Progress:
        """What is waited for."""
        return Progress(self.cluster, self.connections, self.log, self.ready_seconds)

    def number(self, name: str) -> int:
        """A version's number from its number or its alias.

        Raises:
            InvalidSettings: it is neither.
            UnknownVersion: no version has the alias.
            RegistryUnavailable: an alias was given and the registry cannot be asked.
        """
        plain = name.removeprefix("v")
        if plain.isdigit() and int(plain) > 0:
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
            BundleRejected: it has no digest, or its bundle is not what the digest promises.
            RolloutConflict: another version is being rolled out.
            BellwetherError: the registry or the cluster fails.
        """
        version = self._prepare(name)
        route = self.weights.route()
        if weight is None:
            current = route.traffic.weights.get(version, 0)
            others = [number for number in route.traffic.serving if number != version]
            weight = current or (self.config.steps[0] if others else ALL)
        if weight:
            self._refuse_other_canary(route.traffic, version)
            self.evidence.answers(version)
            self.weight(version, weight, f"started with {weight} %")
        return version

    def weight(self, version: int, percent: int, why: str = "") -> None:
        """Give a version its share of the requests.

        Raises:
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
        traffic = route.traffic.give(version, percent, self.weights.ready_versions())
        self.weights.write(route, traffic, why or f"version {version} set to {percent} %")
        for number in traffic.serving:
            share = f"{traffic.weights[number]} % of the requests" if percent < ALL else ""
            self.weights.tag(number, "serving", share)

    def promote(self, version: int) -> None:
        """Give a version all requests, and wait until it answers every one.

        Raises:
            NotReady: it is not ready, or others still answer.
        """
        self.weight(version, ALL, f"version {version} promoted")
        self.progress.wait_alone(version, self.evidence)

    def rollback(self, to: int | None = None, why: str = "") -> int:
        """Give all requests back to the version before, in one write.

        Returns:
            The version that serves now.

        Raises:
            InvalidSettings: there is nothing to go back to.
            NotReady: it is not ready.
            RolloutConflict: somebody else changed the weights meanwhile.
        """
        route = self.weights.route()
        return self.weights.withdraw(route, to, why or "rolled back by hand")

    def delete(self, version: int) -> None:
        """Take a version off the route, then delete it and all that belongs to it.

        Raises:
            InvalidSettings: it has weight.
            NotReady: it is not gone in time.
        """
        config = self.config
        route = self.weights.route()
        name = service_name(config.model, version)
        if version in route.traffic.weights:
            self.weights.write(route, route.traffic.without(version), f"version {version} retired")
            time.sleep(SETTLE_SECONDS)
            self.log(f"version {version} is off the route")
        elif self.cluster.seen(config, version) is None:
            raise UnknownVersion(
                "a version must run to be deleted",
                f"namespace {self.cluster.namespace} has no InferenceService {name}",
                "bellwether rollout status lists those that run",
            )
        self.cluster.delete_version(config, version)
        self.log(f"{name} is gone")
        self.weights.tag(version, "retired", "", unless="rolled back")

    def sync(self) -> list[int]:
        """Make every live version run as the template now says, one after the other.

        Returns:
            Their numbers.

        Raises:
            NotReady: a version does not get ready again.
        """
        config = self.config
        services = self.cluster.services(config)
        for version in sorted(services, reverse=True):
            self.cluster.apply_version(config, read_wanted(services[version]))
            self.progress.wait_ready(version)
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
        version = self._prepare(name)
        route = self.weights.route()
        self._refuse_other_canary(route.traffic, version)
        self.evidence.answers(version)
        weight = route.traffic.weights.get(version, 0)
        others = [number for number in route.traffic.serving if number != version]
        if not others:
            if weight < ALL:
                self.weight(version, ALL, "first version")
            self.progress.wait_alone(version, self.evidence)
            return RunResult(version, True, "no other version served")
        while True:
            if weight:
                judgement = self.progress.watch(version, weight, pace, policy, self.weights)
                if judgement.outcome is not Outcome.GO_ON:
                    route = self.weights.check_unchanged(version, weight)
                    self.weights.withdraw(
                        route, None, f"version {version} at {weight} %: {judgement.reason}"
                    )
                    return RunResult(version, False, judgement.reason)
            step = next_step(steps, weight)
            assert step is not None
            if weight:
                self.weights.check_unchanged(version, weight)
            self.weight(version, step, f"rollout of version {version}, step {step} %")
            if step == ALL:
                self.progress.wait_alone(version, self.evidence)
                return RunResult(version, True, "every step went well")
            weight = step

    def status(self) -> Status:
        """Where things stand; see `read_status`."""
        return read_status(self.cluster, self.connections, self.log)

    def _prepare(self, name: str) -> int:
        """Have a version run, wait until it is ready, and put it on the route without weight."""
        config = self.config
        desired = self._desired(self.number(name))
        version = desired.version
        running = self.cluster.services(config)
        if version not in running and len(running) >= MAX_LIVE:
            raise InvalidSettings(
                f"at most {MAX_LIVE} versions run side by side",
                f"{', '.join(map(str, sorted(running)))} run",
                "Delete one: bellwether rollout delete VERSION",
            )
        if version in running:
            self._check_bundle(desired, running[version])
            if running[version]["metadata"].get("deletionTimestamp"):
                self.log(f"version {version} is being deleted; waiting")
                self.cluster.delete_version(config, version)
        self.cluster.apply_version(config, desired)
        self.progress.wait_ready(version)
        route = self.weights.route()
        if version not in route.traffic.weights:
            self.weights.write(route, route.traffic.joined(version), f"version {version} is ready")
        return version

    def _desired(self, version: int) -> Wanted:
        registry = self.connections.registry()
        record = registry.version(str(version))
        if not record.bundle_digest:
            raise BundleRejected(
                "a registered version must carry its bundle's digest as the tag bundle_digest",
                f"version {version} has none",
                "Register it again",
            )
        where = storage_uri(registry.artifact_uri(record.run_id), self.config.artifact_store)
        return Wanted(version, where, record.bundle_digest, record.kind)

    def _check_bundle(self, desired: Wanted, running: Mapping[str, Any]) -> None:
        digest = read_wanted(running).digest
        if digest != desired.digest:
            raise BundleRejected(
                "a version never changes",
                f"version {desired.version} runs with digest {digest[:16]}, "
                f"and the registry promises {desired.digest[:16]}",
                f"Find out why; bellwether rollout delete {desired.version} removes what runs",
            )

    def _refuse_other_canary(self, traffic: Traffic, version: int) -> None:
        others = [number for number in traffic.canaries if number != version]
        if others or (traffic.canaries and version == traffic.stable):
            busy = (others or list(traffic.canaries))[0]
            raise RolloutConflict(
                "one version is rolled out at a time",
                f"{traffic.in_words()}",
                f"Go on with bellwether rollout run {busy}, promote it, or "
                "withdraw it with bellwether rollout rollback",
            )
