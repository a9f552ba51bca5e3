"""Writes a rollout's weights: on the route first, then into the history, as metrics and as tags."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from forecasting.adapters.cluster.manifests import read_version_spec
from forecasting.adapters.cluster.route_rules import rule_places
from forecasting.adapters.cluster.routes import Route
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.adapters.registry.records import RUNS
from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.errors import (
    BellwetherError,
    RegistryUnavailable,
    RolloutConflict,
    Unavailable,
    UnknownVersion,
)
from forecasting.prometheus_metrics import ROUTE_RULE, ROUTE_WEIGHT
from forecasting.rollout.traffic import Traffic
from serving.rollout.evidence import RolloutPart

ROLLED_BACK: Final = "rolled back"
"""Outcome of a version that was found worse, or that somebody withdrew."""

INTERRUPTED: Final = "interrupted"
"""Outcome of one that could not be judged; a scheduled rollout tries it again."""


@dataclass
class RouteWeights(RolloutPart):
    """The weights on the route; history, registry and Pushgateway do not stop a rollout by failing.

    Attributes:
        history: every split outlives the release there; None where its database is not known.
        who: whose writes these are, for the record.
    """

    history: RolloutHistory | None = None
    who: str = ""

    def route(self) -> Route:
        """The route as it is now."""
        return self.cluster.route(self.config)

    def ready_versions(self) -> set[int]:
        """Versions that have a ready endpoint."""
        ready = self.cluster.ready(self.config)
        return {version for version, endpoints in ready.items() if endpoints > 0}

    def write(self, route: Route, traffic: Traffic, why: str) -> None:
        """Write new weights, wait until the gateway has them, and push them as metrics.

        Raises:
            RolloutConflict: somebody else changed the route since it was read.
        """
        if traffic.in_words() != route.traffic.in_words():
            self.log(traffic.in_words())
        changed = self._put(route, traffic, why)
        self.cluster.wait_routed(self.config)
        self._remember(traffic, changed)

    def withdraw(self, route: Route, to: int | None, why: str, outcome: str = ROLLED_BACK) -> int:
        """Give all requests back to a version in one write.

        Args:
            route: as it was read.
            to: that version; None for the one that held all requests last.
            why: for the record.
            outcome: `ROLLED_BACK`, or `INTERRUPTED` where nothing was found against a version.

        Returns:
            The version that serves now.

        Raises:
            InvalidSettings: there is nothing to go back to.
            NotReady: it is not ready.
            RolloutConflict: somebody else changed the route since it was read.
        """
        started = time.monotonic()
        traffic = route.traffic.back(self.ready_versions(), to)
        withdrawn = [version for version in route.traffic.serving if not traffic.weights[version]]
        changed = self._put(route, traffic, why)
        (target,) = traffic.serving
        self.log(f"all requests go to version {target} ({time.monotonic() - started:.1f} s)")
        self.cluster.wait_routed(self.config)
        self._remember(traffic, changed)
        for version in withdrawn:
            self.tag(version, outcome, why)
        self.tag(target, "serving", f"after a rollback: {why}")
        return target

    def check_unchanged(self, version: int, expected: Mapping[int, int]) -> Route:
        """The route, if all of this rollout's weights are still on it, and it is still the canary.

        Args:
            version: the canary.
            expected: per cent by version, as this rollout wrote or found them. Versions without
                any may come and go.

        Raises:
            RolloutConflict: somebody else wrote others.
        """
        route = self.route()
        if _shares(route.traffic.weights) != _shares(expected) or version == route.traffic.stable:
            raise RolloutConflict(
                "nobody else may change the weights while a rollout runs",
                f"it left {Traffic(expected).in_words()}, now: {route.traffic.in_words()}"
                f" ({route.changed.get('why', 'no reason given')})",
                "This rollout ends here and leaves the weights as they are",
            )
        return route

    def mark_running(self, version: int) -> None:
        """Note in the registry that a version runs, before it does.

        Raises:
            UnknownVersion: the registry has no such version.
            RegistryUnavailable: it cannot be reached, so that nobody would keep its features.
        """
        registry = self.connections.registry()
        if registry.version(str(version)).tags.get(RUNS) != "yes":
            registry.tag(str(version), {RUNS: "yes"})

    def mark_gone(self, version: int) -> None:
        """Take that back; where it cannot be, its features are kept for longer than they need be."""
        try:
            self.connections.registry().tag(str(version), {RUNS: "no"})
        except (Unavailable, UnknownVersion) as error:
            self.log(
                f"warning: the registry was not told that version {version} is gone, so its "
                f"features are kept: {error.found or error.rule}"
            )

    def tag(self, version: int, outcome: str, reason: str, *, unless: str = "") -> None:
        """Write a rollout's outcome into the registry; tried three times, a failure is logged."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        tags = {"rollout": outcome, "rollout_reason": reason[:4_000], "rollout_at": now}
        for left in (2, 1, 0):
            try:
                registry = self.connections.registry()
                if unless and registry.version(str(version)).tags.get("rollout") == unless:
                    return
                registry.tag(str(version), tags)
            except (Unavailable, UnknownVersion) as error:
                if left and isinstance(error, RegistryUnavailable):
                    time.sleep(2.0)
                    continue
                self.log(
                    f"warning: the registry was not told that version {version} is {outcome}: "
                    f"{error.found or error.rule}"
                )
            return

    def _put(self, route: Route, traffic: Traffic, why: str) -> Mapping[str, str]:
        """Write it, without a shadow that is overdue; the note that the route has of it."""
        now = datetime.now(UTC)
        if traffic.shadow is not None and traffic.shadow.overdue(now):
            traffic = traffic.unmirrored()
        if route.traffic.shadow is not None and traffic.shadow is None:
            self.log(f"version {route.traffic.shadow.version} gets no copies of requests any more")
        at = now.isoformat(timespec="milliseconds")
        changed = {"at": at, "why": why, **({"who": self.who} if self.who else {})}
        left_alone = self.cluster.write_route(self.config, route, traffic, changed)
        if left_alone:
            self.log(f"warning: gRPC's weights were left as they are: {left_alone}")
        return changed

    def _remember(self, traffic: Traffic, changed: Mapping[str, str]) -> None:
        """Tell Prometheus and the history of weights that users have by now."""
        self._push(traffic)
        try:
            self.record(traffic, changed)
        except BellwetherError as error:
            self.log(
                "warning: the rollout history does not have these weights, a new installation over "
                f"the same data would not restore them: {error.found or error.rule}"
            )

    def record(self, traffic: Traffic, changed: Mapping[str, str]) -> None:
        """Append a split that the route has to the rollout history, if it is known.

        Args:
            traffic: the split.
            changed: when, by whom and why it was written, as the route's annotation has it.

        Raises:
            InvalidSettings, Unavailable: the database does not take it, or is away.
            ClusterUnavailable: the versions that run cannot be seen.
        """
        if self.history is None:
            return
        running = self.cluster.services(self.config)
        digests = {
            version: read_version_spec(service).digest for version, service in running.items()
        }
        self.history.add(
            self.config.model,
            traffic,
            who=changed.get("who") or "unknown",
            why=changed.get("why", ""),
            digests=digests,
            at=_instant(changed.get("at", "")),
        )

    def _push(self, traffic: Traffic) -> None:
        try:
            url = self.connections.pushgateway()
            if url:
                samples = [
                    Sample(ROUTE_WEIGHT, (str(version),), float(weight))
                    for version, weight in traffic.weights.items()
                ]
                samples += [
                    Sample(ROUTE_RULE, (str(version),), float(place))
                    for version, place in rule_places(traffic).items()
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
            self.log(f"warning: the weights were not pushed as metrics: {error.found}")


def refuse_other_canary(traffic: Traffic, version: int) -> None:
    """Refuse to roll a version out beside another.

    Raises:
        RolloutConflict: another version is being rolled out.
    """
    others = [number for number in traffic.canaries if number != version]
    if others or (traffic.canaries and version == traffic.stable):
        busy = (others or list(traffic.canaries))[0]
        raise RolloutConflict(
            "one version is rolled out at a time",
            f"{traffic.in_words()}",
            f"Go on with bellwether rollout run {busy}, promote it, or "
            "withdraw it with bellwether rollout rollback",
        )


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None


def _shares(weights: Mapping[int, int]) -> dict[int, int]:
    return {version: weight for version, weight in weights.items() if weight}
