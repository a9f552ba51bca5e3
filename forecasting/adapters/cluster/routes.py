"""Reads and writes the route that splits requests among model versions.

The rules are written against the version of the route they were decided on, so of two writers at
once one wins and the other is told.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forecasting.adapters.cluster.api import KubernetesApi
from forecasting.adapters.cluster.manifests import Object, RolloutConfig, service_name
from forecasting.adapters.cluster.readiness import condition
from forecasting.adapters.cluster.route_rules import (
    CHANGED,
    annotations,
    grpc_rules,
    http_rules,
    read_traffic,
)
from forecasting.errors import InvalidSettings, NotReady, RolloutConflict
from forecasting.rollout.traffic import Traffic

_TRIES: Final = 5
_GATEWAY: Final = "apis/gateway.networking.k8s.io/v1"
_OWNER: Final = "gateway.envoyproxy.io/owning-gateway"


@dataclass(frozen=True)
class Route:
    """The HTTPRoute as it was read.

    Attributes:
        traffic: the split in its rules, and who gets copies.
        changed: when and why it was last written, e.g. {"at": ..., "why": ...}.
        hosts: names it answers to.
        gateway: namespace, name and listener of its gateway; the listener may be "".
        revision: its resourceVersion.
    """

    traffic: Traffic
    changed: Mapping[str, str]
    hosts: tuple[str, ...]
    gateway: tuple[str, str, str]
    revision: str


@dataclass(frozen=True)
class ServicePort:
    """A port of a Service."""

    namespace: str
    service: str
    port: int


class Routes(KubernetesApi):
    """The routes of a release, and the Services behind them.

    Args: as `KubernetesApi`.
    """

    def route(self, config: RolloutConfig) -> Route:
        """The HTTPRoute.

        Raises:
            InvalidSettings: there is none.
        """
        route = self._route(config.route)
        metadata, spec = route["metadata"], route["spec"]
        try:
            changed = json.loads(metadata.get("annotations", {}).get(CHANGED, "{}"))
        except ValueError:
            changed = {}
        parent = (spec.get("parentRefs") or [{}])[0]
        gateway = (
            str(parent.get("namespace", self.namespace)),
            str(parent.get("name", "")),
            str(parent.get("sectionName", "")),
        )
        hosts = tuple(map(str, spec.get("hostnames") or ()))
        traffic = read_traffic(route, config.model)
        return Route(traffic, changed, hosts, gateway, str(metadata["resourceVersion"]))

    def write_route(
        self, config: RolloutConfig, old: Route, new: Traffic, changed: Mapping[str, str]
    ) -> str:
        """Write the split in one go, if the route still is as it was read; then gRPC's alike.

        Returns:
            Why gRPC's route was left alone, or "".

        Raises:
            RolloutConflict: somebody else wrote it in between; nothing was written.
        """
        rules = http_rules(new, config.model, config.service_port)
        revision = old.revision
        for left in range(_TRIES, 0, -1):
            try:
                self._write_rules("HTTPRoute", config.route, revision, rules, new, changed)
                break
            except RolloutConflict:
                now = self.route(config)
                # The gateway writes the route's status, which is no decision of anybody.
                same = (now.traffic, now.changed) == (old.traffic, old.changed)
                if not same or left == 1:
                    raise
                revision = now.revision
        lacking = self._without_grpc(config, new)
        if config.grpc_route and not lacking:
            rules = grpc_rules(new, config.model, config.grpc_port)
            self._write_rules("GRPCRoute", config.grpc_route, "", rules, new, changed)
        return lacking

    def wait_routed(self, config: RolloutConfig, *, patience: float = 30.0) -> None:
        """Wait until the gateway has taken the rules.

        Raises:
            NotReady: it refuses them, or does not take them in time.
        """
        deadline = time.monotonic() + patience
        while True:
            route = self._route(config.route)
            reason = _pending_reason(route)
            if not reason:
                return
            if time.monotonic() > deadline:
                raise NotReady(
                    "the gateway must take the route",
                    f"HTTPRoute {config.route}: {reason}",
                    f"kubectl -n {self.namespace} describe httproute {config.route}",
                )
            time.sleep(0.25)

    def gateway_service(self, route: Route) -> ServicePort:
        """The Service before the gateway's proxies, as Envoy Gateway labels it.

        Raises:
            NotReady: there is none.
        """
        namespace, name, section = route.gateway
        gateway = self.get(f"{_GATEWAY}/namespaces/{namespace}/gateways/{name}")
        listeners = (gateway or {}).get("spec", {}).get("listeners", [])
        port = next(
            (
                int(listener["port"])
                for listener in listeners
                if listener.get("protocol") == "HTTP" and section in {"", listener.get("name")}
            ),
            None,
        )
        selector = f"{_OWNER}-name={name},{_OWNER}-namespace={namespace}"
        services = self.items("api/v1/services", labelSelector=selector)
        if port is None or not services:
            raise NotReady(
                "the gateway's own Service must be found",
                f"Gateway {namespace}/{name} has "
                f"{'no HTTP listener' if port is None else 'no Service labelled by Envoy Gateway'}",
                "Set BELLWETHER_INFERENCE_URL to an address that leads to the route",
            )
        metadata = services[0]["metadata"]
        return ServicePort(str(metadata["namespace"]), str(metadata["name"]), port)

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is a Service of that name."""
        return self.get(f"api/v1/namespaces/{namespace}/services/{name}") is not None

    def _route(self, name: str) -> Object:
        route = self.get(f"{_GATEWAY}/namespaces/{self.namespace}/httproutes/{name}")
        if route is None:
            raise InvalidSettings(
                "the chart must have made the route",
                f"namespace {self.namespace} has no HTTPRoute {name}",
                "Install or upgrade the chart",
            )
        return route

    def _service_ports(self, config: RolloutConfig, version: int) -> set[int]:
        """Ports of the Service that KServe makes for a version."""
        name = f"{service_name(config.model, version)}-predictor"
        service = self.get(f"api/v1/namespaces/{self.namespace}/services/{name}")
        return {int(port["port"]) for port in (service or {}).get("spec", {}).get("ports", [])}

    def _write_rules(
        self,
        kind: str,
        name: str,
        revision: str,
        rules: list[Object],
        traffic: Traffic,
        changed: Mapping[str, str],
    ) -> None:
        metadata: Object = {
            "name": name,
            "namespace": self.namespace,
            "annotations": annotations(traffic, changed),
        }
        if revision:
            metadata["resourceVersion"] = revision
        path = f"{_GATEWAY}/namespaces/{self.namespace}/{kind.lower()}s/{name}"
        body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata}
        self.apply(path, {**body, "spec": {"rules": rules}})

    def _without_grpc(self, config: RolloutConfig, traffic: Traffic) -> str:
        """What keeps the GRPCRoute from being written; "" when nothing does, or none is wanted."""
        if not config.grpc_route:
            return ""
        path = f"{_GATEWAY}/namespaces/{self.namespace}/grpcroutes/{config.grpc_route}"
        if self.get(path) is None:
            return f"there is no GRPCRoute {config.grpc_route}"
        lacking = [
            version
            for version in traffic.weights
            if config.grpc_port not in self._service_ports(config, version)
        ]
        numbers = ", ".join(map(str, lacking))
        return f"no gRPC port {config.grpc_port} at version {numbers}" if lacking else ""


def _pending_reason(route: Object) -> str:
    """Why the gateway has not taken the newest rules; "" when it has."""
    generation = route["metadata"].get("generation")
    parents = route.get("status", {}).get("parents") or []
    if not parents:
        return "no gateway has looked at it"
    for parent in parents:
        for kind in ("Accepted", "ResolvedRefs"):
            reported = condition(parent, kind)
            if reported.get("observedGeneration") != generation:
                return "the gateway has not read the newest rules yet"
            if reported.get("status") != "True":
                return f"{reported.get('reason', kind)}: {reported.get('message', '')}"
    return ""
