"""What our pods are connected to, read from their own kernels' tables while they work.

    with Watch(cluster) as watch:
        ...
    watch.report.refused(policies)

In every container of ours a small Python program first says what the container may do (user,
token, capabilities), then reads /proc/net/{tcp,tcp6,udp,udp6} twenty times a second and says each
line it has not seen, until its standard input is closed. Closed TCP connections stay there for a minute on the side that closed them,
so short ones are not missed.
"""

import ipaddress
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.e2e.cluster import Cluster
from tests.e2e.network import End, Policies
from tests.time_limits import seconds

LISTEN, TIME_WAIT = "0A", "06"

PROGRAM = """
import json, os, sys, threading, time
def leave():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=leave, daemon=True).start()
def text(path):
    with open(path, errors="replace") as file:
        return file.read()
def writable(folder):
    try:
        with open(os.path.join(folder, "probe"), "x"):
            os.unlink(os.path.join(folder, "probe"))
            return True
    except OSError:
        return False
status = dict(line.split(":\\t", 1) for line in text("/proc/self/status").splitlines() if ":\\t" in line)
commands = []
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        commands.append(text(f"/proc/{process}/cmdline").replace("\\0", " ").strip())
    except OSError:
        pass
facts = {
    "user": os.getuid(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip() == "1",
    "filtered": status["Seccomp"].strip() == "2",
    "writable": [one for one in ("/", "/app", "/usr/local/bin", "/etc", "/mnt/models") if writable(one)],
    "commands": commands,
}
print(json.dumps(facts), flush=True)
seen = set()
first = True
end = time.monotonic() + 600
while time.monotonic() < end:
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            lines = text(f"/proc/net/{table}").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, remote, state, *_ = line.split()
            row = f"{table} {local} {remote} {state}"
            if row not in seen:
                seen.add(row)
                print("before" if first else "during", row, flush=True)
    first = False
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class Row:
    """One line of the kernel's table."""

    protocol: str
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str


def parse(line: str) -> Row:
    """A table's name, local and remote end, and state, as PROGRAM says them."""
    table, local, remote, state = line.split()
    ends = [_end(one) for one in (local, remote)]
    return Row(table.rstrip("6").upper(), *ends[0], *ends[1], state)


def _end(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    # The kernel writes each 32-bit word with its bytes turned round.
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    found = ipaddress.ip_address(b"".join(words))
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found), int(port, 16)


@dataclass
class Inside:
    """One container, as seen from inside.

    Attributes:
        pod: the object.
        container: its name.
        facts: what PROGRAM said first; empty where it could not run.
        rows: connections; True beside those that were there at the first look.
    """

    pod: Any
    container: str
    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[bool, Row]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.pod['metadata']['name']}/{self.container}"


@dataclass
class Network:
    """Who has which address: pods (also those that were), Services, the node."""

    pods: dict[str, Any] = field(default_factory=dict)
    services: dict[str, Any] = field(default_factory=dict)
    slices: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)

    def look(self, cluster: Cluster) -> None:
        """Note who is there now, beside those who were."""
        everything = json.loads(
            cluster.kubectl(
                *("get", "pods,services,endpointslices,nodes,namespaces"),
                *("--all-namespaces", "--output=json"),
            )
        )["items"]
        kinds: dict[str, list[Any]] = {}
        for one in everything:
            kinds.setdefault(one["kind"], []).append(one)
        self.pods |= {pod["metadata"]["uid"]: pod for pod in kinds["Pod"]}
        self.slices |= {one["metadata"]["uid"]: one for one in kinds["EndpointSlice"]}
        self.services |= {one["metadata"]["uid"]: one for one in kinds["Service"]}
        self.nodes = kinds["Node"]
        self.namespaces = {
            one["metadata"]["name"]: one["metadata"]["labels"] for one in kinds["Namespace"]
        }

    def end(self, address: str) -> End:
        """Who has this address."""
        node = any(
            one["address"] == address
            for node in self.nodes
            for one in [
                *node["status"]["addresses"],
                # The node's own address on the pods' network: the first of it.
                *(
                    {"address": str(next(ipaddress.ip_network(cidr).hosts()))}
                    for cidr in _cidrs(node)
                ),
            ]
        )
        if node:
            return End(address, name="the node", node=True)
        holders = [pod for pod in self.pods.values() if pod["status"].get("podIP") == address]
        if not holders:
            return End(address)
        # Addresses of ended pods are given again: who runs has it, else who had it last.
        holders.sort(
            key=lambda pod: (
                pod["status"]["phase"] == "Running",
                pod["metadata"]["creationTimestamp"],
            )
        )
        meta = holders[-1]["metadata"]
        return End(
            address,
            meta["namespace"],
            meta["name"],
            meta.get("labels", {}),
            self.namespaces[meta["namespace"]],
        )

    def behind(self, address: str, port: int, protocol: str) -> Iterator[tuple[End, int]]:
        """Who is asked at this address: itself, or every endpoint of its Service."""
        for service in self.services.values():
            if address not in service["spec"].get("clusterIPs", []):
                continue
            for one in service["spec"]["ports"]:
                if (one["port"], one.get("protocol", "TCP")) == (port, protocol):
                    yield from self._endpoints(service["metadata"], one.get("name"))
            return
        yield self.end(address), port

    def _endpoints(self, service: Any, port_name: str | None) -> Iterator[tuple[End, int]]:
        for piece in self.slices.values():
            meta = piece["metadata"]
            named = meta["labels"].get("kubernetes.io/service-name")
            if (meta["namespace"], named) != (service["namespace"], service["name"]):
                continue
            for port in piece.get("ports") or []:
                if (port.get("name") or None) == (port_name or None):
                    for endpoint in piece.get("endpoints") or []:
                        for address in endpoint["addresses"]:
                            yield self.end(address), port["port"]


def _cidrs(node: Any) -> list[str]:
    spec = node["spec"]
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if "podCIDR" in spec else [])


@dataclass(frozen=True)
class Connection:
    """Who asked whom, on which port of the one that was asked."""

    source: End
    target: End
    port: int
    protocol: str

    @property
    def flow(self) -> tuple[str, str, int]:
        """In the words of the chart's table of flows, where it is one of ours."""
        return _part(self.source), _part(self.target), self.port


def _part(end: End) -> str:
    if "serving.kserve.io/inferenceservice" in end.labels:
        return "model"
    if end.labels.get("app.kubernetes.io/part-of") == "bellwether":
        return end.labels["app.kubernetes.io/component"]
    return end.namespace or end.name or end.address


@dataclass
class Report:
    """What was seen.

    Attributes:
        insides: one for every container that was looked into.
        network: who had which address.
    """

    insides: list[Inside]
    network: Network

    def connections(self) -> list[Connection]:
        """Every connection of our pods, each once; of Services, one to each endpoint."""
        found: dict[tuple[str, str, int, str], Connection] = {}
        for one in self._all():
            key = (str(one.source), str(one.target), one.port, one.protocol)
            found.setdefault(key, one)
        return list(found.values())

    def refused(self, policies: Policies) -> list[str]:
        """Connections that the policies do not let through, in words."""
        return sorted(
            {
                said
                for one in self.connections()
                for said in policies.refusals(one.source, one.target, one.port, one.protocol)
            }
        )

    def _all(self) -> Iterator[Connection]:
        listening: dict[str, set[int]] = {}
        for inside in self.insides:
            ports = listening.setdefault(inside.pod["metadata"]["uid"], set())
            ports |= {row.local_port for _, row in inside.rows if row.state == LISTEN}
        for inside in self.insides:
            yield from self._of(inside, listening[inside.pod["metadata"]["uid"]])

    def _of(self, inside: Inside, listening: set[int]) -> Iterator[Connection]:
        for before, row in inside.rows:
            if row.state == LISTEN or not row.remote_port or _is_own(row):
                continue
            own, protocol = self.network.end(row.local), row.protocol
            if protocol == "TCP" and row.local_port in listening:
                source = self.network.end(row.remote)
                # Whoever left before we first looked has no name any more.
                nameless = not source.namespace and not source.node
                if not (nameless and before and row.state == TIME_WAIT):
                    yield Connection(source, own, row.local_port, protocol)
                continue
            for target, port in self.network.behind(row.remote, row.remote_port, protocol):
                yield Connection(own, target, port, protocol)


def _is_own(row: Row) -> bool:
    return row.local == row.remote or ipaddress.ip_address(row.remote).is_loopback


class Watch:
    """Looks into every container of our namespace from entering until leaving the block."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._network = Network()
        self._insides: dict[str, Inside] = {}
        self._execs: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self._looking = threading.Thread(target=self._keep_looking, daemon=True)
        self._stop = threading.Event()
        self._report: Report | None = None

    @property
    def report(self) -> Report:
        """What was seen; there once the block has been left."""
        assert self._report is not None, "a watch reports when its block has been left"
        return self._report

    def __enter__(self) -> Self:
        self._network.look(self._cluster)
        self._look()
        self._looking.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._looking.join()
        self._network.look(self._cluster)
        for process in self._execs:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._execs:
            try:
                process.wait(timeout=seconds(10))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for thread in self._threads:
            thread.join()
        self._report = Report(list(self._insides.values()), self._network)

    def _keep_looking(self) -> None:
        # Not oftener, and only at our own pods: kubectl itself would be the load.
        while not self._stop.wait(1):
            self._look()

    def _look(self) -> None:
        for pod in self._cluster.get("pods"):
            self._network.pods[pod["metadata"]["uid"]] = pod
            for container in _running(pod):
                identity = container["containerID"]
                if identity not in self._insides:
                    inside = Inside(pod, container["name"])
                    self._insides[identity] = inside
                    thread = threading.Thread(target=self._look_into, args=(inside,), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _look_into(self, inside: Inside) -> None:
        process = subprocess.Popen(
            [
                *("kubectl", "--namespace", self._cluster.namespace, "exec", "--stdin"),
                *(inside.pod["metadata"]["name"], "--container", inside.container),
                *("--", "python", "-c", PROGRAM),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._cluster.environment,
        )
        self._execs.append(process)
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.startswith("{"):
                    inside.facts = json.loads(line)
                elif line.startswith(("before ", "during ")) and line.endswith("\n"):
                    when, _, row = line.partition(" ")
                    inside.rows.append((when == "before", parse(row)))


def _running(pod: Any) -> Iterable[Any]:
    status = pod["status"]
    for one in [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]:
        if "running" in one.get("state", {}):
            yield one
