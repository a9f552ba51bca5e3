"""The way in: hostnames, who writes rules, others' routes, and how versions run behind it."""

import json

from tests.chart.rendering import one, render, rollout_templates

NAMES = ["", ".bellwether", ".bellwether.svc", ".bellwether.svc.cluster.local"]


def test_helm_writes_no_rules_of_the_forecast_routes():
    for kind, name in (("HTTPRoute", "forecast"), ("GRPCRoute", "forecast-grpc")):
        assert "rules" not in one(render(), kind, f"bellwether-{name}")["spec"]


def test_helm_writes_no_inference_service_and_no_budget_of_one():
    rendered = render()
    assert not [o for o in rendered if o["kind"] == "InferenceService"]
    assert not [o for o in rendered if o["kind"] == "PodDisruptionBudget"]


def test_the_forecast_is_known_by_its_name_outside_and_by_every_name_inside():
    rendered = render()
    route = one(rendered, "HTTPRoute", "bellwether-forecast")["spec"]
    assert route["hostnames"] == [
        "forecast.bellwether.localhost", *[f"bellwether-forecast{tail}" for tail in NAMES],
    ]  # fmt: skip
    service = one(rendered, "Service", "bellwether-forecast")["spec"]
    assert service == {
        "type": "ExternalName",
        "externalName": "bellwether-gateway.envoy-gateway-system.svc.cluster.local",
    }
    envoy = one(rendered, "EnvoyProxy", "bellwether")["spec"]["provider"]["kubernetes"]
    assert envoy["envoyService"]["name"] == "bellwether-gateway"


def test_rest_and_grpc_share_no_hostname():
    hosts = [
        set(one(render(), kind, name)["spec"]["hostnames"])
        for kind, name in (
            ("HTTPRoute", "bellwether-forecast"), ("GRPCRoute", "bellwether-forecast-grpc"),
        )
    ]  # fmt: skip
    assert hosts[0] & hosts[1] == set()


def test_without_grpc_there_is_no_port_no_route_and_no_name_for_it():
    rendered = render("", "serving.grpc=false")
    assert not [o for o in rendered if o["kind"] == "GRPCRoute"]
    assert not [o for o in rendered if o["metadata"]["name"].endswith("-grpc")]
    runtime = one(rendered, "ServingRuntime", "bellwether")["spec"]
    assert [port["name"] for port in runtime["containers"][0]["ports"]] == ["http1"]
    data = one(rendered, "ConfigMap", "bellwether-rollout")["data"]
    assert json.loads(data["rollout.json"])["grpcRoute"] == ""


def test_mlflow_answers_to_every_name_it_is_reached_by():
    pod = one(render(), "Deployment", "bellwether-mlflow")["spec"]["template"]["spec"]
    option = next(a for a in pod["containers"][0]["args"] if a.startswith("--allowed-hosts="))
    hosts = option.removeprefix("--allowed-hosts=").split(",")
    inside = [f"bellwether-mlflow{tail}{port}" for tail in NAMES for port in ("", ":*")]
    outside = ["mlflow.bellwether.localhost", "mlflow.bellwether.localhost:*"]
    assert hosts == ["localhost:*", "127.0.0.1:*", *inside, *outside]


def test_an_existing_gateway_gets_routes_and_nothing_else_is_made():
    rendered = render("external")
    assert not [o for o in rendered if o["kind"] in {"Gateway", "GatewayClass", "EnvoyProxy"}]
    for made in (o for o in rendered if o["kind"] in {"HTTPRoute", "GRPCRoute"}):
        parent = made["spec"]["parentRefs"][0]
        assert (parent["namespace"], parent["name"]) == ("gateways", "public")


def test_a_route_to_another_namespace_is_permitted_there_when_asked():
    route = "gateway.extraRoutes.grafana"
    settings = [f"{route}.service=grafana", f"{route}.port=80"]
    asked = render("", *settings, f"{route}.namespace=monitoring", f"{route}.referenceGrant=true")
    assert one(asked, "HTTPRoute", "bellwether-grafana")["spec"]["hostnames"] == [
        "grafana.bellwether.localhost"
    ]
    grant = next(o for o in asked if o["kind"] == "ReferenceGrant")
    assert grant["metadata"]["namespace"] == "monitoring"
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": "grafana"}]
    unasked = render("", *settings, f"{route}.namespace=monitoring")
    assert not [o for o in unasked if o["kind"] == "ReferenceGrant"]


def test_a_session_of_the_page_stays_on_one_pod():
    policy = one(render(), "BackendTrafficPolicy", "bellwether-page")["spec"]
    assert policy["loadBalancer"]["consistentHash"]["type"] == "Cookie"


def test_several_pages_keep_one_while_nodes_are_drained():
    for settings in (("page.replicas=2",), ("page.autoscaling.enabled=true",)):
        budget = one(render("", *settings), "PodDisruptionBudget", "bellwether-page")
        assert budget["spec"]["maxUnavailable"] == 1
    assert "replicas" not in one(
        render("", "page.autoscaling.enabled=true"), "Deployment", "bellwether-page"
    )["spec"]  # fmt: skip


def test_a_version_runs_in_standard_mode_without_routes_of_its_own():
    service, budget = rollout_templates(render())
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}
    assert service["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    predictor = service["spec"]["predictor"]
    assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "storageUri" not in predictor["model"]
    assert "name" not in service["metadata"]
    assert budget["spec"] == {"minAvailable": 1}


def test_the_rollout_gets_every_address():
    data = one(render(), "ConfigMap", "bellwether-rollout")["data"]
    assert json.loads(data["rollout.json"]) == {
        "route": "bellwether-forecast",
        "grpcRoute": "bellwether-forecast-grpc",
        "model": "bellwether",
        "artifactStore": "s3://bellwether/mlflow",
        "steps": [10, 25, 50, 100],
        "minutesPerStep": 5,
        "prometheusUrl": "http://prometheus.monitoring:9090",
        "pushgatewayUrl": "http://pushgateway.monitoring:9091",
        "servicePort": 80,
        "grpcPort": 8081,
        "registryService": "bellwether-mlflow",
        "registryPort": 5000,
    }
