"""What the chart says to Kubeflow Pipelines: the steps' settings, and pipelines as resources."""

import pytest
import yaml

from forecasting.settings import Settings
from pipelines.cluster_names import ClusterNames
from pipelines.compile import package
from pipelines.contents import CHART, chart_copies, content_hash
from tests.chart.rendering import one, render

KFP = "training.engine=kfp"
NATIVE = (KFP, "kubeflowPipelines.native=true")
NAMES = ["bellwether-training", "bellwether-refresh"]


def steps_settings(*settings):
    made = [
        o["data"]
        for o in render("", KFP, *settings)
        if o["kind"] == "ConfigMap" and o["metadata"]["namespace"] == "kubeflow"
    ]
    assert len(made) == 1
    return made[0]


def test_steps_get_settings_that_hold_in_another_namespace_and_no_secret():
    found = steps_settings("kubeflowPipelines.publicUrl=https://kfp.example.org",
                           "settings.lastGoodDays=3")  # fmt: skip
    assert found["BELLWETHER_REGISTRY_URL"] == (
        "http://bellwether-mlflow.bellwether.svc.cluster.local:5000"
    )
    assert found["BELLWETHER_LAKE_URL"] == "s3://bellwether/lake"
    assert found["BELLWETHER_PIPELINES_PUBLIC_URL"] == "https://kfp.example.org"
    assert found["BELLWETHER_LAST_GOOD_DAYS"] == "3"
    assert found["BELLWETHER_PREDICTION_LOG_URL"] == (
        "postgresql+psycopg://postgresql.bellwether-data:5432/bellwether?sslmode=prefer"
    )
    assert {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"} < set(found)
    fields = {f"BELLWETHER_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in found if name.startswith("BELLWETHER_")} <= fields
    assert all(isinstance(value, str) for value in found.values())


def test_the_page_starts_trainings_only_if_the_value_is_true():
    def page(*settings):
        return one(render("", *settings), "ConfigMap", "bellwether-settings")["data"]

    assert page()["BELLWETHER_PAGE_TRAINS"] == "false"
    assert page()["BELLWETHER_PIPELINES_URL"] == ""
    both = [
        o["data"]
        for o in render(
            "",
            KFP,
            "page.trains=true",
            "gateway.login.type=basic",
            "kubeflowPipelines.namespace=ml",
        )
        if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "bellwether-settings"
    ]
    (ours,) = [data for data in both if "BELLWETHER_PAGE_TRAINS" in data]
    assert ours["BELLWETHER_PAGE_TRAINS"] == "true"
    assert ours["BELLWETHER_PIPELINES_URL"] == "http://ml-pipeline.ml.svc.cluster.local:8888"


def test_the_charts_copies_are_the_compiled_pipelines_or_make_golden_was_forgotten():
    found = {path.name: path.read_text() for path in CHART.glob("*.yaml")}
    assert found == chart_copies()


@pytest.mark.parametrize("providers", ["", "accounts"])
@pytest.mark.parametrize("name", NAMES)
def test_a_rendered_version_is_byte_for_byte_the_one_that_would_be_uploaded(name, providers):
    settings = ("images.registry=registry.example.org", "images.pipeline.tag=v7",
                "kubeflowPipelines.objectStoreSecret=keys",
                f"kubeflowPipelines.providersSecret={providers}")  # fmt: skip
    text = package(
        name,
        image="registry.example.org/bellwether/pipeline:v7",
        names=ClusterNames("bellwether-settings", "keys", "bellwether-database", providers),
    )
    rendered = render("", *NATIVE, *settings)
    pipeline = one(rendered, "Pipeline", name)
    version = one(rendered, "PipelineVersion", f"{name}-{content_hash(text)}")
    for made in (pipeline, version):
        assert made["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert made["metadata"]["namespace"] == "kubeflow"
    spec = version["spec"]
    assert (spec["pipelineName"], spec["versionName"]) == (name, content_hash(text))
    documents = list(yaml.safe_load_all(text))
    assert spec["pipelineSpec"] == documents[0]
    assert spec.get("platformSpec") == (documents[1] if len(documents) > 1 else None)
    assert version["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_rendered_versions_are_not_uploaded_and_the_schedules_name_them():
    rendered = render("", *NATIVE)
    pod = one(rendered, "Job", "bellwether-submit")["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["initContainers"]] == ["schedule-refresh"]
    for name, container in zip(
        NAMES, [pod["containers"][0], pod["initContainers"][0]], strict=True
    ):
        version = container["args"][container["args"].index("--version") + 1]
        assert one(rendered, "PipelineVersion", f"{name}-{version}")


def test_without_native_nothing_is_a_resource_of_kubeflow_pipelines():
    assert not [o for o in render("", KFP) if "kubeflow.org" in o["apiVersion"]]
