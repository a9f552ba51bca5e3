"""Rolls a model version out: ready first, then weight step by step, and back when it is worse.

The cluster holds all state: weights on the route, InferenceServices, annotations. Every action
starts from what is there and may be repeated after a crash at any point. Nothing here prints.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forecasting.adapters.cluster.cluster import Cluster, Route
from forecasting.adapters.cluster.manifests import (
    RolloutConfig,
    Wanted,
    read_wanted,
    service_name,
    storage_uri,
)
from forecasting.adapters.cluster.readiness import Trouble
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.adapters.registry.reader import CHALLENGER, CHAMPION
from forecasting.errors import (
    BellwetherError,
    BundleRejected,
    InvalidSettings,
    NotReady,
    RegistryUnavailable,
    RolloutConflict,
    Unavailable,
    UnknownVersion,
)
from forecasting.prometheus_metrics import ROUTE_WEIGHT
from forecasting.rollout.canary import (
    Judgement,
    Outcome,
    Policy,
    Probes,
    check_steps,
    judge,
    next_step,
)
from forecasting.rollout.traffic import ALL, Traffic
from serving.rollout.evidence import Evidence, Reach, Tell

MAX_LIVE: Final = 10
"""Versions that may run side by side; a route holds 16 rules."""

GIVE_UP_SECONDS: Final = 20.0
"""How long the same hopeless trouble is watched: KServe's first words are sometimes rash."""

SETTLE_SECONDS: Final = 4.0
"""From the gateway's controller having taken the rules until every proxy surely has."""

POLL_SECONDS: Final = 10.0


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


@dataclass(frozen=True)
class VersionStatus:
    """One version in `status`; None where it could not be seen."""

    version: int
    kind: str
    digest: str
    endpoints: int
    replicas: int
    settled: bool
    weight: int | None
    share: float | None
    alias: str
    trouble: str


@dataclass(frozen=True)
class Status:
    """Where things stand.

    Attributes:
        versions: the newest first.
        stable: the version that last held all requests.
        champion: the registry's; "" when it has none or cannot be asked.
        changed: when and why the weights were last written.
        remarks: what differs or could not be seen, in words.
    """

    versions: tuple[VersionStatus, ...]
    stable: int | None
    champion: str
    changed: Mapping[str, str]
    remarks: tuple[str, ...]


@dataclass
class Rollout:
    """Everything a rollout does.

    Attributes:
        cluster: where.
        reach: ways to the registry, Prometheus, the gateway, the Pushgateway.
        tell: told of progress, a sentence at a time.
        ready_seconds: how long a version may take to become ready.
    """

    cluster: Cluster
    reach: Reach
    tell: Tell
    ready_seconds: float = 300.0
    _config: RolloutConfig | None = field(default=None, repr=False)

    @property
    def config(self) -> RolloutConfig:
        """What Helm says about rollouts, read once."""
        if self._config is None:
            self._config = self.cluster.config()
        return self._config

    @property
    def evidence(self) -> Evidence:
        """What looks at versions for us."""
        return Evidence(self.cluster, self.config, self.reach, self.tell)

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
        found = self.reach.registry().aliases().get(name)
        if found is None:
            raise UnknownVersion(
                f"the registry must have a {name}", f"none of {self.config.model}", "Train first"
            )
        return int(found)

    # what can be done

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
        route = self.cluster.route(self.config)
        if weight is None:
            has = route.traffic.weights.get(version, 0)
            others = [one for one in route.traffic.serving if one != version]
            weight = has or (self.config.steps[0] if others else ALL)
        if weight:
            self._no_other_canary(route.traffic, version)
            self.evidence.answers(version)
            self.weight(version, weight, f"started with {weight} %")
        return version

    def weight(self, version: int, percent: int, why: str = "") -> None:
        """Give a version its share of the requests.

        Raises:
            NotReady: a version that would get requests is not ready.
            RolloutConflict: somebody else changed the weights meanwhile.
        """
        route = self.cluster.route(self.config)
        if version not in route.traffic.weights:
            raise UnknownVersion(
                "a version must be started before it gets requests",
                f"version {version} is not on the route",
                f"bellwether rollout start {version}",
            )
        new = route.traffic.give(version, percent, self._ready())
        self._write(route, new, why or f"version {version} set to {percent} %")
        self._note(new, new.serving, f"{percent} % of the requests" if percent < ALL else "")

    def promote(self, version: int) -> None:
        """Give a version all requests, and wait until it is seen to get them.

        Raises:
            NotReady: it is not ready, or others still answer.
        """
        self.weight(version, ALL, f"version {version} promoted")
        self._wait_seen(version)

    def rollback(self, to: int | None = None, why: str = "") -> int:
        """All requests back to the version before, in one write.

        Returns:
            The version that serves now.

        Raises:
            InvalidSettings: there is nothing to go back to.
            NotReady: it is not ready.
            RolloutConflict: somebody else changed the weights meanwhile.
        """
        route = self.cluster.route(self.config)
        return self._back(route, to, why or "rolled back by hand")

    def delete(self, version: int) -> None:
        """Take a version off the route, then delete it and all that belongs to it.

        Raises:
            InvalidSettings: it has weight.
            NotReady: it is not gone in time.
        """
        config = self.config
        route = self.cluster.route(config)
        name = service_name(config.model, version)
        if version in route.traffic.weights:
            self._write(route, route.traffic.without(version), f"version {version} retired")
            time.sleep(SETTLE_SECONDS)
            self.tell(f"version {version} is off the route")
        elif self.cluster.seen(config, version) is None:
            raise UnknownVersion(
                "a version must run to be deleted",
                f"namespace {self.cluster.namespace} has no InferenceService {name}",
                "bellwether rollout status lists those that run",
            )
        self.cluster.delete_version(config, version)
        self.tell(f"{name} is gone")
        self._tag(version, "retired", "", unless="rolled back")

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
            self._wait_ready(version)
        return sorted(services, reverse=True)

    def run(self, name: str, pace: Pace, policy: Policy) -> RunResult:
        """Start a version and give it more step by step, as long as it is not worse.

        A run that was cut short goes on from the weight it finds. Once it has begun, it asks the
        registry nothing that it could not do without.

        Raises:
            RolloutConflict: another version is being rolled out, or somebody else changes the
                weights meanwhile; this run then leaves them alone.
            BellwetherError: the version cannot be started.
        """
        steps = check_steps(pace.steps)
        version = self._prepare(name)
        route = self.cluster.route(self.config)
        self._no_other_canary(route.traffic, version)
        self.evidence.answers(version)
        weight = route.traffic.weights.get(version, 0)
        others = [one for one in route.traffic.serving if one != version]
        if not others:
            if weight < ALL:
                self.weight(version, ALL, "first version")
            self._wait_seen(version)
            return RunResult(version, True, "no other version served")
        while True:
            if weight:
                judgement = self._watch(version, weight, pace, policy)
                if judgement.outcome is not Outcome.GO_ON:
                    route = self._unchanged(version, weight)
                    self._back(route, None, f"version {version} at {weight} %: {judgement.reason}")
                    return RunResult(version, False, judgement.reason)
            step = next_step(steps, weight)
            assert step is not None
            if weight:
                self._unchanged(version, weight)
            self.weight(version, step, f"rollout of version {version}, step {step} %")
            if step == ALL:
                self._wait_seen(version)
                return RunResult(version, True, "every step went well")
            weight = step

    def status(self) -> Status:
        """Where things stand; what cannot be seen is said, not guessed."""
        config = self.config
        remarks: list[str] = []
        route = self.cluster.route(config)
        traffic, changed = route.traffic, route.changed
        aliases: Mapping[str, str] = {}
        try:
            aliases = self.reach.registry().aliases()
        except BellwetherError as error:
            remarks.append(f"registry not seen: {error.found or error.rule}")
        services = self.cluster.services(config)
        shares: dict[int, float] = {}
        try:
            shares = self.evidence.shares(services)
        except BellwetherError as error:
            remarks.append(f"observed split not seen: {error.found or error.rule}")
        names = {int(number): alias for alias, number in aliases.items()}
        versions = []
        for version in sorted({*services, *traffic.weights}, reverse=True):
            seen = self.cluster.seen(config, version)
            weight = traffic.weights.get(version)
            if seen is None:
                remarks.append(f"version {version} is on the route and does not run")
                continue
            wanted = read_wanted(seen.service)
            status = (seen.deployment or {}).get("status", {})
            trouble = "" if seen.settled else self.cluster.trouble(seen).found
            versions.append(
                VersionStatus(
                    version=version,
                    kind=wanted.kind,
                    digest=wanted.digest,
                    endpoints=seen.ready_endpoints,
                    replicas=int(status.get("replicas", 0)),
                    settled=seen.settled,
                    weight=weight,
                    share=shares.get(version),
                    alias=names.get(version, ""),
                    trouble=trouble,
                )
            )
        champion = aliases.get(CHAMPION, "")
        if champion and champion != str(traffic.stable or ""):
            remarks.append(
                f"the evidence chose version {champion} (champion); "
                f"users get {traffic.told() or 'nothing'}"
            )
        return Status(tuple(versions), traffic.stable, champion, changed, tuple(remarks))

    # parts

    def _prepare(self, name: str) -> int:
        """The version runs, is ready, and can be asked by its number."""
        config = self.config
        wanted = self._wanted(self.number(name))
        version = wanted.version
        running = self.cluster.services(config)
        if version not in running and len(running) >= MAX_LIVE:
            raise InvalidSettings(
                f"at most {MAX_LIVE} versions run side by side",
                f"{', '.join(map(str, sorted(running)))} run",
                "Delete one: bellwether rollout delete VERSION",
            )
        if version in running:
            self._same_bundle(wanted, running[version])
            if running[version]["metadata"].get("deletionTimestamp"):
                self.tell(f"version {version} is being deleted; waiting")
                self.cluster.delete_version(config, version)
        self.cluster.apply_version(config, wanted)
        self._wait_ready(version)
        route = self.cluster.route(config)
        if version not in route.traffic.weights:
            self._write(route, route.traffic.joined(version), f"version {version} is ready")
        return version

    def _wanted(self, version: int) -> Wanted:
        registry = self.reach.registry()
        record = registry.version(str(version))
        if not record.bundle_digest:
            raise BundleRejected(
                "a registered version must carry its bundle's digest as the tag bundle_digest",
                f"version {version} has none",
                "Register it again",
            )
        where = storage_uri(registry.artifact_uri(record.run_id), self.config.artifact_store)
        return Wanted(version, where, record.bundle_digest, record.kind)

    def _same_bundle(self, wanted: Wanted, running: Mapping[str, Any]) -> None:
        digest = read_wanted(running).digest
        if digest != wanted.digest:
            raise BundleRejected(
                "a version never changes",
                f"version {wanted.version} runs with digest {digest[:16]}, "
                f"and the registry promises {wanted.digest[:16]}",
                f"Find out why; bellwether rollout delete {wanted.version} removes what runs",
            )

    def _wait_ready(self, version: int) -> None:
        config, started = self.config, time.monotonic()
        hopeless_since: float | None = None
        told = ""
        before: Mapping[str, int] | None = None
        while True:
            seen = self.cluster.seen(config, version)
            if seen is not None and seen.settled:
                took = time.monotonic() - started
                count = seen.ready_endpoints
                self.tell(
                    f"version {version} is ready after {took:.1f} s, "
                    f"{count} endpoint{'' if count == 1 else 's'}"
                )
                return
            now = time.monotonic()
            trouble = (
                Trouble("its InferenceService is gone", hopeless=True)
                if seen is None
                else self.cluster.trouble(seen)
            )
            # What failed before we looked is tried again by the kubelet, with pauses of up to five
            # minutes; it is hopeless only when it fails under our eyes, too.
            failures = seen.failures if seen else {}
            before = failures if before is None else before
            left_over = failures and all(
                0 < count == before.get(pod) for pod, count in failures.items()
            )
            if trouble.found != told:
                self.tell(f"version {version}: {trouble.found}")
                told = trouble.found
            hopeless = trouble.hopeless and not left_over
            hopeless_since = (hopeless_since or now) if hopeless else None
            given_up = hopeless_since is not None and now - hopeless_since > GIVE_UP_SECONDS
            if given_up or now - started > self.ready_seconds:
                raise self._never_ready(version, trouble, now - started)
            time.sleep(0.5 if now - started < 30 else 2.0)

    def _never_ready(self, version: int, trouble: Trouble, waited: float) -> BellwetherError:
        kind = BundleRejected if trouble.corrupted else NotReady
        name = service_name(self.config.model, version)
        return kind(
            f"version {version} must be ready before it gets requests; it got none",
            f"after {waited:.0f} s: {trouble.found}",
            f"Look: kubectl -n {self.cluster.namespace} describe isvc {name}. "
            f"Remove it: bellwether rollout delete {version}",
        )

    def _ready(self) -> set[int]:
        return {one for one, count in self.cluster.ready(self.config).items() if count > 0}

    def _no_other_canary(self, traffic: Traffic, version: int) -> None:
        others = [one for one in traffic.canaries if one != version]
        if others or (traffic.canaries and version == traffic.stable):
            busy = (others or list(traffic.canaries))[0]
            raise RolloutConflict(
                "one version is rolled out at a time",
                f"{traffic.told()}",
                f"Go on with bellwether rollout run {busy}, promote it, or "
                "withdraw it with bellwether rollout rollback",
            )

    def _unchanged(self, version: int, weight: int) -> Route:
        """The route, if this rollout's weights are still on it."""
        route = self.cluster.route(self.config)
        if route.traffic.weights.get(version, 0) != weight or version == route.traffic.stable:
            raise RolloutConflict(
                "nobody else may change the weights while a rollout runs",
                f"version {version} had {weight} %, now: {route.traffic.told()}"
                f" ({route.changed.get('why', 'no reason given')})",
                "This rollout ends here and leaves the weights as they are",
            )
        return route

    def _write(self, route: Route, new: Traffic, why: str) -> None:
        if new.told() != route.traffic.told():
            self.tell(new.told())
        self._put(route, new, why)
        self.cluster.wait_routed(self.config)
        self._push(new)

    def _put(self, route: Route, new: Traffic, why: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        left_alone = self.cluster.write_route(self.config, route, new, {"at": at, "why": why})
        if left_alone:
            self.tell(f"warning: gRPC's weights were left as they are: {left_alone}")

    def _back(self, route: Route, to: int | None, why: str) -> int:
        started = time.monotonic()
        new = route.traffic.back(self._ready(), to)
        withdrawn = [one for one in route.traffic.serving if not new.weights[one]]
        self._put(route, new, why)
        (target,) = new.serving
        self.tell(f"all requests go to version {target} ({time.monotonic() - started:.1f} s)")
        self.cluster.wait_routed(self.config)
        self._push(new)
        for one in withdrawn:
            self._tag(one, "rolled back", why)
        self._tag(target, "serving", f"after a rollback: {why}")
        return target

    def _push(self, traffic: Traffic) -> None:
        """The weights as metrics; a rollout does not fail for them."""
        try:
            url = self.reach.pushgateway()
            if url:
                samples = [
                    Sample(ROUTE_WEIGHT, (str(version),), float(weight))
                    for version, weight in traffic.weights.items()
                ]
                publish(
                    "rollout",
                    samples,
                    gateway_url=url,
                    file=Path(),
                    succeeded_at=datetime.now(UTC).timestamp(),
                    timeout=5.0,
                )
        except Unavailable as error:
            self.tell(f"warning: the weights were not pushed as metrics: {error.found}")

    def _note(self, traffic: Traffic, versions: Sequence[int], reason: str) -> None:
        for version in versions:
            share = traffic.weights[version]
            self._tag(version, "serving", reason and f"{share} % of the requests")

    def _tag(self, version: int, outcome: str, reason: str, *, unless: str = "") -> None:
        """Tell the registry; tried three times, and a failure is told, not raised."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        tags = {"rollout": outcome, "rollout_reason": reason[:4_000], "rollout_at": now}
        for left in (2, 1, 0):
            try:
                registry = self.reach.registry()
                if unless and registry.version(str(version)).tags.get("rollout") == unless:
                    return
                registry.tag(str(version), tags)
            except (Unavailable, UnknownVersion) as error:
                if left and isinstance(error, RegistryUnavailable):
                    time.sleep(2.0)
                    continue
                self.tell(
                    f"warning: the registry was not told that version {version} is {outcome}: "
                    f"{error.found or error.rule}"
                )
            return

    def _wait_seen(self, version: int) -> None:
        """Wait until nobody else answers."""
        deadline = time.monotonic() + 30.0
        while True:
            found = self.evidence.routed(50)
            if set(found) == {version}:
                self.tell(f"version {version} answers everything")
                return
            if time.monotonic() > deadline:
                raise NotReady(
                    f"version {version} must answer everything",
                    f"50 questions were answered by {dict(found)}",
                    f"kubectl -n {self.cluster.namespace} describe httproute {self.config.route}",
                )
            time.sleep(1.0)

    def _watch(self, version: int, weight: int, pace: Pace, policy: Policy) -> Judgement:
        """Watch one step to its end; earlier when the canary is clearly worse."""
        started = time.monotonic()
        seen = self.cluster.seen(self.config, version)
        restarts = seen.restarts if seen else 0
        probes = Probes()
        told = ""
        while True:
            time.sleep(min(POLL_SECONDS, pace.step_seconds))
            self._unchanged(version, weight)
            probes = self.evidence.probe(version, probes)
            age = time.monotonic() - started
            observation = self.evidence.observe(version, weight, age, restarts, probes)
            judgement = judge(observation, policy)
            over = age >= pace.step_seconds
            if judgement.outcome is Outcome.WITHDRAW:
                return judgement
            if over and judgement.outcome is Outcome.GO_ON:
                self.tell(f"step {weight} %: {judgement.reason}")
                return judgement
            if over and age >= pace.step_seconds + pace.hold_seconds:
                return judgement
            if over and judgement.reason != told:
                self.tell(f"step {weight} % is held: {judgement.reason}")
                told = judgement.reason
