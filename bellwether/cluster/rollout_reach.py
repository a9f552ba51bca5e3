"""Ways from here to what a rollout talks to: direct inside the cluster, else through kubectl.

A variable that names an address always wins.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from forecasting.adapters.closing import Closing
from forecasting.adapters.cluster.cluster import Cluster, ServicePort
from forecasting.adapters.cluster.manifests import RolloutConfig
from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.adapters.monitoring.queries import Prometheus
from forecasting.adapters.registry.reader import RegistryReader


@dataclass
class OpenWays(Closing):
    """A `serving.rollout.rollout.Reach` whose forwards end with its context."""

    cluster: Cluster
    _forwards: dict[ServicePort, PortForward] = field(default_factory=dict)
    _registry: tuple[str, RegistryReader] | None = None
    _prometheus: tuple[str, Prometheus] | None = None
    _config: RolloutConfig | None = None

    def close(self) -> None:
        """End the forwards and let go of the connections."""
        if self._registry is not None:
            self._registry[1].close()
        if self._prometheus is not None:
            self._prometheus[1].close()
        for forward in self._forwards.values():
            forward.close()

    @property
    def config(self) -> RolloutConfig:
        """What Helm says about rollouts, read once."""
        if self._config is None:
            self._config = self.cluster.config()
        return self._config

    def registry(self) -> RegistryReader:
        """BELLWETHER_REGISTRY_URL, else the registry's Service."""
        config = self.config
        service = ServicePort(self.cluster.namespace, config.registry_service, config.registry_port)
        url = os.environ.get("BELLWETHER_REGISTRY_URL") or self._address(service)
        if self._registry is None or self._registry[0] != url:
            if self._registry is not None:
                self._registry[1].close()
            self._registry = (url, RegistryReader(url, config.model))
        return self._registry[1]

    def prometheus(self) -> Prometheus | None:
        """The one of rollout.json."""
        said = self.config.prometheus_url
        if not said:
            return None
        url = self._reached(said)
        if self._prometheus is None or self._prometheus[0] != url:
            if self._prometheus is not None:
                self._prometheus[1].close()
            self._prometheus = (url, Prometheus(url))
        return self._prometheus[1]

    def gateway(self) -> tuple[str, Mapping[str, str]]:
        """BELLWETHER_INFERENCE_URL, else the gateway's Service with the route's host name."""
        url = os.environ.get("BELLWETHER_INFERENCE_URL")
        if url:
            return url, {}
        route = self.cluster.route(self.config)
        host = {"host": route.hosts[0]} if route.hosts else {}
        return self._address(self.cluster.gateway_service(route)), host

    def pushgateway(self) -> str:
        """The one of rollout.json."""
        said = self.config.pushgateway_url
        return self._reached(said) if said else ""

    def _reached(self, url: str) -> str:
        """An address as pods write it (http://name.namespace:port), as we reach it."""
        if self.cluster.inside:
            return url
        parts = urlsplit(url)
        name, _, rest = (parts.hostname or "").partition(".")
        namespace = rest.partition(".")[0] or self.cluster.namespace
        if not self.cluster.has_service(namespace, name):
            return url
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{self._address(ServicePort(namespace, name, port))}{parts.path}"

    def _address(self, target: ServicePort) -> str:
        if self.cluster.inside:
            return f"http://{target.service}.{target.namespace}:{target.port}"
        if target not in self._forwards:
            self._forwards[target] = PortForward(
                target.namespace, target.service, target.port, self.cluster.context
            )
        return self._forwards[target].address()
