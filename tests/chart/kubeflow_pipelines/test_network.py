"""In the namespace of Kubeflow Pipelines nothing may connect but what its table of flows says."""

import json

import yaml

from tests.chart.rendering import PIPELINES, objects, pods

FLOWS = yaml.safe_load((PIPELINES.folder / "flows.yaml").read_text())
OURS = {
    "apiserver", "persistenceagent", "scheduledworkflow", "ui", "metadata", "metadata-envoy",
    "workflow-controller", "workflows", "test", "mysql", "seaweedfs",
}  # fmt: skip


def policies(profile="", *settings):
    return {
        made["metadata"]["name"]: made["spec"]
        for made in PIPELINES.render(profile, *settings)
        if made["kind"] == "NetworkPolicy"
    }


def ports(rules):
    return sorted({port["port"] for rule in rules for port in rule["ports"]})


def test_everything_is_denied_first_and_every_part_has_one_policy():
    found = policies()
    assert found.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert set(found) == OURS
    for spec in found.values():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            assert rule["ports"]
            assert rule.get("from") or rule.get("to")


def test_every_flow_of_the_table_is_a_rule_at_each_end_that_is_ours():
    found = policies()
    stores = {"database": "mysql", "objectStore": "seaweedfs"}
    flows = [
        {**f, "to": stores.get(f["to"], f["to"])}
        for f in FLOWS
        if f.get("when") != "kubernetesNative.enabled"
    ]
    for part in OURS:
        leaving = [f for f in flows if part in f["from"] and f["to"] != "elsewhere"]
        coming = sum(len(f["from"]) for f in flows if f["to"] == part)
        assert len(found[part].get("egress", [])) == len(leaving), part
        assert len(found[part].get("ingress", [])) == coming, part


def test_policies_select_the_pods_that_are_rendered():
    labels = [
        made["spec"]["template"]["metadata"]["labels"]
        for made in PIPELINES.render()
        if made["kind"] in {"Deployment", "StatefulSet"}
    ]
    for part, spec in policies().items():
        selector = spec["podSelector"].get("matchLabels", {})
        if part not in {"default-deny", "workflows", "test"}:
            assert sum(selector.items() <= pod_labels.items() for pod_labels in labels) == 1, part
    assert policies()["workflows"]["podSelector"]["matchExpressions"] == [
        {"key": "workflows.argoproj.io/workflow", "operator": "Exists"}
    ]
    assert len(dict(pods(PIPELINES.render()))) == len(OURS) - 1


def test_mysql_accepts_the_server_and_ml_metadata_and_connects_to_nothing():
    mysql = policies()["mysql"]
    assert ports(mysql["ingress"]) == [3306]
    assert len(mysql["ingress"]) == 2
    assert "egress" not in mysql


def test_services_outside_the_cluster_are_reached_by_their_networks():
    found = policies("external")
    assert not {"mysql", "seaweedfs"} & set(found)
    blocks = [rule for rule in found["metadata"]["egress"] if "ipBlock" in rule["to"][0]]
    assert [ports([rule]) for rule in blocks] == [[3306]]
    assert [443] in [ports([r]) for r in found["apiserver"]["egress"] if "ipBlock" in r["to"][0]]


def test_steps_have_the_egress_of_the_values_only():
    usual, more = policies()["workflows"]["egress"], policies("external")["workflows"]["egress"]
    assert ports(usual) == [53, 443, 6443, 8080, 8333, 8887, 8888]
    added = more[-2:]
    assert added[0]["to"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "bellwether"
    }
    assert added[1]["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]


def test_only_named_namespaces_ask_the_server_and_none_when_none_is_named():
    def asking(text):
        rendered = objects(PIPELINES.template("--set-json", text).stdout)
        spec = next(o["spec"] for o in rendered
                    if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "apiserver")  # fmt: skip
        return [p["namespaceSelector"]["matchExpressions"][0]["values"]
                for rule in spec["ingress"] for p in rule["from"] if "namespaceSelector" in p]  # fmt: skip

    names = json.dumps(["bellwether", "lab"])
    assert asking(f"networkPolicies.clients={names}") == [["bellwether", "lab"]]
    assert asking("networkPolicies.clients=[]") == []


def test_the_webhook_is_reached_only_where_there_is_one():
    assert 8443 not in ports(policies()["apiserver"]["ingress"])
    native = policies("", "kubernetesNative.enabled=true")["apiserver"]
    assert 8443 in ports(native["ingress"])
