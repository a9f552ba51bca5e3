"""Pods meet the restricted standard, secrets are drawn, and rights end at the namespace's border."""

import json

import pytest

from tests.chart.rendering import PIPELINES, objects, one, pods
from tests.chart.restricted import violations

PROFILES = PIPELINES.profiles
TOKENS = {
    "Deployment/ml-pipeline", "Deployment/ml-pipeline-persistenceagent",
    "Deployment/ml-pipeline-scheduledworkflow", "Deployment/ml-pipeline-ui",
    "Deployment/workflow-controller",
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_meets_the_restricted_standard(profile):
    found = dict(pods(PIPELINES.render(profile)))
    assert len(found) == (8 if profile == "external" else 10)
    assert {name: list(violations(spec)) for name, spec in found.items()} == {k: [] for k in found}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_container_has_a_read_only_root_a_memory_limit_and_a_cpu_request(profile):
    for name, spec in pods(PIPELINES.render(profile)):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" in container["resources"]["requests"], name


def test_a_token_is_mounted_only_where_kubernetes_is_asked():
    found = dict(pods(PIPELINES.render()))
    assert {name for name, spec in found.items() if spec["automountServiceAccountToken"]} == TOKENS


def test_no_right_is_a_wildcard_and_none_is_cluster_wide():
    rendered = PIPELINES.render()
    assert not [o for o in rendered if o["kind"].startswith("ClusterRole")]
    for role in (o for o in rendered if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_object_stores_secret_is_the_only_one_that_can_be_read():
    for profile, secret in (("kind", "mlpipeline-minio-artifact"), ("external", "pipelines-s3")):
        readers = {
            (role["metadata"]["name"], *rule["resourceNames"])
            for role in PIPELINES.render(profile)
            if role["kind"] == "Role"
            for rule in role["rules"]
            if "secrets" in rule["resources"]
        }
        assert readers == {(name, secret) for name in ("ml-pipeline-ui", "pipeline-runner")}


def test_a_pipelines_own_rights_are_added_to_the_runners():
    rule = (
        'pipelineRunner.extraRules=[{"apiGroups":["batch"],"resources":["jobs"],"verbs":["get"]}]'
    )
    rendered = objects(PIPELINES.template("--set-json", rule).stdout)
    rules = one(rendered, "Role", "pipeline-runner")["rules"]
    assert rules[-1] == {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}


def test_secrets_of_the_embedded_stores_are_generated_kept_and_equal():
    first, second = (objects(PIPELINES.template().stdout) for _ in range(2))
    for name in ("mysql-secret", "mlpipeline-minio-artifact"):
        secret = one(first, "Secret", name)
        assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert secret["stringData"] != one(second, "Secret", name)["stringData"]
    keys = one(first, "Secret", "mlpipeline-minio-artifact")["stringData"]
    identities = one(first, "Secret", "seaweedfs-identities")["stringData"]["identities.json"]
    (identity,) = json.loads(identities)["identities"]
    assert identity["credentials"] == [
        {"accessKey": keys["accesskey"], "secretKey": keys["secretkey"]}
    ]


def test_external_services_use_existing_secrets_and_nothing_renders_a_password():
    assert not [o for o in PIPELINES.render("external") if o["kind"] == "Secret"]
    for name, spec in pods(PIPELINES.render("external")):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for variable in container.get("env", []):
                if any(word in variable["name"] for word in ("PASSWORD", "SECRET", "ACCESS")):
                    assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])


def test_the_databases_user_owns_two_databases_and_nothing_else():
    sql = one(PIPELINES.render(), "ConfigMap", "mysql-setup")["data"]["databases.sql"]
    granted = [
        line.split(" ON ")[1].split(" TO ")[0] for line in sql.splitlines() if "GRANT" in line
    ]
    assert granted == ["`mlpipeline`.*", "`metadb`.*"]
    spec = dict(pods(PIPELINES.render()))["StatefulSet/mysql"]
    assert {"name": "MYSQL_ROOT_HOST", "value": "localhost"} in spec["containers"][0]["env"]
