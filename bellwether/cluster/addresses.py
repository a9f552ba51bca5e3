"""Says where everything can be reached, from the routes and the gateway of a cluster."""

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from bellwether.cluster.installation import Installation
from bellwether.console import table

BODY: Final = (
    '{"inputs": [{"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["AAPL"]}, '
    '{"name": "horizon", "datatype": "INT64", "shape": [1], "data": [5]}]}'
)
HOW_TO_LOG_IN: Final = (
    "user admin; the password: "
    "kubectl -n monitoring get secret bellwether-grafana-admin "
    "-o jsonpath='{.data.admin-password}' | base64 -d"
)
OWNER: Final = "gateway.envoyproxy.io/owning-gateway"
# The route's name ends with what it leads to.
LABELS: Final = (
    ("page", "page"),
    ("forecast", "V2 endpoint"),
    ("mlflow", "MLflow"),
    ("pipelines", "Kubeflow Pipelines"),
    ("grafana", "Grafana"),
    ("prometheus", "Prometheus"),
)


def addresses(installation: Installation, port: int | None) -> tuple[Table, str]:
    """A table of addresses and a curl command that asks for a forecast.

    Args:
        installation: of charts/bellwether.
        port: of this machine's loopback that leads to the gateway; None when the gateway has an
            address of its own.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    routes = installation.objects("httproutes.gateway.networking.k8s.io")
    gateways = installation.objects("gateways.gateway.networking.k8s.io")
    hosts = hostnames(routes)
    gateway = f"127.0.0.1:{port}" if port else _own_address(installation, gateways)
    rows = []
    for ending, label in LABELS:
        if host := hosts.get(ending):
            note = HOW_TO_LOG_IN if ending == "grafana" else ""
            rows.append((label, f"http://{host}{_port(gateway)}", note))
    if not port and gateway:
        rows.append(("gateway", gateway, "let these names lead there, or send the Host header"))
    return table("", ["what", "address", ""], rows), curl(hosts.get("forecast", ""), gateway)


def hostnames(routes: Mapping[str, Any]) -> dict[str, str]:
    """The first host name of each route, by the last part of the route's name."""
    return {
        item["metadata"]["name"].rsplit("-", 1)[-1]: item["spec"]["hostnames"][0]
        for item in routes["items"]
        if item["spec"].get("hostnames")
    }


def gateway_address(gateways: Mapping[str, Any], services: Mapping[str, Any]) -> str:
    """Address and port of the first gateway that has one, or "".

    Args:
        gateways: of the installation.
        services: those before gateways' proxies, as Envoy Gateway labels them. Where one is a
            NodePort, the gateway's address is a node's, and its port the node's.
    """
    for item in gateways["items"]:
        for address in item.get("status", {}).get("addresses", ()):
            port = item["spec"]["listeners"][0]["port"]
            return f"{address['value']}:{_node_port(item, services, port) or port}"
    return ""


def _own_address(installation: Installation, gateways: Mapping[str, Any]) -> str:
    owned = ("--all-namespaces", "--selector", f"{OWNER}-name")
    return gateway_address(gateways, installation.kubectl.objects("services", *owned))


def _node_port(gateway: Mapping[str, Any], services: Mapping[str, Any], port: int) -> int:
    """The port of every node that leads to a gateway's port; 0 where there is none."""
    metadata = gateway.get("metadata", {})
    owner = {f"{OWNER}-{part}": metadata.get(part) for part in ("name", "namespace")}
    for service in services["items"]:
        if service["spec"].get("type") != "NodePort":
            continue
        if owner.items() <= service["metadata"].get("labels", {}).items():
            ports = service["spec"].get("ports", ())
            return next((int(one.get("nodePort", 0)) for one in ports if one["port"] == port), 0)
    return 0


def curl(host: str, gateway: str) -> str:
    """A command, ready to paste, that asks for five days of AAPL."""
    if not host or not gateway:
        return ""
    url = f"http://{gateway}/v2/models/bellwether/infer"
    return f"curl -s -H 'Host: {host}' {url} -d '{BODY}'"


def _port(gateway: str) -> str:
    port = gateway.rpartition(":")[2]
    return "" if port in {"", "80"} else f":{port}"
