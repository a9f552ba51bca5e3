"""The chart, installed: everything is ready, reachable and restricted, and a second time is nothing."""

import json

import pytest

from tests.e2e.cluster import DOMAIN
from tests.e2e.installation import install

OURS = "app.kubernetes.io/instance=bellwether"


def test_every_deployment_is_ready(cluster):
    deployments = cluster.get("deployments", labels=OURS)
    names = {one["metadata"]["name"] for one in deployments}
    assert {"bellwether-mlflow", "bellwether-page"} <= names
    for one in deployments:
        assert one["status"].get("readyReplicas") == one["spec"]["replicas"], one["metadata"]


def test_the_page_and_the_registry_answer_through_the_gateway(cluster):
    page = cluster.page_request("/")
    assert page.status_code == 200
    assert "Bellwether" in page.text
    assert cluster.page_request("/health", host=f"mlflow.{DOMAIN}").text == "OK"


def test_without_the_login_the_registry_is_not_shown(cluster):
    assert cluster.page_request("/health", host=f"mlflow.{DOMAIN}", login=False).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/experiments/create"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"),
        ("GET", "/ajax-api/3.0/mlflow/gateway/secrets/list"),
        ("DELETE", "/api/2.0/mlflow/registered-models/alias"),
    ],
)
def test_what_the_route_does_not_name_does_not_reach_the_registry(cluster, method, path):
    answer = cluster.page_request(path, host=f"mlflow.{DOMAIN}", method=method)
    assert answer.status_code == 404
    # Envoy's own answer: MLflow would say in JSON what it lacks.
    assert answer.text == ""


def test_a_host_name_that_is_not_ours_is_not_served(cluster):
    assert cluster.page_request("/", host="elsewhere.example").status_code == 404


def test_bucket_and_databases_were_prepared(cluster):
    assert cluster.s3.exists("bellwether")
    tables = cluster.database_query(
        "select table_name from information_schema.tables where table_schema = 'public'",
        database="mlflow",
    )
    assert "model_versions" in {row["table_name"] for row in tables}


def test_the_reader_of_dashboards_may_read_and_not_write(cluster):
    may = cluster.database_query(
        "select has_schema_privilege('bellwether_reader', 'public', 'USAGE') as uses,"
        " has_schema_privilege('bellwether_reader', 'public', 'CREATE') as creates"
    )
    assert may == [{"uses": "t", "creates": "f"}]


def test_without_a_model_the_route_has_no_rules_and_says_so(cluster):
    if cluster.get("inferenceservices.serving.kserve.io"):
        pytest.skip("versions are served here already")
    assert cluster.page_request("/v2", host=f"forecast.{DOMAIN}").status_code in {404, 500, 503}


def test_installing_again_starts_no_pod_anew(cluster, images, figures):
    def serving() -> set[str]:
        # A Job that looks for what served before is made by every revision.
        names = {pod["metadata"]["name"] for pod in cluster.pods(OURS)}
        return {name for name in names if "-restore-" not in name}

    before = serving()
    seconds = install(cluster, images)
    assert serving() == before
    figures.record("install", "the same chart once more", seconds, "s")


def test_the_release_keeps_no_secret_in_its_values(cluster):
    values = cluster.helm("get", "values", "bellwether", "--all", "--output", "json").expect()
    said = json.dumps(json.loads(values.output))
    for name in ("bellwether-objectstore", "bellwether-database"):
        for value in cluster.secret(name).values():
            # "bellwether" and "testbed" are names too; passwords are not.
            assert len(value) < 12 or value not in said
