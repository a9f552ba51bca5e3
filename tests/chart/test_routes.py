"""The way in: hostnames, who writes rules, others' routes, and how versions run behind it."""

import json
import re

import pytest

from forecasting.inference_protocol.messages import SHADOW_HEADER
from gradio_app.gate import MAX_BODY
from tests.chart.rendering import objects, one, render, rollout_templates, template

NAMES = ["", ".bellwether", ".bellwether.svc", ".bellwether.svc.cluster.local"]


def test_helm_writes_no_rules_of_the_forecast_routes():
    for kind, name in (("HTTPRoute", "forecast"), ("GRPCRoute", "forecast-grpc")):
        assert "rules" not in one(render(), kind, f"bellwether-{name}")["spec"]


def test_helm_writes_no_inference_service_and_no_budget_of_one():
    rendered = render()
    assert not [o for o in rendered if o["kind"] == "InferenceService"]
    assert not [o for o in rendered if o["kind"] == "PodDisruptionBudget"]


def test_until_a_version_serves_forecasts_are_answered_with_503_json_and_retry_after():
    rendered = render()
    spec = one(rendered, "HTTPRoute", "bellwether-forecast-unserved")["spec"]
    forecasts = one(rendered, "HTTPRoute", "bellwether-forecast")["spec"]
    assert {name: spec[name] for name in forecasts} == forecasts  # the same hosts and gateways
    unserved, elsewhere = spec["rules"]
    # Above the API server's own rule for "/", which has no method, and below the rollout's for "/v2".
    prefix = {"type": "PathPrefix", "value": "/"}
    methods = ["GET", "HEAD", "POST"]
    assert unserved["matches"] == [{"path": prefix, "method": method} for method in methods]
    headers, extension = unserved["filters"]
    assert headers["responseHeaderModifier"]["set"] == [{"name": "retry-after", "value": "30"}]
    name = extension["extensionRef"]["name"]
    answer = one(rendered, "HTTPRouteFilter", name)["spec"]["directResponse"]
    assert (answer["statusCode"], answer["contentType"]) == (503, "application/json")
    assert "no model version serves" in json.loads(answer["body"]["inline"])["error"]
    (match,) = elsewhere["matches"]
    pattern = re.compile(match["path"]["value"])
    # A regular expression wins over every prefix, so it must leave the rollout's rules alone.
    ours = ["/v2", "/v2/", "/v2/health/ready", "/v2/models/bellwether/versions/3/infer"]
    assert not [path for path in ours if pattern.fullmatch(path)]
    others = ["/", "/v", "/v1/models", "/v23", "/metrics", "/favicon.ico", "/v2x/"]
    assert [path for path in others if pattern.fullmatch(path)] == others
    (filtered,) = elsewhere["filters"]
    missing = one(rendered, "HTTPRouteFilter", filtered["extensionRef"]["name"])["spec"]
    assert missing["directResponse"]["statusCode"] == 404


def test_a_gateway_that_knows_no_such_filter_gets_none():
    rendered = render("", "gateway.unservedResponse=false")
    assert not [o for o in rendered if o["kind"] == "HTTPRouteFilter"]
    assert not [o for o in rendered if o["metadata"]["name"].endswith("-unserved")]


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


BASIC = "gateway.login.type=basic"
KFP = ("training.engine=kfp", "page.trains=true")
PROMETHEUS = (
    "gateway.extraRoutes.prometheus.service=prometheus",
    "gateway.extraRoutes.prometheus.port=9090",
)


def routed(rendered):
    return {o["metadata"]["name"] for o in rendered if o["kind"] == "HTTPRoute"}


def behind_the_login(rendered):
    policies = [o["spec"] for o in rendered if o["kind"] == "SecurityPolicy"]
    behind = [target["name"] for policy in policies for target in policy["targetRefs"]]
    assert len(behind) == len(set(behind)), "Envoy Gateway takes one policy a route"
    return set(behind)


def test_by_default_only_the_page_and_the_forecast_are_routed_and_nothing_has_a_login():
    rendered = render()
    assert routed(rendered) == {
        "bellwether-page",
        "bellwether-forecast",
        "bellwether-forecast-unserved",
    }
    assert not [o for o in rendered if o["kind"] == "SecurityPolicy"]


def test_what_can_change_things_is_routed_behind_a_login():
    rendered = render("", BASIC, "mlflow.route=true", *KFP, *PROMETHEUS)
    assert behind_the_login(rendered) == routed(rendered) - {
        "bellwether-forecast",
        "bellwether-forecast-unserved",
    }
    policy = one(rendered, "SecurityPolicy", "bellwether-login")["spec"]
    page = one(rendered, "SecurityPolicy", "bellwether-login-page")["spec"]
    users = {"group": "", "kind": "Secret", "name": "bellwether-login"}
    assert policy["basicAuth"] == {"users": users}
    assert page["basicAuth"] == {"users": users, "forwardUsernameHeader": "x-bellwether-user"}


def test_a_page_that_only_shows_has_a_login_when_asked():
    assert behind_the_login(render("", BASIC, "page.login=true")) == {"bellwether-page"}
    assert not [o for o in render("", BASIC) if o["kind"] == "SecurityPolicy"]


def test_a_service_with_users_of_its_own_is_not_asked_for_twice():
    own = "gateway.extraRoutes.prometheus.ownLogin=true"
    rendered = render("", BASIC, "mlflow.route=true", *PROMETHEUS, own)
    assert behind_the_login(rendered) == {"bellwether-mlflow"}


def test_the_password_goes_no_further_than_the_gateway():
    rendered = render("", BASIC, "mlflow.route=true", *KFP, *PROMETHEUS)
    removes = {"requestHeaderModifier": {"remove": ["Authorization"]}}
    for name in behind_the_login(rendered):
        for rule in one(rendered, "HTTPRoute", name)["spec"]["rules"]:
            assert rule["filters"] == [{"type": "RequestHeaderModifier", **removes}], name
    assert "filters" not in str(one(render(), "HTTPRoute", "bellwether-page"))


def test_openid_connect_is_asked_by_the_gateway():
    rendered = render("external")
    policy = one(rendered, "SecurityPolicy", "bellwether-login")["spec"]
    assert policy.keys() == {"targetRefs", "oidc"}
    assert policy["oidc"] == {
        "provider": {"issuer": "https://id.example.org/realms/acme"},
        "clientID": "bellwether",
        "clientSecret": {"group": "", "kind": "Secret", "name": "oidc-client"},
    }
    assert behind_the_login(rendered) == {"bellwether-mlflow", "bellwether-page"}


def test_the_page_learns_a_name_from_a_token_whose_signature_was_checked():
    policy = one(render("external"), "SecurityPolicy", "bellwether-login-page")["spec"]
    header = policy["oidc"]["forwardIDToken"]["header"]
    (provider,) = policy["jwt"]["providers"]
    assert provider["extractFrom"] == {"headers": [{"name": header}]}
    assert provider["claimToHeaders"] == [{"claim": "email", "header": "x-bellwether-user"}]
    assert provider["issuer"] == policy["oidc"]["provider"]["issuer"]
    assert provider["audiences"] == [policy["oidc"]["clientID"]]


def settings_of(*values, profile=""):
    ours = [o for o in render(profile, *values) if o["metadata"].get("namespace") != "kubeflow"]
    data = one(ours, "ConfigMap", "bellwether-settings")["data"]
    return {k.removeprefix("BELLWETHER_PAGE_"): v for k, v in data.items() if "_PAGE_" in k}


@pytest.mark.parametrize(
    ("values", "login", "header"),
    [
        ([], "false", ""),
        (["page.route=false"], "true", ""),
        ([BASIC, "mlflow.route=true"], "false", ""),
        ([BASIC, "page.login=true"], "true", "x-bellwether-user"),
        ([BASIC, *KFP], "true", "x-bellwether-user"),
        (["gateway.login.type=external", *KFP], "true", ""),
        (["gateway.login.type=external", "gateway.login.userHeader=x-who", *KFP], "true", "x-who"),
    ],
)
def test_the_page_believes_a_header_only_where_a_login_writes_it(values, login, header):
    told = settings_of(*values)
    assert (told["LOGIN"], told["USER_HEADER"]) == (login, header)


def test_the_page_is_told_who_may_do_what():
    told = settings_of(profile="external")
    assert (told["READERS"], told["TRAINERS"]) == ("*", "ann@example.org")
    assert told["OPERATORS"] == "bo@example.org"
    assert told["USER_HEADER"] == "x-bellwether-user"


def test_a_role_without_names_is_nobody_and_not_the_default():
    roles = '{"readers": ["*"], "trainers": [], "operators": []}'
    made = objects(template("--set-json", f"page.roles={roles}").stdout)
    data = one(made, "ConfigMap", "bellwether-settings")["data"]
    assert data["BELLWETHER_PAGE_TRAINERS"] == data["BELLWETHER_PAGE_OPERATORS"] == "-"


def test_what_the_gateway_says_of_a_caller_is_taken_from_no_caller():
    headers = one(render("kind"), "ClientTrafficPolicy", "bellwether")["spec"]["headers"]
    written = {settings_of(BASIC, "page.login=true")["USER_HEADER"]}
    oidc = one(render("external"), "SecurityPolicy", "bellwether-login-page")["spec"]["oidc"]
    written.add(oidc["forwardIDToken"]["header"])
    written.add(SHADOW_HEADER)
    assert set(headers["earlyRequestHeaders"]["remove"]) == written


def test_the_gateway_has_limits_where_it_is_ours():
    policy = one(render("kind"), "ClientTrafficPolicy", "bellwether")["spec"]
    assert policy["targetRefs"][0]["kind"] == "Gateway"
    assert policy["connection"]["connectionLimit"] == {"value": 4096}
    assert set(policy["timeout"]["http"]) == {
        "requestHeadersReceivedTimeout", "requestReceivedTimeout", "idleTimeout",
    }  # fmt: skip
    assert not [o for o in render("external") if o["kind"] == "ClientTrafficPolicy"]


def test_the_gateway_keeps_long_bodies_from_the_page_as_the_page_itself_does():
    policy = one(render(), "BackendTrafficPolicy", "bellwether-page")["spec"]
    assert policy["requestBuffer"] == {"limit": f"{MAX_BODY // 1024}Ki"}


def test_a_provider_can_send_its_users_back_to_mlflow():
    def exact(rendered):
        rules = one(rendered, "HTTPRoute", "bellwether-mlflow")["spec"]["rules"]
        return {match["path"]["value"] for match in rules[0]["matches"]}

    back = {"/oauth2/callback", "/logout"}
    assert back <= exact(render("external"))
    assert not back & exact(render("", BASIC, "mlflow.route=true"))


def test_where_a_proxy_asks_the_gateway_does_not():
    rendered = render("", "gateway.login.type=external", "mlflow.route=true", *KFP)
    assert "bellwether-mlflow" in routed(rendered)
    assert not [o for o in rendered if o["kind"] == "SecurityPolicy"]


@pytest.mark.parametrize("profile", ["kind", "small", "kfp", "external"])
def test_no_profile_routes_a_registry_that_can_be_written(profile):
    rendered = render(profile)
    if "bellwether-mlflow" in routed(rendered):
        rules = one(rendered, "HTTPRoute", "bellwether-mlflow")["spec"]["rules"]
        assert all(match["method"] in {"GET", "POST"} for r in rules for match in r["matches"])
        assert "bellwether-mlflow" in behind_the_login(rendered)


def test_mlflow_answers_to_every_name_it_is_reached_by():
    rendered = render("", BASIC, "mlflow.route=true")
    pod = one(rendered, "Deployment", "bellwether-mlflow")["spec"]["template"]["spec"]
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
    settings.append("gateway.login.type=external")
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
        "approvalRequired": False,
        "minutesPerStep": 5,
        "keepVersions": 3,
        "keepDays": 7,
        "training": {"symbols": [], "dataset": "sample-1d"},
        "prometheusUrl": "http://prometheus.monitoring:9090",
        "pushgatewayUrl": "http://pushgateway.monitoring:9091",
        "servicePort": 80,
        "grpcPort": 8081,
        "registryService": "bellwether-mlflow",
        "registryPort": 5000,
        "ledgerUrl": "postgresql+psycopg://postgresql.bellwether-data:5432/bellwether"
        "?sslmode=prefer",
        "ledgerSecret": "bellwether-database",
    }
