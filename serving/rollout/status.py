"""Reads where a rollout stands: versions, weights set and observed, and what the registry chose."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import read_version_spec
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError, BundleRejected, UnknownVersion
from forecasting.rollout.traffic import Shadow, Traffic
from serving.rollout.approval import ApprovalGate
from serving.rollout.evidence import Connections, Evidence, Log
from serving.rollout.shadow import STOP
from serving.rollout.signed import SignedVersions
from serving.rollout.verdict import DESPITE_TAG


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
        signatures: whether versions are verified, and by which keys.
        shadow: who gets copies of the requests; None for nobody.
    """

    versions: tuple[VersionStatus, ...]
    stable: int | None
    champion: str
    changed: Mapping[str, str]
    remarks: tuple[str, ...]
    signatures: str = ""
    shadow: Shadow | None = None


def read_status(
    cluster: Cluster, connections: Connections, log: Log, gate: ApprovalGate | None = None
) -> Status:
    """Where things stand; a registry or Prometheus that is down becomes a remark.

    Args:
        cluster: where versions run and the route is.
        connections: to the rest.
        log: told what goes on.
        gate: knows which versions wait for a person; None where only the rest is asked for.

    Raises:
        ClusterUnavailable: the cluster cannot be asked.
    """
    config = connections.config
    remarks: list[str] = []
    route = cluster.route(config)
    aliases: Mapping[str, str] = {}
    try:
        aliases = connections.registry().aliases()
        remarks += _despite(connections.registry(), route.traffic.serving)
    except BellwetherError as error:
        remarks.append(f"registry not seen: {error.found or error.rule}")
    services = cluster.services(config)
    shares: dict[int, float] = {}
    try:
        shares = Evidence(cluster, connections, log).shares(services)
    except BellwetherError as error:
        remarks.append(f"observed split not seen: {error.found or error.rule}")
    signed = SignedVersions(config, None)
    names = {int(number): alias for alias, number in aliases.items()}
    versions = []
    for version in sorted({*services, *route.traffic.weights}, reverse=True):
        state = cluster.version_state(config, version)
        if state is None:
            remarks.append(f"version {version} is on the route and does not run")
            continue
        manifest = read_version_spec(state.service)
        try:
            signed.check_running(manifest)
        except BundleRejected as error:
            remarks.append(f"{error}; then bellwether rollout sync, or delete version {version}")
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
    remarks += _asked_and_known(connections, aliases.get(CHAMPION, ""))
    champion, stable = aliases.get(CHAMPION, ""), route.traffic.stable
    if champion and champion != str(stable or ""):
        remarks.append(
            f"the evidence chose version {champion} (champion); "
            f"users get {route.traffic.in_words() or 'nothing'}"
        )
    shadow = route.traffic.shadow
    if shadow is not None:
        remarks.append(_shadow(shadow))
    if gate is not None and champion:
        remarks += _approval(connections.registry(), gate, route.traffic, champion)
    said = signed.in_words()
    return Status(tuple(versions), stable, champion, route.changed, tuple(remarks), said, shadow)


def _approval(
    registry: RegistryReader, gate: ApprovalGate, traffic: Traffic, champion: str
) -> Iterator[str]:
    """Whether the champion waits for a person, or was approved and not rolled out yet."""
    version = int(champion)
    if not gate.concerns(traffic, version):
        return
    try:
        yield gate.in_words(traffic, version, registry.version(champion).checked_digest)
    except BellwetherError as error:
        yield f"whether version {version} is approved is not seen: {error}"


def _shadow(shadow: Shadow) -> str:
    """Who gets copies, and whether they should have ended by now."""
    if shadow.overdue(utc_now()):
        return f"{shadow.in_words()}; nobody ended them. End them: {STOP}"
    if shadow.until is None:
        return f"{shadow.in_words()}; the route does not say for how long. End them: {STOP}"
    return f"{shadow.in_words()}; {STOP} ends them"


def _despite(registry: RegistryReader, serving: Collection[int]) -> Iterator[str]:
    """Versions with requests that their evaluation refused, and why they have them."""
    for version in serving:
        try:
            reason = registry.version(str(version)).tags.get(DESPITE_TAG)
        except UnknownVersion:
            yield f"version {version} has requests and is not in the registry any more"
            continue
        if reason:
            yield f"version {version} has requests despite its verdict: {reason}"


def _asked_and_known(connections: Connections, champion: str) -> list[str]:
    """Where the values ask for other prices than the champion knows, and what that means."""
    if not champion:
        return []
    try:
        registry = connections.registry()
        record = registry.version(champion)
        known = registry.specification(record).symbols
    except BellwetherError as error:
        return [f"symbols of version {champion} not seen: {error.found or error.rule}"]
    asked = connections.config.asked
    return list(asked.differences(f"champion v{champion}", record.dataset, known))
