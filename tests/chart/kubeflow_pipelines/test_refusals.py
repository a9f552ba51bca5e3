"""Bad values of charts/kubeflow-pipelines fail at render time, in words."""

import pytest

from tests.chart.rendering import DEFINITIONS, PIPELINES


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("apiServer.replicas=2", "additional properties 'replicas' not allowed"),
        ("images.ui.tagg=x", "additional properties 'tagg' not allowed"),
        ("images.driver.digest=sha256:abc", "'/images/driver/digest'"),
        ("images.launcher.repository=", "'/images/launcher/repository': minLength"),
        ("objectStore.endpoint=s3.example.org", "'/objectStore/endpoint'"),
        ("objectStore.pipelineRoot=gs://bucket", "'/objectStore/pipelineRoot'"),
        ("database.pipelinesName=ml-pipeline", "'/database/pipelinesName'"),
        ("workflows.ttlSeconds=0", "'/workflows/ttlSeconds': minimum"),
        ("workflows.controller.resources.limits.memory=much", "limits/memory'"),
        ("networkPolicies.steps[0].namespace=x", "missing property 'ports'"),
    ],
)
def test_the_schema_refuses_wrong_types_names_and_limits(setting, says):
    assert says in PIPELINES.refusal(setting)


def test_the_definitions_take_no_other_values():
    assert "additional properties 'viewers' not allowed" in DEFINITIONS.refusal("viewers=true")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            ["database.engine=postgresql"],
            ('database.engine must be mysql: found "postgresql". The API server of 2.17.0 connects '
             "to PostgreSQL and then speaks MySQL's SQL to it (kubeflow/pipelines#13956), so it "
             "never starts; use the embedded MySQL, or give database.host of one."),
        ),
        (
            ["database.host=db"],
            "database.embedded.enabled must be false when database.host names another: found true",
        ),
        (
            ["database.embedded.enabled=false"],
            'database.host must name a MySQL when database.embedded.enabled is false: found "".',
        ),
        (
            ["database.embedded.enabled=false", "database.host=db"],
            ("database.existingSecret must name a Secret with username and password for "
             'database.host "db": found "".'),
        ),
        (
            ["database.metadataName=mlpipeline"],
            ('database.pipelinesName and database.metadataName must differ: found "mlpipeline" for '
             "both."),
        ),
        (
            ["objectStore.endpoint=http://s3"],
            "objectStore.embedded.enabled must be false when objectStore.endpoint names another",
        ),
        (
            ["objectStore.embedded.enabled=false"],
            "objectStore.endpoint must name an S3 when objectStore.embedded.enabled is false",
        ),
        (
            ["objectStore.embedded.enabled=false", "objectStore.endpoint=http://s3"],
            "objectStore.existingSecret must name a Secret with the keys for objectStore.endpoint",
        ),
        (
            ["objectStore.accessKeyName=AWS_ACCESS_KEY_ID"],
            ("objectStore.accessKeyName and objectStore.secretKeyName are for "
             'objectStore.existingSecret: found "AWS_ACCESS_KEY_ID" and "secretkey" without one.'),
        ),
        (
            ["objectStore.pipelineRoot=minio://other/v2"],
            ('objectStore.pipelineRoot must lie in objectStore.bucket "mlpipeline": found '
             '"minio://other/v2".'),
        ),
        (
            ["database.host=db", "database.embedded.enabled=false", "database.existingSecret=x"],
            "networkPolicies.externalCidrs must say where the database is",
        ),
        (
            ["objectStore.endpoint=http://s3", "objectStore.embedded.enabled=false",
             "objectStore.existingSecret=x"],
            "networkPolicies.externalCidrs must say where the object store is",
        ),
        (
            ["networkPolicies.steps[0].ports={443}"],
            "networkPolicies.steps must give a namespace or a cidr, not both: found",
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_the_finding_and_the_remedy(settings, says):
    assert says in PIPELINES.refusal(*settings)
