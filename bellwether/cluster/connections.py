"""Connections from here to Services of a cluster: direct in a pod of it, else through kubectl.

`service_of` is the one rule that says which Service an address names. A variable that names an
address always wins over what the cluster says.
"""

import base64
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from bellwether.cluster.installation import Installation
from bellwether.console import say
from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import RolloutConfig
from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.adapters.cluster.routes import ServicePort
from forecasting.adapters.http_client import Closing
from forecasting.adapters.monitoring.queries import Prometheus
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import BellwetherError, InvalidSettings, Unavailable
from forecasting.settings import Settings

if TYPE_CHECKING:
    from forecasting.adapters.workflows.client import Workflows
    from serving.rollout.evidence import Connections as RolloutConnections

ServiceExists = Callable[[str, str], bool]
"""Whether the cluster has a Service, by namespace and name."""


def service_of(url: str, namespace: str, exists: ServiceExists) -> ServicePort | None:
    """The Service that an address names, as pods of a namespace write it; None for any other host.

    name, name.namespace, name.namespace.svc and name.namespace.svc.cluster.local (or another
    cluster domain) are Services. A name of one or two labels may be a machine's or a public one as
    well, so the cluster is asked about it. Loopback and numeric addresses are never Services.

    Args:
        url: e.g. http://prometheus.monitoring:9090.
        namespace: of the pods, for names without one.
        exists: asked about ambiguous names alone.

    Raises:
        Unavailable: the cluster had to be asked and could not be.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    labels = host.split(".")
    if not all(labels) or host == "localhost" or _is_numeric(host):
        return None
    name, where = labels[0], labels[1] if len(labels) > 1 else namespace
    if len(labels) > 2 and labels[2] != "svc":
        return None
    if len(labels) <= 2 and not exists(where, name):
        return None
    return ServicePort(where, name, parts.port or (443 if parts.scheme == "https" else 80))


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def service_in(installation: Installation, url: str) -> ServicePort | None:
    """The Service of an installation's cluster that an address names; None for any other host.

    Raises:
        Unavailable: the cluster had to be asked and could not be.
    """

    def exists(namespace: str, name: str) -> bool:
        return installation.kubectl.exists("service", name, "--namespace", namespace)

    return service_of(url, installation.namespace, exists)


@dataclass
class Connections(Closing):
    """The `serving.rollout.evidence.Connections` of a command; forwards end with its context.

    Attributes:
        cluster: the release whose rollout.json names the addresses.
    """

    cluster: Cluster
    _forwards: dict[ServicePort, PortForward] = field(default_factory=dict)
    # By address: a forward that was opened again has another port.
    _registries: dict[str, RegistryReader] = field(default_factory=dict)
    _prometheuses: dict[str, Prometheus] = field(default_factory=dict)

    def close(self) -> None:
        """End the forwards and close the connections."""
        for client in (*self._registries.values(), *self._prometheuses.values()):
            client.close()
        for forward in self._forwards.values():
            forward.close()

    @cached_property
    def config(self) -> RolloutConfig:
        """The release's rollout.json, read once."""
        return self.cluster.config()

    def registry(self) -> RegistryReader:
        """BELLWETHER_REGISTRY_URL, else the registry's Service."""
        config = self.config
        service = ServicePort(self.cluster.namespace, config.registry_service, config.registry_port)
        url = os.environ.get("BELLWETHER_REGISTRY_URL") or self._address(service)
        if url not in self._registries:
            self._registries[url] = RegistryReader(url, config.model)
        return self._registries[url]

    def prometheus(self) -> Prometheus | None:
        """The Prometheus of rollout.json; None when it names none."""
        if not self.config.prometheus_url:
            return None
        url = self._reached(self.config.prometheus_url)
        if url not in self._prometheuses:
            self._prometheuses[url] = Prometheus(url)
        return self._prometheuses[url]

    def gateway(self) -> tuple[str, Mapping[str, str]]:
        """BELLWETHER_INFERENCE_URL, else the gateway's Service with the route's host name."""
        url = os.environ.get("BELLWETHER_INFERENCE_URL")
        if url:
            return url, {}
        route = self.cluster.route(self.config)
        host = {"host": route.hosts[0]} if route.hosts else {}
        return self._address(self.cluster.gateway_service(route)), host

    def ledger(self) -> str:
        """The ledger's database with its owner's login, as this process reaches it.

        Raises:
            InvalidSettings: the release does not say where it is, or has no Secret of it.
            Unavailable: the cluster does not let us, or a port cannot be forwarded.
        """
        config, namespace = self.config, self.cluster.namespace
        secret = config.ledger_secret and self.cluster.get(
            f"api/v1/namespaces/{namespace}/secrets/{config.ledger_secret}"
        )
        if not config.ledger_url or not secret:
            raise InvalidSettings(
                "it must be known where the ledger's database is",
                f"release {self.cluster.release} does not say, or Secret "
                f"{config.ledger_secret or 'of it'} is not there",
                "Upgrade it, or set BELLWETHER_PREDICTION_LOG_URL",
            )
        service = service_of(config.ledger_url, namespace, self.cluster.has_service)
        return with_login(
            config.ledger_url, secret.get("data", {}), self._address(service) if service else ""
        )

    def pushgateway(self) -> str:
        """The Pushgateway of rollout.json; "" when it names none."""
        url = self.config.pushgateway_url
        return self._reached(url) if url else ""

    def _reached(self, url: str) -> str:
        """An address as pods write it, as this process reaches it."""
        if self.cluster.inside:
            return url
        service = service_of(url, self.cluster.namespace, self.cluster.has_service)
        return f"{self._address(service)}{urlsplit(url).path}" if service else url

    def _address(self, target: ServicePort) -> str:
        if self.cluster.inside:
            return f"http://{target.service}.{target.namespace}:{target.port}"
        if target not in self._forwards:
            self._forwards[target] = PortForward(
                target.namespace, target.service, target.port, self.cluster.context
            )
        return self._forwards[target].address()


def known_ledger(connections: "RolloutConnections") -> tuple[str, str]:
    """BELLWETHER_PREDICTION_LOG_URL, else the ledger's database, and ""; else "" and why, in words."""
    if own := Settings().prediction_log_url:
        return own, ""
    try:
        return connections.ledger(), ""
    except BellwetherError as error:
        return "", str(error)


def with_login(url: str, secret: Mapping[str, str], local: str) -> str:
    """A database's address with the login that a Secret has.

    Args:
        url: SQLAlchemy URL without a login.
        secret: its data, in base64.
        local: http address on this machine that leads there; "" where the database is reached as it
            is named.
    """
    user, password = (
        quote(base64.b64decode(secret.get(key, "")).decode(), safe="")
        for key in ("username", "password")
    )
    parts = urlsplit(url)
    place, query = f"{parts.hostname}:{parts.port}", parts.query
    if local:
        there = urlsplit(local)
        # The name stays, as a certificate may be for it; libpq connects to hostaddr.
        place = f"{parts.hostname}:{there.port}"
        query = f"{query}&hostaddr={there.hostname}".lstrip("&")
    return f"{parts.scheme}://{user}:{password}@{place}{parts.path}?{query}"


def pipelines_url(installation: Installation) -> str:
    """Where an installation's settings say that Kubeflow Pipelines is; "" where Jobs train.

    Raises:
        Unavailable: the cluster cannot be asked, or has no such release.
    """
    settings = installation.objects("configmap", f"{installation.release}-settings")
    return str(settings["data"].get("BELLWETHER_PIPELINES_URL", ""))


def reached(installation: Installation, url: str, stack: ExitStack) -> str:
    """An address this machine can ask: a forward to a Service of the cluster, or the address itself.

    Args:
        installation: whose cluster the Service may be in.
        url: as pods write it.
        stack: ends the forward.

    Raises:
        Unavailable: kubectl cannot forward a port.
    """
    service = service_in(installation, url)
    if service is None:
        return url
    forward = PortForward(
        service.namespace, service.service, service.port, installation.kubectl.context
    )
    return f"{stack.enter_context(forward).address()}{urlsplit(url).path}"


def _release_pipelines(installation: Installation, stack: ExitStack) -> str:
    """The address of the Kubeflow Pipelines that a release trains on, as long as the stack is open.

    Raises:
        InvalidSettings: there is no such release, or Jobs train.
        Unavailable: kubectl cannot forward a port.
    """
    rule = "it must be known where Kubeflow Pipelines is"
    namespace, release = installation.namespace, installation.release
    try:
        url = pipelines_url(installation)
    except Unavailable as error:
        raise InvalidSettings(
            rule,
            f"BELLWETHER_PIPELINES_URL is not set, and no release tells: {error.found}",
            "Set it, or name the release: bellwether pipeline --context, --namespace, --release",
        ) from error
    if not url:
        raise InvalidSettings(
            rule,
            f"the trainings of release {release} in {namespace} are Jobs",
            f"kubectl -n {namespace} create job --from=cronjob/{release}-training now",
        )
    return reached(installation, url, stack)


@contextmanager
def opened_pipelines(
    installation: Installation, ready_within: float = 0.0
) -> Iterator["Workflows"]:
    """Kubeflow Pipelines as the settings name it, else as the release does.

    Args:
        installation: asked where no address is set.
        ready_within: seconds it may take to come up.

    Raises:
        InvalidSettings: neither the settings nor a release say where it is.
        Unavailable: kubectl cannot forward a port.
        WorkflowsUnavailable: it is not there.
    """
    from forecasting.adapters.workflows.client import Workflows
    from forecasting.settings import Settings

    with ExitStack() as stack:
        settings = Settings()
        if not settings.pipelines_url:
            address = _release_pipelines(installation, stack)
            settings = settings.model_copy(update={"pipelines_url": address})
        workflows = stack.enter_context(Workflows.of(settings))
        workflows.wait(ready_within, lambda found: say(f"[dim]waiting: {found}[/]"))
        yield workflows
