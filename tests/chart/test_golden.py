"""The profiles render as reviewed, and into objects that the API server knows."""

import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    GOLDEN,
    PROFILES,
    REGISTRY,
    ROOT,
    golden,
    helm,
    objects,
    render,
)
from tests.chart.rendering import rollout_templates as templates
from tests.chart.shapes import faults

CLUSTER_WIDE = {
    "ClusterStorageContainer", "GatewayClass", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


def test_there_are_profiles_for_kind_a_small_laptop_services_outside_and_kubeflow_pipelines():
    assert PROFILES == ["external", "kfp", "kind", "small"]
    assert sorted(path.stem for path in GOLDEN.glob("*.yaml")) == PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_renders_as_reviewed_or_make_golden_was_forgotten(profile):
    assert golden(profile) == (GOLDEN / f"{profile}.yaml").read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_object_has_only_fields_the_api_server_knows(profile):
    made = objects((GOLDEN / f"{profile}.yaml").read_text())
    assert len(made) > 30
    assert [fault for one in made for fault in faults(one)] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_what_the_rollout_writes_has_only_fields_the_api_server_knows(profile):
    made = templates(objects((GOLDEN / f"{profile}.yaml").read_text()))
    assert [one["kind"] for one in made] == ["InferenceService", "PodDisruptionBudget"]
    assert [fault for one in made for fault in faults(one)] == []


def test_a_misspelt_field_is_found():
    made = objects((GOLDEN / "kind.yaml").read_text())
    deployment = next(one for one in made if one["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    assert faults(deployment) == [
        "apps/v1/Deployment.spec.template.spec.containers[0].imagePullPolcy is unknown"
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_helm_lint_finds_nothing(profile):
    helm("lint", "--strict", CHART, "--values", CHART / "profiles" / f"{profile}.yaml")


def test_readme_and_schema_follow_from_the_values_or_make_charts_was_forgotten():
    script = [sys.executable, ROOT / "charts" / "generate.py", "--check"]
    answer = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_application_is_the_project_in_its_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version
    images = {c["image"] for o in render() if o["kind"] == "Deployment"
              for c in o["spec"]["template"]["spec"]["containers"]}  # fmt: skip
    assert images == {
        f"registry.example.org/bellwether/{part}:{version}" for part in ("pipeline", "ui")
    }


def test_every_object_carries_the_labels_and_nothing_is_left_out_of_a_namespace():
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    for profile in PROFILES:
        for made in render(profile):
            labels, name = made["metadata"]["labels"], made["metadata"]["name"]
            assert labels["app.kubernetes.io/name"] == "bellwether", name
            assert labels["app.kubernetes.io/instance"] == "bellwether", name
            assert labels["app.kubernetes.io/part-of"] == "bellwether", name
            assert labels["app.kubernetes.io/managed-by"] == "Helm", name
            assert labels["helm.sh/chart"] == f"bellwether-{version}", name
            cluster_wide = made["kind"] in CLUSTER_WIDE
            steps = labels.get("app.kubernetes.io/component") == "steps"
            place = "kubeflow" if steps else "bellwether"
            assert cluster_wide or made["metadata"]["namespace"] == place, name


def test_a_release_of_another_name_has_it_in_every_name():
    answer = helm("template", "acme", CHART, "--namespace", "acme", "--set", REGISTRY).stdout
    assert {one["metadata"]["name"].startswith("acme-bellwether") for one in objects(answer)} == {
        True
    }


def test_pods_roll_when_settings_change():
    def mark(*settings):
        made = next(o for o in render("", *settings) if o["kind"] == "Deployment")
        return made["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert mark() == mark("page.replicas=2")
    assert mark() != mark("settings.staleAfterSeconds=86400")
