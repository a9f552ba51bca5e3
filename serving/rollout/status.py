"""Reads where a rollout stands: versions, weights set and observed, and what the registry chose."""

from collections.abc import Mapping
from dataclasses import dataclass

from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import read_wanted
from forecasting.adapters.registry.reader import CHAMPION
from forecasting.errors import BellwetherError
from serving.rollout.evidence import Connections, Evidence, Log


@dataclass(frozen=True)
class VersionStatus:
    """One version in `Status`; None where it could not be seen."""

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


def read_status(cluster: Cluster, connections: Connections, log: Log) -> Status:
    """Where things stand; a registry or Prometheus that is down becomes a remark.

    Raises:
        ClusterUnavailable: the cluster cannot be asked.
    """
    config = connections.config
    remarks: list[str] = []
    route = cluster.route(config)
    aliases: Mapping[str, str] = {}
    try:
        aliases = connections.registry().aliases()
    except BellwetherError as error:
        remarks.append(f"registry not seen: {error.found or error.rule}")
    services = cluster.services(config)
    shares: dict[int, float] = {}
    try:
        shares = Evidence(cluster, connections, log).shares(services)
    except BellwetherError as error:
        remarks.append(f"observed split not seen: {error.found or error.rule}")
    names = {int(number): alias for alias, number in aliases.items()}
    versions = []
    for version in sorted({*services, *route.traffic.weights}, reverse=True):
        state = cluster.seen(config, version)
        if state is None:
            remarks.append(f"version {version} is on the route and does not run")
            continue
        manifest = read_wanted(state.service)
        versions.append(
            VersionStatus(
                version=version,
                kind=manifest.kind,
                digest=manifest.digest,
                endpoints=state.ready_endpoints,
                replicas=int((state.deployment or {}).get("status", {}).get("replicas", 0)),
                settled=state.settled,
                weight=route.traffic.weights.get(version),
                share=shares.get(version),
                alias=names.get(version, ""),
                trouble="" if state.settled else cluster.trouble(state).found,
            )
        )
    champion, stable = aliases.get(CHAMPION, ""), route.traffic.stable
    if champion and champion != str(stable or ""):
        remarks.append(
            f"the evidence chose version {champion} (champion); "
            f"users get {route.traffic.in_words() or 'nothing'}"
        )
    return Status(tuple(versions), stable, champion, route.changed, tuple(remarks))
