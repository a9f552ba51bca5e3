"""The evaluator of NetworkPolicies, on policies made up for each of Kubernetes' rules."""

import pytest

from tests.e2e.connections import Row, parse
from tests.e2e.network import End, Policies, selects

HOME = {"kubernetes.io/metadata.name": "home"}
AWAY = {"kubernetes.io/metadata.name": "away"}


def pod(name, namespace="home", **labels):
    known = {"home": HOME, "away": AWAY}
    return End("10.0.0.1", namespace, name, {"app": name, **labels}, known[namespace])


def policy(select=None, namespace="home", **spec):
    return {
        "metadata": {"name": "made-up", "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": select} if select else {}, **spec},
    }


def allows(policies, source, target, port=80, protocol="TCP"):
    return not Policies(policies).refusals(source, target, port, protocol)


PAGE, STORE, STRANGER = pod("page"), pod("store"), pod("stranger", "away")
NODE = End("192.168.0.1", name="node", node=True)
OUTSIDE = End("93.184.216.34")
DENY = policy(policyTypes=["Ingress", "Egress"])


def test_without_a_policy_everything_is_allowed():
    assert allows([], PAGE, STORE)


def test_default_deny_stops_both_directions_and_only_in_its_namespace():
    assert not allows([DENY], PAGE, STORE)
    assert len(Policies([DENY]).refusals(PAGE, STORE, 80)) == 2
    assert Policies([DENY]).refusals(PAGE, STRANGER, 80) == (
        "home/page may not ask away/stranger on TCP 80",
    )
    assert Policies([DENY]).refusals(STRANGER, PAGE, 80) == (
        "home/page may not be asked by away/stranger on TCP 80",
    )
    assert allows([DENY], STRANGER, OUTSIDE)


def test_a_connection_needs_a_rule_at_each_end():
    out = policy({"app": "page"}, egress=[{"to": [{"podSelector": {}}]}], policyTypes=["Egress"])
    into = policy(
        {"app": "store"}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "page"}}}]}]
    )
    assert not allows([DENY, out], PAGE, STORE)
    assert not allows([DENY, into], PAGE, STORE)
    assert allows([DENY, out, into], PAGE, STORE)
    assert not allows([DENY, out, into], STORE, PAGE)


def test_policies_add_up():
    one = policy({"app": "page"}, egress=[{"ports": [{"port": 80}]}], policyTypes=["Egress"])
    two = policy({"app": "page"}, egress=[{"ports": [{"port": 81}]}], policyTypes=["Egress"])
    assert allows([one, two], PAGE, STRANGER, 80)
    assert allows([one, two], PAGE, STRANGER, 81)
    assert not allows([one, two], PAGE, STRANGER, 82)


def test_a_rule_without_peers_or_ports_allows_all_of_them():
    assert allows([policy(ingress=[{}])], STRANGER, PAGE, 1)
    assert not allows([policy(ingress=[])], STRANGER, PAGE, 1)


def test_what_a_policy_is_about_follows_from_its_rules_when_it_does_not_say():
    only_ingress = policy(ingress=[])
    assert allows([only_ingress], PAGE, STRANGER)
    both = policy(ingress=[{}], egress=[])
    assert not allows([both], PAGE, STRANGER)


@pytest.mark.parametrize(
    ("peer", "ours", "theirs"),
    [
        ({"podSelector": {}}, True, False),
        ({"namespaceSelector": {}}, True, True),
        ({"namespaceSelector": {"matchLabels": AWAY}}, False, True),
        (
            {
                "namespaceSelector": {"matchLabels": AWAY},
                "podSelector": {"matchLabels": {"app": "page"}},
            },
            False,
            False,
        ),
    ],
)
def test_a_peer_without_a_namespace_is_of_the_policy_s_own(peer, ours, theirs):
    made = policy({"app": "store"}, ingress=[{"from": [peer]}])
    assert allows([made], PAGE, STORE) == ours
    assert allows([made], STRANGER, STORE) == theirs


def test_a_block_of_addresses_is_no_pod_and_has_holes():
    block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}
    made = policy({"app": "page"}, egress=[{"to": [{"ipBlock": block}]}], policyTypes=["Egress"])
    assert allows([made], PAGE, OUTSIDE)
    assert allows([made], PAGE, NODE)
    assert not allows([made], PAGE, End("10.9.9.9"))
    everywhere = {"cidr": "0.0.0.0/0"}
    made = policy({"app": "page"}, egress=[{"to": [{"ipBlock": everywhere}]}])
    assert not allows([made], PAGE, STRANGER)


def test_a_node_reaches_its_pods_and_pods_need_a_rule_to_reach_the_node():
    assert allows([DENY], NODE, PAGE)
    assert not allows([DENY], PAGE, NODE)


def test_ports_have_a_protocol_and_an_end():
    range_of = [{"ports": [{"port": 8000, "endPort": 8010}, {"protocol": "UDP", "port": 53}]}]
    made = policy({"app": "page"}, egress=range_of, policyTypes=["Egress"])
    assert allows([made], PAGE, STRANGER, 8010)
    assert not allows([made], PAGE, STRANGER, 8011)
    assert allows([made], PAGE, STRANGER, 53, "UDP")
    assert not allows([made], PAGE, STRANGER, 53, "TCP")
    any_udp = policy({"app": "page"}, egress=[{"ports": [{"protocol": "UDP"}]}])
    assert allows([any_udp], PAGE, STRANGER, 9, "UDP")


def test_what_is_not_evaluated_is_refused_in_words():
    made = policy({"app": "page"}, egress=[{"ports": [{"port": "http"}]}])
    with pytest.raises(TypeError, match="by name"):
        allows([made], PAGE, STRANGER)
    with pytest.raises(ValueError, match="Above"):
        selects({"matchExpressions": [{"key": "a", "operator": "Above"}]}, {})


@pytest.mark.parametrize(
    ("operator", "values", "labels", "wanted"),
    [
        ("In", ["a", "b"], {"k": "b"}, True),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {}, True),
        ("DoesNotExist", [], {"k": "a"}, False),
    ],
)
def test_expressions_of_selectors(operator, values, labels, wanted):
    expression = {"key": "k", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, labels) == wanted


def test_a_line_of_the_kernel_s_table_is_read_in_either_family():
    assert parse("tcp 1100F40A:1EB4 0100F40A:D062 01") == Row(
        "TCP", "10.244.0.17", 7860, "10.244.0.1", 53346, "01"
    )
    mapped = "0000000000000000FFFF00001100F40A:1388 0000000000000000FFFF00001200F40A:0050 06"
    assert parse(f"tcp6 {mapped}") == Row("TCP", "10.244.0.17", 5000, "10.244.0.18", 80, "06")
    loopback = "00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A"
    assert parse(f"tcp6 {loopback}") == Row("TCP", "::1", 22, "::", 0, "0A")
