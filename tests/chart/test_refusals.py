"""Bad values fail at render time, in words: the value, what was found, the cure."""

import pytest

from tests.chart.rendering import refusal, render, template

DIGEST = "images.ui.digest=sha256:abc"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("page.replicas=two", "'/page/replicas': got string, want integer"),
        ("page.repliacs=2", "additional properties 'repliacs' not allowed"),
        ("settings.lakeUrl=s3://x", "additional properties 'lakeUrl' not allowed"),
        ("settings.reloadSeconds=0", "'/settings/reloadSeconds'"),
        ("objectStore.bucket=No_Bucket", "'/objectStore/bucket': 'No_Bucket' does not match"),
        (DIGEST, "'/images/ui/digest'"),
        ("images.pullPolicy=Sometimes", "'/images/pullPolicy': value must be one of"),
        ("training.schedule=weekly", "'/training/schedule'"),
        ("mlflow.resources.limits.memory=much", "'/mlflow/resources/limits/memory'"),
        ("training.folds=2", "'/training/folds': minimum: got 2, want 3"),
        ("gateway.login.type=open", "'/gateway/login/type': value must be one of"),
        ("page.roles.trainers={a\\,b}", "'/page/roles/trainers/0': 'a,b' does not match"),
        ("gateway.login.oidc.issuer=http://x", "'/gateway/login/oidc/issuer': 'http://x' does not"),
    ],
)
def test_the_schema_refuses_wrong_types_names_and_limits(setting, says):
    assert says in refusal(setting)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            ["images.registry="],
            ('images.registry must say from where our images come: found none, and '
            '"bellwether/pipeline:0.1.0", a name on a public registry that a stranger may take. '
            "These pods get your keys: set images.registry to a registry of yours (bellwether "
            "cluster up --images REGISTRY builds, pushes and pins them), or, where the nodes have "
            "the images and training.engine is job, images.pullPolicy=Never."),
        ),
        (
            ["images.registry=", "images.pipeline.repository=registry.example.org/pipeline"],
            'images.registry must say from where our images come: found none, and "bellwether/serving',
        ),
        (
            ["images.registry=", "images.pullPolicy=Never", "training.engine=kfp"],
            "images.registry must say from where our images come",
        ),
        (
            ["page.roles.trainers={tom,ann}"],
            ("page.roles by name need a login that names its user to the page: found ann, tom, and "
            "none. Set page.login=true and gateway.login.type to basic"),
        ),
        (
            ["page.roles.operators={ann}", "page.login=true", "gateway.login.type=external"],
            "page.roles by name need a login that names its user to the page: found ann",
        ),
        (
            ["images.registry=acme"],
            'found none, and "acme/bellwether/pipeline:0.1.0", a name on a public registry',
        ),
        (
            ["database.existingSecret="],
            ('database.existingSecret must name a Secret of this namespace: found "". Create the '
            "Secret (the README says which keys) and give its name; secrets are never taken from "
            "values."),
        ),
        (
            ["objectStore.existingSecret="],
            "objectStore.existingSecret must name a Secret of this namespace",
        ),
        (
            ["drift.timeZone=Europe/Berln"],
            ('drift.timeZone must be a time zone: found "Europe/Berln". Give a name of the IANA '
            "database, e.g. Etc/UTC or Europe/Berlin."),
        ),
        (
            ["monitoring.receivers.email.to={ada@b.example}"],
            'monitoring.receivers.email must have from and smarthost with to: found "" and ""',
        ),
        (
            ["monitoring.receivers.email.username=ada"],
            "monitoring.receivers.email must have username and existingSecret, or neither",
        ),
        (["refresh.timeZone=Local"], 'refresh.timeZone must be a time zone: found "Local"'),
        (
            ["training.engine=kfp", "training.timeZone=Asia/Tokyo"],
            ('training.timeZone must be kubeflowPipelines.timeZone with training.engine=kfp: found '
            '"Asia/Tokyo" and "Etc/UTC". Kubeflow Pipelines has one time zone for all schedules; '
            "write the schedule in it, or change the installation's and "
            "kubeflowPipelines.timeZone."),
        ),
        (
            ["training.engine=kfp", "refresh.timeZone=Europe/Oslo"],
            "refresh.timeZone must be kubeflowPipelines.timeZone with training.engine=kfp",
        ),
        (
            ["training.engine=kfp", "kubeflowPipelines.namespace=bellwether"],
            'kubeflowPipelines.namespace must not be the release\'s: found "bellwether".',
        ),
        (
            ["training.engine=kfp", "rollout.deadlineSeconds=1200"],
            ("rollout.deadlineSeconds must leave time for the rollout: found 1200, and 4 steps of "
            "5 minutes are 1200 s by themselves."),
        ),
        (
            ["training.engine=kfp", "database.host=postgresql"],
            ('database.host must be a name that steps in namespace kubeflow find, too: found '
            '"postgresql".'),
        ),
        (
            ["training.engine=kfp", "objectStore.endpoint=http://minio:9000"],
            'objectStore.endpoint must be a name that steps in namespace kubeflow find, too: found "minio".',
        ),
        (
            ["page.trains=true"],
            "page.trains needs training.engine=kfp: found job. The page cannot start a Job;",
        ),
        (
            ["kubeflowPipelines.native=true"],
            "kubeflowPipelines.native needs training.engine=kfp: found job.",
        ),
        (
            ["serving.minReplicas=0"],
            ("serving.minReplicas must be at least 1: found 0. KServe would silently make it 1, and "
            "a version without pods answers 503; set it to 1 or more."),
        ),
        (
            ["serving.minReplicas=6"],
            ("serving.maxReplicas must not be below serving.minReplicas: found 4 below 6. Raise "
            "serving.maxReplicas."),
        ),
        (
            ["serving.podDisruptionBudget.minAvailable=4"],
            ("serving.podDisruptionBudget.minAvailable must be below serving.maxReplicas: found 4 of "
            "4. No node could be drained; lower minAvailable."),
        ),
        (
            ["serving.resources.requests.cpu=null"],
            "serving.resources.requests.cpu must be set: found none.",
        ),
        (
            ["page.autoscaling.enabled=true", "page.autoscaling.minReplicas=5"],
            ("page.autoscaling.maxReplicas must not be below page.autoscaling.minReplicas: found 4 "
            "below 5. Raise maxReplicas."),
        ),
        (
            ["page.autoscaling.enabled=true", "page.resources.requests.cpu=null"],
            "page.resources.requests.cpu must be set when page.autoscaling.enabled is true",
        ),
        (
            ["gateway.nodePort=8080"],
            ("gateway.nodePort must be 0 or between 30000 and 32767: found 8080. Kubernetes gives "
            "out no other node ports; choose one of these, or 0 for a LoadBalancer."),
        ),
        (
            ["gateway.parentRef.name=public"],
            ("gateway.parentRef is for gateway.create=false: found create=true and "
            'parentRef.name="public".'),
        ),
        (
            ["gateway.create=false"],
            'gateway.parentRef.name must name a Gateway when gateway.create is false: found "".',
        ),
        (
            ["gateway.create=false", "gateway.parentRef.name=public"],
            ("gateway.service must be the host name of the gateway's data-plane Service when "
            'gateway.create is false: found "".'),
        ),
        (
            ["gateway.create=false", "gateway.parentRef.name=public", "gateway.service=x.y",
             "gateway.createClass=true"],
            "gateway.createClass needs gateway.create=true: found create=false.",
        ),
        (
            ["gateway.extraRoutes.mlflow.service=x", "gateway.extraRoutes.mlflow.port=80"],
            ('gateway.extraRoutes must have names and hostnames of their own: found "mlflow", '
            "which is taken. Choose another."),
        ),
        (
            ["mlflow.route=true"],
            ("gateway.login.type must say who asks for a login on the routes of MLflow, third "
            "parties and a page that trains: found none, and routes to mlflow. Whoever reached the "
            "gateway could use them. Set it to basic or oidc (external, if a proxy before this "
            "gateway asks), or leave these routes out."),
        ),
        (
            ["training.engine=kfp", "page.trains=true"],
            "a page that trains: found none, and routes to page.",
        ),
        (
            ["page.login=true"],
            "a page that trains: found none, and routes to page.",
        ),
        (
            ["gateway.extraRoutes.prometheus.service=x", "gateway.extraRoutes.prometheus.port=80"],
            "a page that trains: found none, and routes to prometheus.",
        ),
        (
            ["gateway.login.type=basic", "gateway.login.existingSecret="],
            ("gateway.login.existingSecret must name a Secret of this namespace with "
            'gateway.login.type=basic: found "".'),
        ),
        (
            ["gateway.login.type=oidc", "gateway.login.oidc.clientId=me"],
            ("gateway.login.oidc must have issuer and clientId with gateway.login.type=oidc: found "
            '"" and "me".'),
        ),
        (
            ["training.source=files"],
            ('training.source must be something a pod can reach: found "files", which are on '
            "somebody's disk."),
        ),
        (
            ["training.source=yahoo"],
            ('training.symbols must not be empty for a live source: found none for source "yahoo". '
            "Name some, e.g. [AAPL, BTC-USD]."),
        ),
        (
            ["training.shards=8"],
            "training.shards must be 1 for training.source sample: found 8. A replay is read at once;",
        ),
        (
            ["training.source=yahoo", "training.symbols={AAPL}"],
            'networkPolicies.pricesEgress must be true for training.source "yahoo": found false.',
        ),
        (
            ["training.deadlineSeconds=1200"],
            ("training.deadlineSeconds must leave time for the rollout: found 1200, and 4 steps of "
            "5 minutes are 1200 s by themselves."),
        ),
        (
            ["rollout.steps={25,10,100}"],
            "rollout.steps must rise: found 10 after 25. Put them in order, each once.",
        ),
        (
            ["rollout.steps={10,50}"],
            ("rollout.steps must end with 100: found 50. A rollout that never finishes leaves two "
            "versions for ever; add 100."),
        ),
        (
            ["settings.staleAfterSeconds=2000000"],
            ("settings.staleAfterSeconds must not be above settings.refuseAfterSeconds: found "
            "2000000 above 1209600."),
        ),
        (
            ["networkPolicies.database.namespace="],
            ("networkPolicies.externalCidrs must say where the database is when "
            "networkPolicies.database.namespace is empty: found []."),
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_the_finding_and_the_remedy(settings, says):
    assert says in refusal(*settings)


@pytest.mark.parametrize(
    "registry",
    ["localhost", "localhost:5000/acme", "containers.example.org/acme", "registry.example.org"],
)
def test_a_registry_with_a_host_of_its_own_is_taken(registry):
    assert render("", f"images.registry={registry}")


def test_a_cluster_without_admission_policies_is_refused_unless_they_are_left_out():
    old = ("--kube-version", "1.29.3")
    refused = template(*old, check=False)
    assert refused.returncode != 0
    assert (
        "rollout.admissionPolicy needs Kubernetes 1.30 or newer: found v1.29.3." in refused.stderr
    )
    template(*old, "--set", "rollout.admissionPolicy=false")


def test_images_that_are_never_pulled_need_no_registry():
    assert render("", "images.registry=", "images.pullPolicy=Never")
