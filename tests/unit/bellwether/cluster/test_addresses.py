from bellwether.cluster.addresses import curl, gateway_address, hostnames


def route(name, *hosts):
    return {"metadata": {"name": name}, "spec": {"hostnames": list(hosts)}}


def test_addresses_follow_from_the_routes():
    found = {"items": [route("bellwether-page", "b.localhost"), route("bellwether-x")]}
    assert hostnames(found) == {"page": "b.localhost"}


def test_a_gateway_tells_its_own_address():
    item = {"spec": {"listeners": [{"port": 80}]}, "status": {"addresses": [{"value": "10.0.0.7"}]}}
    assert gateway_address({"items": [{"spec": {}, "status": {}}, item]}) == "10.0.0.7:80"
    assert gateway_address({"items": []}) == ""


def test_the_curl_command_sends_the_host_name():
    command = curl("forecast.b.localhost", "127.0.0.1:8080")
    assert command.startswith(
        "curl -s -H 'Host: forecast.b.localhost' http://127.0.0.1:8080/v2/models/bellwether/infer"
    )
    assert curl("", "127.0.0.1:8080") == ""
