"""Model versions and their routes on Kubernetes, read and written as plain objects.

One writer per object: InferenceServices, their disruption budgets and the rules of the routes are
written here alone, by server-side apply. The rules are written against the version of the route
they were decided on, so of two writers at once one wins and the other is told.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forecasting.adapters.cluster.manifests import (
    CHANGED,
    HELD,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    Object,
    RolloutConfig,
    Wanted,
    disruption_budget,
    grpc_rules,
    http_rules,
    inference_service,
    read_traffic,
    service_name,
)
from forecasting.adapters.cluster.readiness import Seen, Trouble, trouble
from forecasting.errors import ClusterUnavailable, InvalidSettings, NotReady, RolloutConflict
from forecasting.rollout.traffic import Traffic

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER: Final = "bellwether-rollout"
_TIMEOUT: Final = 15.0
_TRIES: Final = 5
_APPLY: Final = "application/apply-patch+yaml"
_KSERVE: Final = "apis/serving.kserve.io/v1beta1"
_GATEWAY: Final = "apis/gateway.networking.k8s.io/v1"
_OWNER: Final = "gateway.envoyproxy.io/owning-gateway"


@dataclass(frozen=True)
class Route:
    """The HTTPRoute as it was read.

    Attributes:
        traffic: the split in its rules.
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


class Cluster:
    """One release in one namespace.

    Args:
        namespace: where the release is.
        release: name of the Helm release.
        context: of the kubeconfig; "" for the current one, or the pod's own token inside a pod.
    """

    def __init__(self, namespace: str, release: str, *, context: str = "") -> None:
        self.namespace = namespace
        self.release = release
        self.context = context
        self._opened: ApiClient | None = None

    @property
    def inside(self) -> bool:
        """Whether we run in a pod of the cluster."""
        return not self.context and "KUBERNETES_SERVICE_HOST" in os.environ

    @property
    def fullname(self) -> str:
        """What the chart's names begin with."""
        return self.release if "bellwether" in self.release else f"{self.release}-bellwether"

    def close(self) -> None:
        """Let go of the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def config(self) -> RolloutConfig:
        """What Helm says about rollouts.

        Raises:
            InvalidSettings: the release is not there, or its ConfigMap cannot be read.
            ClusterUnavailable: the cluster cannot be reached.
        """
        name = f"{self.fullname}-rollout"
        found = self._get(f"api/v1/namespaces/{self.namespace}/configmaps/{name}")
        if found is None:
            raise InvalidSettings(
                "the release must be installed",
                f"namespace {self.namespace} has no ConfigMap {name}",
                "Install the chart, or name the release with --namespace and --release",
            )
        return RolloutConfig.parse(name, found.get("data") or {})

    # versions

    def services(self, config: RolloutConfig) -> dict[int, Object]:
        """The InferenceService of every version, by number."""
        found = self._items(
            f"{self._isvcs}", labelSelector=f"{MODEL}={config.model},{MODEL_VERSION}"
        )
        return {int(one["metadata"]["labels"][MODEL_VERSION]): one for one in found}

    def ready(self, config: RolloutConfig) -> dict[int, int]:
        """How many ready endpoints every version has."""
        return {
            version: self._seen(config, version, service).ready_endpoints
            for version, service in self.services(config).items()
        }

    def seen(self, config: RolloutConfig, version: int) -> Seen | None:
        """What the cluster has of a version; None when it has no InferenceService."""
        service = self._get(f"{self._isvcs}/{service_name(config.model, version)}")
        return None if service is None else self._seen(config, version, service)

    def trouble(self, seen: Seen) -> Trouble:
        """Why it is not ready."""
        return trouble(seen, self._log)

    def apply_version(self, config: RolloutConfig, wanted: Wanted) -> None:
        """Make a version run as the template says; what belongs to it goes with it.

        Raises:
            InvalidSettings: the cluster refuses it, e.g. KServe's webhook does.
            ClusterUnavailable: the cluster cannot be reached, or does not let us.
        """
        made = inference_service(config, wanted, self.namespace)
        name = made["metadata"]["name"]
        service = self._apply(f"{self._isvcs}/{name}", made)
        if budget := disruption_budget(config, service):
            budgets = f"apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
            self._apply(f"{budgets}/{name}", budget)

    def delete_version(
        self, config: RolloutConfig, version: int, *, patience: float = 120.0
    ) -> None:
        """Delete a version and what KServe leaves behind of it; wait until its pods are gone.

        KServe leaves autoscalers; routes it makes none, for our versions are cluster-local.

        Raises:
            NotReady: it is not gone in time.
        """
        name = service_name(config.model, version)
        deadline = time.monotonic() + patience
        self._delete(f"{self._isvcs}/{name}")
        selector = f"{INFERENCE_SERVICE}={name}"
        pods = f"api/v1/namespaces/{self.namespace}/pods"
        while self._get(f"{self._isvcs}/{name}") or self._items(pods, labelSelector=selector):
            if time.monotonic() > deadline:
                raise NotReady(
                    "a deleted version must be gone",
                    f"{name} still has pods after {patience:.0f} s",
                    f"kubectl -n {self.namespace} get isvc,pods -l {selector}",
                )
            time.sleep(1.0)
        scalers = f"apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        self._delete(f"{scalers}/{name}-predictor")

    def service_ports(self, config: RolloutConfig, version: int) -> set[int]:
        """Ports of the Service that KServe makes for a version."""
        name = f"{service_name(config.model, version)}-predictor"
        found = self._get(f"api/v1/namespaces/{self.namespace}/services/{name}")
        return {int(port["port"]) for port in (found or {}).get("spec", {}).get("ports", [])}

    # the routes

    def route(self, config: RolloutConfig) -> Route:
        """The HTTPRoute.

        Raises:
            InvalidSettings: there is none.
        """
        found = self._route(config.route)
        metadata, spec = found["metadata"], found["spec"]
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
        traffic = read_traffic(found, config.model)
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
            found = self._route(config.route)
            said = _not_taken(found)
            if not said:
                return
            if time.monotonic() > deadline:
                raise NotReady(
                    "the gateway must take the route",
                    f"HTTPRoute {config.route}: {said}",
                    f"kubectl -n {self.namespace} describe httproute {config.route}",
                )
            time.sleep(0.25)

    def gateway_service(self, route: Route) -> ServicePort:
        """The Service before the gateway's proxies, as Envoy Gateway labels it.

        Raises:
            NotReady: there is none.
        """
        namespace, name, section = route.gateway
        gateway = self._get(f"{_GATEWAY}/namespaces/{namespace}/gateways/{name}")
        listeners = (gateway or {}).get("spec", {}).get("listeners", [])
        port = next(
            (
                int(one["port"])
                for one in listeners
                if one.get("protocol") == "HTTP" and section in {"", one.get("name")}
            ),
            None,
        )
        selector = f"{_OWNER}-name={name},{_OWNER}-namespace={namespace}"
        found = self._items("api/v1/services", labelSelector=selector)
        if port is None or not found:
            raise NotReady(
                "the gateway's own Service must be found",
                f"Gateway {namespace}/{name} has "
                f"{'no HTTP listener' if port is None else 'no Service labelled by Envoy Gateway'}",
                "Set BELLWETHER_INFERENCE_URL to an address that leads to the route",
            )
        metadata = found[0]["metadata"]
        return ServicePort(str(metadata["namespace"]), str(metadata["name"]), port)

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is a Service of that name."""
        return self._get(f"api/v1/namespaces/{namespace}/services/{name}") is not None

    # the wire

    @property
    def _isvcs(self) -> str:
        return f"{_KSERVE}/namespaces/{self.namespace}/inferenceservices"

    def _seen(self, config: RolloutConfig, version: int, service: Object) -> Seen:
        name = service_name(config.model, version)
        core = f"api/v1/namespaces/{self.namespace}"
        apps = f"apis/apps/v1/namespaces/{self.namespace}"
        slices = f"apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        return Seen(
            service=service,
            deployment=self._get(f"{apps}/deployments/{name}-predictor"),
            pods=self._items(f"{core}/pods", labelSelector=f"{INFERENCE_SERVICE}={name}"),
            endpoints=self._items(
                slices, labelSelector=f"kubernetes.io/service-name={name}-predictor"
            ),
        )

    def _route(self, name: str) -> Object:
        found = self._get(f"{_GATEWAY}/namespaces/{self.namespace}/httproutes/{name}")
        if found is None:
            raise InvalidSettings(
                "the chart must have made the route",
                f"namespace {self.namespace} has no HTTPRoute {name}",
                "Install or upgrade the chart",
            )
        return found

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
            "annotations": {
                HELD: ",".join(map(str, traffic.held)),
                CHANGED: json.dumps(changed, sort_keys=True),
            },
        }
        if revision:
            metadata["resourceVersion"] = revision
        path = f"{_GATEWAY}/namespaces/{self.namespace}/{kind.lower()}s/{name}"
        body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata}
        self._apply(path, {**body, "spec": {"rules": rules}})

    def _without_grpc(self, config: RolloutConfig, traffic: Traffic) -> str:
        """What keeps the GRPCRoute from being written; "" when nothing does, or none is wanted."""
        if not config.grpc_route:
            return ""
        path = f"{_GATEWAY}/namespaces/{self.namespace}/grpcroutes/{config.grpc_route}"
        if self._get(path) is None:
            return f"there is no GRPCRoute {config.grpc_route}"
        lacking = [
            one
            for one in traffic.weights
            if config.grpc_port not in self.service_ports(config, one)
        ]
        numbers = ", ".join(map(str, lacking))
        return f"no gRPC port {config.grpc_port} at version {numbers}" if lacking else ""

    def _log(self, pod: str, container: str) -> str:
        path = f"api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        try:
            return self._call("GET", path, query={"container": container, "tailLines": "40"})
        except (ClusterUnavailable, InvalidSettings):
            return ""  # a container that never started has no log

    def _get(self, path: str) -> Object | None:
        try:
            found: Object = json.loads(self._call("GET", path))
        except _Missing:
            return None
        return found

    def _items(self, path: str, **query: str) -> list[Object]:
        try:
            return list(json.loads(self._call("GET", path, query=query)).get("items") or [])
        except _Missing:
            return []

    def _apply(self, path: str, body: Object) -> Object:
        query = {"fieldManager": MANAGER, "force": "true"}
        applied: Object = json.loads(self._call("PATCH", path, query=query, body=body))
        return applied

    def _delete(self, path: str) -> None:
        try:
            self._call("DELETE", path, query={"propagationPolicy": "Background"})
        except _Missing:
            return

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> str:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = _APPLY
        client = self._client()
        try:
            response = client.call_api(
                f"/{path}",
                method,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT,
            )
            return bytes(response.data).decode()
        except ApiException as error:
            said = error.body or error.reason or ""
            text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise _in_words(int(error.status), text, path) from error
        except (HTTPError, OSError) as error:
            raise ClusterUnavailable(
                "the Kubernetes API must be reachable",
                f"{client.configuration.host}: {error}",
                "Check the cluster and the kubeconfig's context",
            ) from error

    def _client(self) -> "ApiClient":
        if self._opened is None:
            from kubernetes import config
            from kubernetes.client import ApiClient, Configuration

            settings = Configuration()
            try:
                if self.inside:
                    config.load_incluster_config(client_configuration=settings)
                else:
                    config.load_kube_config(
                        context=self.context or None, client_configuration=settings
                    )
            except config.ConfigException as error:
                raise InvalidSettings(
                    "a kubeconfig or a pod's token must lead to the cluster",
                    str(error),
                    "Set KUBECONFIG, or name a context with --context",
                ) from error
            self._opened = ApiClient(settings)
        return self._opened


class _Missing(Exception):
    """The API server has no such object."""


def _in_words(status: int, body: str, path: str) -> Exception:
    try:
        said = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        said = body[:300]
    if status == 404:
        return _Missing(said)
    if status == 409:
        return RolloutConflict(
            "of two writers at once only one may change who gets the requests",
            said,
            "Look with `bellwether rollout status`, then decide again",
        )
    if status in {401, 403} and "exceeded quota" not in said:
        return ClusterUnavailable(
            "Kubernetes must let us", said, "Use a context or service account with the rights"
        )
    if 400 <= status < 500:
        return InvalidSettings(
            "Kubernetes must accept what the rollout writes",
            f"{path.rpartition('/')[2]}: {said}",
            "Correct the chart's values that make the template",
        )
    return ClusterUnavailable(
        "the Kubernetes API must answer",
        f"{status}: {said}",
        "Try again in a moment; a webhook that is down (KServe's) answers like this, too",
    )


def _not_taken(route: Object) -> str:
    """Why the gateway has not taken the newest rules; "" when it has."""
    generation = route["metadata"].get("generation")
    parents = route.get("status", {}).get("parents") or []
    if not parents:
        return "no gateway has looked at it"
    for parent in parents:
        conditions = {one["type"]: one for one in parent.get("conditions") or []}
        for kind in ("Accepted", "ResolvedRefs"):
            one = conditions.get(kind)
            if one is None or one.get("observedGeneration") != generation:
                return "the gateway has not read the newest rules yet"
            if one.get("status") != "True":
                return f"{one.get('reason', kind)}: {one.get('message', '')}"
    return ""
