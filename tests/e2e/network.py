"""NetworkPolicies, evaluated: which connections they let through, as networking.k8s.io/v1 says.

The cluster under these tests does not enforce policies, so what our pods really do is held against
them here. Where networks differ, the stricter reading is taken: a block of addresses is no pod, and
what a pod sends to its node needs a rule like everything else. Only that a node reaches the pods on
it (probes) is always allowed, as everywhere.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection.

    Attributes:
        address: its own, not that of a Service before it.
        namespace: of the pod; "" when it is none.
        name: of the pod, or what else it is.
        labels: of the pod.
        namespace_labels: of its namespace.
        node: whether it is the node, or a pod in the node's network.
    """

    address: str
    namespace: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    node: bool = False

    def __str__(self) -> str:
        if self.namespace:
            return f"{self.namespace}/{self.name}"
        return f"{self.name or 'somebody'} ({self.address})"


@dataclass(frozen=True)
class Policies:
    """All NetworkPolicies of a cluster.

    Attributes:
        found: the objects.
    """

    found: Sequence[Object]

    def refusals(
        self, source: End, target: End, port: int, protocol: str = "TCP"
    ) -> tuple[str, ...]:
        """Who does not let this connection through, in words; nobody when it is allowed.

        Args:
            source: opens the connection.
            target: is asked.
            port: of the target itself, after any Service's translation.
            protocol: TCP or UDP.
        """
        said = []
        if self._refuses("Egress", source, target, (protocol, port)):
            said.append(f"{source} may not ask {target} on {protocol} {port}")
        if not source.node and self._refuses("Ingress", target, source, (protocol, port)):
            said.append(f"{target} may not be asked by {source} on {protocol} {port}")
        return tuple(said)

    def _refuses(self, direction: str, own: End, peer: End, asked: tuple[str, int]) -> bool:
        selecting = [policy for policy in self.found if _applies(policy, own, direction)]
        return bool(selecting) and not any(
            _rule_allows(policy, rule, direction, peer, asked)
            for policy in selecting
            for rule in policy["spec"].get(direction.lower()) or []
        )


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"no selector has the operator {other}")


def _applies(policy: Object, end: End, direction: str) -> bool:
    spec = policy["spec"]
    if end.node or policy["metadata"]["namespace"] != end.namespace:
        return False
    default = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    types = spec.get("policyTypes") or default
    return direction in types and selects(spec.get("podSelector") or {}, end.labels)


def _rule_allows(
    policy: Object, rule: Object, direction: str, peer: End, asked: tuple[str, int]
) -> bool:
    peers = rule.get("from" if direction == "Ingress" else "to") or []
    ports = rule.get("ports") or []
    return (not peers or any(_is(one, policy, peer) for one in peers)) and (
        not ports or any(_covers(one, asked) for one in ports)
    )


def _is(described: Object, policy: Object, end: End) -> bool:
    if "ipBlock" in described:
        block = described["ipBlock"]
        return (
            not end.namespace
            and any(_within(end.address, [block["cidr"]]))
            and not any(_within(end.address, block.get("except") or []))
        )
    if not end.namespace or end.node:
        return False
    if "namespaceSelector" in described:
        if not selects(described["namespaceSelector"], end.namespace_labels):
            return False
    elif end.namespace != policy["metadata"]["namespace"]:
        return False
    return selects(described.get("podSelector") or {}, end.labels)


def _within(address: str, blocks: Sequence[str]) -> Iterator[bool]:
    for block in blocks:
        network = ipaddress.ip_network(block)
        found = ipaddress.ip_address(address)
        yield found.version == network.version and found in network


def _covers(described: Object, asked: tuple[str, int]) -> bool:
    protocol, port = asked
    if described.get("protocol", "TCP") != protocol:
        return False
    first = described.get("port")
    if first is None:
        return True
    if not isinstance(first, int):
        raise TypeError(f"ports by name are not evaluated here: {first}")
    return first <= port <= described.get("endPort", first)
