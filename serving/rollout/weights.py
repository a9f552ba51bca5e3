"""Writes a rollout's weights: on the route first, then as metrics and as tags in the registry."""

import time
from datetime import UTC, datetime
from pathlib import Path

from forecasting.adapters.cluster.routes import Route
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.errors import RegistryUnavailable, RolloutConflict, Unavailable, UnknownVersion
from forecasting.prometheus_metrics import ROUTE_WEIGHT
from forecasting.rollout.traffic import Traffic
from serving.rollout.evidence import RolloutPart


class RouteWeights(RolloutPart):
    """The weights on the route; registry and Pushgateway do not stop a rollout by failing."""

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
        self._put(route, traffic, why)
        self.cluster.wait_routed(self.config)
        self._push(traffic)

    def withdraw(self, route: Route, to: int | None, why: str) -> int:
        """Give all requests back to a version in one write.

        Args:
            route: as it was read.
            to: that version; None for the one that held all requests last.
            why: for the record.

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
        self._put(route, traffic, why)
        (target,) = traffic.serving
        self.log(f"all requests go to version {target} ({time.monotonic() - started:.1f} s)")
        self.cluster.wait_routed(self.config)
        self._push(traffic)
        for version in withdrawn:
            self.tag(version, "rolled back", why)
        self.tag(target, "serving", f"after a rollback: {why}")
        return target

    def check_unchanged(self, version: int, weight: int) -> Route:
        """The route, if this rollout's weights are still on it.

        Raises:
            RolloutConflict: they are not.
        """
        route = self.route()
        if route.traffic.weights.get(version, 0) != weight or version == route.traffic.stable:
            raise RolloutConflict(
                "nobody else may change the weights while a rollout runs",
                f"version {version} had {weight} %, now: {route.traffic.in_words()}"
                f" ({route.changed.get('why', 'no reason given')})",
                "This rollout ends here and leaves the weights as they are",
            )
        return route

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

    def _put(self, route: Route, traffic: Traffic, why: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        left_alone = self.cluster.write_route(self.config, route, traffic, {"at": at, "why": why})
        if left_alone:
            self.log(f"warning: gRPC's weights were left as they are: {left_alone}")

    def _push(self, traffic: Traffic) -> None:
        try:
            url = self.connections.pushgateway()
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
            self.log(f"warning: the weights were not pushed as metrics: {error.found}")
