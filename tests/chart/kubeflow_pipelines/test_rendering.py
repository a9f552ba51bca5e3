"""The profiles of charts/kubeflow-pipelines render as reviewed, into objects the API server knows."""

import json
import re

import pytest
import yaml

from tests.chart.rendering import DEFINITIONS, PIPELINES, helm, objects, one, pods
from tests.chart.shapes import faults

VALUES = yaml.safe_load((PIPELINES.folder / "values.yaml").read_text())
PROFILES = PIPELINES.profiles
IMAGES = {name for name, value in VALUES["images"].items() if isinstance(value, dict)}


def containers(rendered):
    return [
        container
        for _, spec in pods(rendered)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    ]


def variables(rendered, deployment):
    spec = one(rendered, "Deployment", deployment)["spec"]["template"]["spec"]
    return {v["name"]: v.get("value", "") for v in spec["containers"][0]["env"]}


def test_there_are_profiles_for_kind_a_small_laptop_and_services_outside():
    assert PROFILES == ["external", "kind", "small"]
    assert sorted(path.stem for path in PIPELINES.golden_files.glob("*.yaml")) == PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_renders_as_reviewed_or_make_golden_was_forgotten(profile):
    text = (PIPELINES.golden_files / f"{profile}.yaml").read_text()
    assert PIPELINES.golden(profile) == text
    assert [fault for made in objects(text) for fault in faults(made)] == []


@pytest.mark.parametrize("chart", [PIPELINES, DEFINITIONS], ids=lambda chart: chart.name)
def test_helm_lint_finds_nothing(chart):
    helm("lint", "--strict", chart.folder)
    for profile in chart.profiles:
        helm("lint", "--strict", chart.folder, *chart.of_profile(profile))


def test_the_definitions_are_valid_and_kept_on_uninstall():
    rendered = DEFINITIONS.render()
    assert [fault for made in rendered for fault in faults(made)] == []
    assert len(rendered) == 9
    for made in rendered:
        assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    without = {o["spec"]["group"] for o in DEFINITIONS.render("", "argo=false")}
    assert without == {"kubeflow.org", "pipelines.kubeflow.org"}


def test_every_object_carries_the_labels_and_is_in_the_namespace():
    for profile in PROFILES:
        for made in PIPELINES.render(profile):
            labels, name = made["metadata"]["labels"], made["metadata"]["name"]
            assert labels["app.kubernetes.io/name"] == "kubeflow-pipelines", name
            assert labels["app.kubernetes.io/part-of"] == "kubeflow-pipelines", name
            assert made["metadata"]["namespace"] == "kubeflow", name


def test_every_image_can_be_taken_from_a_mirror_or_named_by_digest():
    mirrored = PIPELINES.render("external")
    everywhere = json.dumps(mirrored)
    used = {c["image"] for c in containers(mirrored)}
    assert all(image.startswith("registry.example.org/mirror/") for image in used)
    assert not re.search(r"(ghcr|quay|gcr|docker)\.io/", everywhere)
    digest = "sha256:" + "b" * 64
    made = json.dumps(PIPELINES.render("", *(f"images.{name}.digest={digest}" for name in IMAGES)))
    for image in IMAGES:
        assert f"{VALUES['images'][image]['repository']}@{digest}" in made, image


def test_pods_that_run_workflows_pull_with_the_same_credentials():
    account = one(PIPELINES.render("external"), "ServiceAccount", "pipeline-runner")
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_every_value_is_used_by_some_template():
    files = [path for path in (PIPELINES.folder / "templates").rglob("*") if path.is_file()]
    text = "\n".join(path.read_text() for path in files)
    flows = (PIPELINES.folder / "flows.yaml").read_text()

    def unused(node, path=()):
        for key, value in node.items():
            if isinstance(value, dict) and value and "repository" not in value:
                if key not in {"requests", "limits"}:
                    yield from unused(value, (*path, key))
            elif not re.search(rf"\.{key}\b|\"{key}\"", text + flows):
                yield ".".join((*path, key))

    assert list(unused(VALUES)) == []


def test_no_template_default_overrides_the_retries_of_a_pipeline():
    for profile in PROFILES:
        data = one(PIPELINES.render(profile), "ConfigMap", "workflow-controller-configmap")["data"]
        defaults = yaml.safe_load(data["workflowDefaults"])
        assert defaults == {"spec": {"ttlStrategy": {"secondsAfterCompletion": 3600}}}


def test_every_client_uses_the_same_object_store():
    rendered = PIPELINES.render("external")
    host = "s3.eu-central-1.amazonaws.com"
    providers = yaml.safe_load(one(rendered, "ConfigMap", "kfp-launcher")["data"]["providers"])
    secret = {"secretName": "pipelines-s3", "accessKeyKey": "AWS_ACCESS_KEY_ID",
              "secretKeyKey": "AWS_SECRET_ACCESS_KEY"}  # fmt: skip
    assert set(providers) == {"minio", "s3"}
    for provider in providers.values():
        assert provider["default"] == {
            "endpoint": f"{host}:443", "region": "eu-central-1", "disableSSL": False,
            "forcePathStyle": True, "credentials": {"fromEnv": False, "secretRef": secret},
        }  # fmt: skip
    controller = one(rendered, "ConfigMap", "workflow-controller-configmap")["data"]
    store = yaml.safe_load(controller["artifactRepository"])["s3"]
    assert (store["endpoint"], store["insecure"]) == (f"{host}:443", False)
    server, ui = variables(rendered, "ml-pipeline"), variables(rendered, "ml-pipeline-ui")
    assert (server["OBJECTSTORECONFIG_HOST"], server["OBJECTSTORECONFIG_SECURE"]) == (host, "true")
    assert (ui["MINIO_HOST"], ui["MINIO_PORT"], ui["MINIO_SSL"]) == (host, "443", "true")
    assert ui["ARGO_KEYFORMAT"] == store["keyFormat"]


def test_the_servers_own_configuration_has_no_plugins_and_takes_parameters_of_the_connection():
    data = one(PIPELINES.render("external"), "ConfigMap", "ml-pipeline-config")["data"]
    config = json.loads(data["config.json"])
    assert "plugins" not in config
    assert config["DBConfig"]["MySQLConfig"]["ExtraParams"] == {"tls": "true"}
    assert config["InitConnectionTimeout"]


def test_pipelines_as_resources_bring_a_webhook_for_this_namespace_only():
    native = PIPELINES.render("", "kubernetesNative.enabled=true")
    hooks = [o for o in native if o["kind"].endswith("WebhookConfiguration")]
    assert [fault for made in hooks for fault in faults(made)] == []
    assert {hook["webhooks"][0]["clientConfig"]["service"]["path"] for hook in hooks} == {
        "/webhooks/mutate-pipelineversion", "/webhooks/validate-pipelineversion",
    }  # fmt: skip
    for hook in hooks:
        assert hook["webhooks"][0]["namespaceSelector"] == {
            "matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}
        }
    server = one(native, "Deployment", "ml-pipeline")["spec"]["template"]["spec"]["containers"][0]
    assert "--pipelinesStoreKubernetes=true" in server["args"]
    ports = [port["port"] for port in one(native, "Service", "ml-pipeline")["spec"]["ports"]]
    assert ports == [8888, 8887, 8443]
    usual = PIPELINES.render()
    assert not [o for o in usual if o["kind"].endswith("WebhookConfiguration")]


def test_without_the_interface_nothing_of_it_is_left():
    names = {o["metadata"]["name"] for o in PIPELINES.render("", "ui.enabled=false")}
    assert not {name for name in names if "ui" in name.split("-") or "envoy" in name}


def test_pods_roll_when_what_they_read_changes():
    def mark(name, *settings):
        made = one(PIPELINES.render("", *settings), "Deployment", name)
        return made["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert mark("workflow-controller") != mark("workflow-controller", "workflows.parallelism=3")
    assert mark("ml-pipeline") != mark("ml-pipeline", "database.connectionMaxLifetime=60s")
    assert mark("ml-pipeline") == mark("ml-pipeline", "workflows.parallelism=3")


@pytest.mark.parametrize(
    ("profile", "row"),
    [("", "this chart"), ("small", "profile `small`"), ("external", "profile `external`")],
)
def test_the_document_lists_the_requests(profile, row):
    asked = [
        container["resources"]["requests"]
        for name, spec in pods(PIPELINES.render(profile))
        for container in spec["containers"]
        if not name.startswith("Pod/")
    ]
    cpu = sum(int(amounts["cpu"].removesuffix("m")) for amounts in asked)
    memory = sum(int(amounts["memory"].removesuffix("Mi")) for amounts in asked)
    document = (PIPELINES.folder.parents[1] / "docs" / "kubeflow-pipelines.md").read_text()
    assert f"| {row} | {len(asked)} | {cpu}m | {memory:,} MiB |" in document


def test_the_small_profile_asks_for_less_than_the_default_in_every_part():
    def asked(profile):
        return {
            name: spec["containers"][0]["resources"]["requests"]["memory"]
            for name, spec in pods(PIPELINES.render(profile))
        }

    usual, small = asked(""), asked("small")
    assert usual.keys() == small.keys()
    for name in usual.keys() - {"Pod/pipelines-test"}:
        assert int(small[name].removesuffix("Mi")) < int(usual[name].removesuffix("Mi")), name
