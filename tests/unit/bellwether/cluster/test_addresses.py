"""Where a browser and a client find an installation, from its routes and gateways."""

import pytest

from bellwether.cluster.addresses import (
    HOW_TO_LOG_IN,
    addresses,
    curl,
    gateway_address,
    hostnames,
)
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl


def route(name, *hosts):
    return {"metadata": {"name": name}, "spec": {"hostnames": list(hosts)}}


def test_addresses_follow_from_the_routes():
    found = {"items": [route("bellwether-page", "b.localhost"), route("bellwether-x")]}
    assert hostnames(found) == {"page": "b.localhost"}


def test_a_gateway_tells_its_own_address():
    item = {"spec": {"listeners": [{"port": 80}]}, "status": {"addresses": [{"value": "10.0.0.7"}]}}
    none = {"items": []}
    assert gateway_address({"items": [{"spec": {}, "status": {}}, item]}, none) == "10.0.0.7:80"
    assert gateway_address(none, none) == ""


def test_a_gateway_behind_a_node_port_is_reached_at_the_nodes_port():
    def service(name, kind):
        labels = {f"gateway.envoyproxy.io/owning-gateway-{key}": value for key, value in
                  (("name", name), ("namespace", "bw"))}  # fmt: skip
        ports = [{"port": 443, "nodePort": 30443}, {"port": 80, "nodePort": 30080}]
        return {"metadata": {"labels": labels}, "spec": {"type": kind, "ports": ports}}

    item = {
        "metadata": {"name": "bellwether", "namespace": "bw"},
        "spec": {"listeners": [{"port": 80}]},
        "status": {"addresses": [{"value": "172.18.0.2"}]},
    }
    gateways = {"items": [item]}
    others = [service("other", "NodePort"), service("bellwether", "LoadBalancer")]
    assert gateway_address(gateways, {"items": others}) == "172.18.0.2:80"
    ours = [*others, service("bellwether", "NodePort")]
    assert gateway_address(gateways, {"items": ours}) == "172.18.0.2:30080"


def test_the_curl_command_sends_the_host_name():
    command = curl("forecast.b.localhost", "127.0.0.1:8080")
    assert command.startswith(
        "curl -s -H 'Host: forecast.b.localhost' http://127.0.0.1:8080/v2/models/bellwether/infer"
    )
    assert curl("", "127.0.0.1:8080") == ""


@pytest.mark.parametrize(("port", "rows"), [(8080, 2), (None, 3)])
def test_the_dashboards_say_how_to_log_in_and_a_gateway_of_its_own_is_named(programs, port, rows):
    gateway = {
        "spec": {"listeners": [{"port": 80}]},
        "status": {"addresses": [{"value": "10.0.0.7"}]},
    }
    routes = [route("x-page", "b.example"), route("x-grafana", "g.example")]
    programs.answer("get httproutes", out={"items": routes})
    programs.answer("get gateways", out={"items": [gateway]})
    programs.answer("get services", out={"items": []})
    listing, _ = addresses(Installation(Kubectl(), "bw", "bellwether"), port)
    cells = list(zip(*(column.cells for column in listing.columns), strict=True))
    end = f":{port}" if port else ""
    notes = {address: note for _, address, note in cells}
    assert len(cells) == rows
    assert notes[f"http://b.example{end}"] == ""
    assert notes[f"http://g.example{end}"] == HOW_TO_LOG_IN
    assert ("10.0.0.7:80" in notes) is (port is None)
