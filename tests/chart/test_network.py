"""Nothing may connect but what the table of flows says, and everything in it may."""

import pytest
import yaml

from tests.chart.rendering import CHART, one, pods, render

FLOWS = yaml.safe_load((CHART / "flows.yaml").read_text())
OURS = {"page", "mlflow", "model", "training", "refresh", "rollout", "drift", "test"}
KFP = "training.engine=kfp"
TRAINS = ("page.trains=true", "gateway.login.type=basic")
READS = ("mlflow.route=true", "gateway.login.type=basic")
OURS_WITH_KFP = OURS - {"training", "refresh"} | {"submit"}


def policies(*settings):
    return {
        made["metadata"]["name"].removeprefix("bellwether-"): made["spec"]
        for made in render("", *settings)
        if made["kind"] == "NetworkPolicy"
    }


def ports(rules):
    return sorted({port["port"] for rule in rules for port in rule["ports"]})


def test_everything_is_denied_first():
    spec = policies()["default-deny"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_part_has_one_policy_and_every_rule_names_ports_and_peers():
    found = policies()
    assert set(found) == {*OURS, "default-deny"}
    for part in OURS:
        for rule in [*found[part].get("ingress", []), *found[part]["egress"]]:
            assert rule["ports"]
            assert rule.get("from") or rule.get("to")


@pytest.mark.parametrize(
    ("settings", "ours"), [((), OURS), (READS, OURS), ((KFP, *TRAINS), OURS_WITH_KFP)]
)
def test_every_flow_of_the_table_is_a_rule_at_each_end_that_is_ours(settings, ours):
    found = policies("networkPolicies.pricesEgress=true", *settings)
    assert set(found) == {*ours, "default-deny"}
    conditions = {
        None,
        "training.rollout",
        "rollout.quality.enabled",
        "networkPolicies.pricesEgress",
        *settings,
    }
    conditions |= {setting.removesuffix("=true") for setting in settings}
    there = ours | {"gateway", "prometheus", "steps"}
    flows = [
        {**flow, "from": [one for one in flow["from"] if one in there]}
        for flow in FLOWS
        if flow.get("when") in conditions
    ]
    leaving = {part: len([f for f in flows if part in f["from"]]) for part in ours}
    coming = {part: sum(len(f["from"]) for f in flows if f["to"] == part) for part in ours}
    assert {part: len(found[part]["egress"]) for part in ours} == leaving
    assert {part: len(found[part].get("ingress", [])) for part in ours} == coming


def test_steps_of_kubeflow_pipelines_reach_mlflow_and_nothing_else_of_ours():
    found = policies(KFP)
    steps = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}},
        "podSelector": {"matchLabels": {"pipelines.kubeflow.org/v2_component": "true"}},
    }
    reached = [
        part
        for part, spec in found.items()
        for rule in spec.get("ingress", [])
        if steps in rule["from"]
    ]
    assert reached == ["mlflow"]


def test_only_pods_that_start_or_schedule_runs_reach_kubeflow_pipelines():
    def reaching(*settings):
        found = policies(*settings)
        return {part for part, spec in found.items() if 8888 in ports(spec.get("egress", []))}

    assert reaching() == set()
    assert reaching(KFP) == {"submit", "drift"}
    assert reaching(KFP, *TRAINS) == {"submit", "drift", "page"}


def test_a_flow_is_gone_when_its_value_is_off():
    assert 6443 in ports(policies()["training"]["egress"])
    assert 6443 not in ports(policies("training.rollout=false")["training"]["egress"])
    assert ports(policies()["refresh"]["egress"]) == [53, 5000, 5432, 9000, 9091]


def test_the_gateway_reaches_grpc_only_where_it_is_served():
    assert ports(policies()["model"]["ingress"]) == [8080, 8081]
    assert ports(policies("serving.grpc=false")["model"]["ingress"]) == [8080]


def test_the_gateway_reaches_mlflow_only_where_it_is_routed():
    def reaches(*settings):
        sources = [
            peer for rule in policies(*settings)["mlflow"]["ingress"] for peer in rule["from"]
        ]
        return any("envoy-gateway-system" in str(source) for source in sources)

    assert reaches(*READS)
    assert not reaches()


def test_policies_select_the_pods_that_are_rendered():
    rendered = render()
    selectors = {
        tuple(sorted(spec["podSelector"].get("matchLabels", {}).items()))
        for spec in policies().values()
    }
    for kind, name in (("Deployment", "page"), ("Deployment", "mlflow"), ("CronJob", "drift")):
        spec = one(rendered, kind, f"bellwether-{name}")["spec"]
        template = spec.get("template") or spec["jobTemplate"]["spec"]["template"]
        labels = template["metadata"]["labels"].items()
        assert any(selector and set(selector) <= set(labels) for selector in selectors), name
    assert len(dict(pods(rendered))) == len(OURS) + 1  # the rollout has two jobs of its own


def test_services_outside_the_cluster_are_reached_by_their_networks():
    spec = {
        made["metadata"]["name"]: made["spec"]
        for made in render("external")
        if made["kind"] == "NetworkPolicy"
    }["bellwether-mlflow"]
    blocks = [peer for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert blocks == [{"ipBlock": {"cidr": "0.0.0.0/0"}}] * 2
