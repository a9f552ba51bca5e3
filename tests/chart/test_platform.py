import re
import subprocess
from itertools import pairwise

import pytest
import yaml

from bellwether.cluster import kind, login
from bellwether.cluster.helmfile import CHARTS, EXACT, merged, platform_releases
from bellwether.cluster.images import LOCAL, RECIPES, images_settings
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.up import Plan, own_settings, secrets_needed, wiring
from forecasting.errors import InvalidSettings
from tests.chart.rendering import helm, objects, template
from tests.programs import program

PLATFORM = CHARTS / "platform"
PROFILES = ("default", "small")
FOUNDATION = PLATFORM / "foundation"


def releases(profile="default"):
    return platform_releases(profile)


def test_every_release_is_pinned_to_one_version():
    assert all(EXACT.fullmatch(release.version) for release in releases())


def test_foundation_comes_first_and_everything_after_what_it_needs():
    order = [f"{release.namespace}/{release.name}" for release in releases()]
    assert order[0] == "bellwether-platform/foundation"
    for release in releases():
        place = order.index(f"{release.namespace}/{release.name}")
        assert all(order.index(need) < place for need in release.needs)


def test_crds_come_before_their_controllers():
    order = [release.name for release in releases()]
    expected = ["cert-manager", "kserve-crd", "kserve"]
    assert all(order.index(a) < order.index(b) for a, b in pairwise(expected))
    assert order.index("cloudnative-pg") < order.index("database")
    assert order.index("kubeflow-pipelines-crds") < order.index("kubeflow-pipelines")
    assert order.index("kube-prometheus-stack") < order.index("pushgateway")


def test_a_list_out_of_order_is_refused(tmp_path):
    listed = list(yaml.safe_load_all((PLATFORM / "helmfile.yaml").read_text()))
    listed[1]["releases"].reverse()
    (tmp_path / "helmfile.yaml").write_text(yaml.safe_dump_all(listed))
    with pytest.raises(InvalidSettings, match="must come after what it needs"):
        platform_releases(folder=tmp_path)


def test_a_loose_version_is_refused(tmp_path):
    text = (PLATFORM / "helmfile.yaml").read_text().replace("v1.21.2", "~1.21.2")
    (tmp_path / "helmfile.yaml").write_text(text)
    with pytest.raises(InvalidSettings, match="pinned to one version"):
        platform_releases(folder=tmp_path)


def test_an_unknown_profile_is_refused():
    with pytest.raises(InvalidSettings, match="default, small"):
        platform_releases("large")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_values_file_belongs_to_a_release_and_is_used(profile):
    used = {path for release in releases(profile) for path in release.values}
    beside = {path for path in used if ".." in path.parts}
    assert [path.stem for path in beside] == (["small"] if profile == "small" else [])
    used -= beside
    there = set((PLATFORM / "values").glob("*.yaml"))
    small = set((PLATFORM / "values" / "small").glob("*.yaml"))
    assert used == there | (small if profile == "small" else set())


def test_the_small_profile_asks_for_less():
    by_name = {release.name: merged(release.values) for release in releases()}
    small = {release.name: merged(release.values) for release in releases("small")}
    memory = ("database", "cluster", "resources", "requests", "memory")

    def megabytes(values):
        for key in memory:
            values = values[key]
        return int(values.removesuffix("Mi"))

    assert megabytes(small) < megabytes(by_name)
    assert small["database"]["cluster"]["initdb"] == by_name["database"]["cluster"]["initdb"]


def test_the_readme_lists_licence_and_memory_of_every_release():
    table = (PLATFORM / "README.md").read_text()
    for release in releases():
        row = re.search(rf"^\| {re.escape(release.name)} \|.*$", table, re.MULTILINE)
        assert row, f"{release.name} is missing in the table"
        assert release.version in row[0]
        assert re.search(r"Apache-2\.0|AGPL-3\.0|PostgreSQL", row[0])


def test_bellwether_gets_the_addresses_of_installed_releases_only():
    assert [path.stem for path in wiring(releases(), ["database", "kserve"])] == ["database"]
    assert wiring(releases(), []) == []


def bellwether_on_the_platform(without="nothing", *, loopback=False):
    names = [release.name for release in releases() if without not in release.name]
    files = wiring(releases(), names, loopback=loopback)
    arguments = [part for path in files for part in ("--values", path)]
    return objects(template(*arguments).stdout)


def test_bellwether_renders_with_the_whole_platform():
    rendered = bellwether_on_the_platform()
    ours = [item for item in rendered if item["metadata"].get("namespace") != "kubeflow"]
    settings = named(ours, "ConfigMap", "bellwether-settings")
    assert settings["data"]["BELLWETHER_PUSHGATEWAY_URL"] == "http://pushgateway.monitoring:9091"
    assert settings["data"]["BELLWETHER_PAGE_TRAINS"] == "false"
    routes = {item["metadata"]["name"] for item in rendered if item["kind"] == "HTTPRoute"}
    assert routes == {"bellwether-page", "bellwether-forecast", "bellwether-forecast-unserved"}


def test_on_the_loopback_everything_is_routed_and_what_has_no_users_is_behind_a_login():
    rendered = bellwether_on_the_platform(loopback=True)
    routes = {item["metadata"]["name"] for item in rendered if item["kind"] == "HTTPRoute"}
    third = {"bellwether-grafana", "bellwether-prometheus", "bellwether-pipelines"}
    forecasts = {"bellwether-forecast", "bellwether-forecast-unserved"}
    assert routes == {"bellwether-page", "bellwether-mlflow", *forecasts, *third}
    policies = [item["spec"] for item in rendered if item["kind"] == "SecurityPolicy"]
    assert {target["name"] for policy in policies for target in policy["targetRefs"]} == {
        "bellwether-page", "bellwether-mlflow", "bellwether-prometheus", "bellwether-pipelines",
    }  # fmt: skip
    values = merged(wiring(releases(), [r.name for r in releases()], loopback=True))
    (secret,) = {policy["basicAuth"]["users"]["name"] for policy in policies}
    assert login.needed(values, []) == secret == login.SECRET
    ours = [item for item in rendered if item["metadata"].get("namespace") != "kubeflow"]
    settings = named(ours, "ConfigMap", "bellwether-settings")["data"]
    assert settings["BELLWETHER_PAGE_TRAINS"] == "true"


def test_what_is_not_installed_is_not_routed():
    rendered = bellwether_on_the_platform(without="prometheus", loopback=True)
    routes = {item["metadata"]["name"] for item in rendered if item["kind"] == "HTTPRoute"}
    assert not routes & {"bellwether-grafana", "bellwether-prometheus"}
    assert "bellwether-mlflow" in routes


def test_steps_get_the_address_of_the_pipelines_page_on_the_loopback():
    rendered = bellwether_on_the_platform(loopback=True)
    (steps,) = (
        item
        for item in rendered
        if item["kind"] == "ConfigMap" and item["metadata"]["namespace"] == "kubeflow"
    )
    assert steps["data"]["BELLWETHER_PIPELINES_PUBLIC_URL"] == (
        "http://pipelines.bellwether.localhost:8080"
    )


def test_without_kubeflow_pipelines_jobs_train():
    rendered = bellwether_on_the_platform(without="kubeflow")
    assert named(rendered, "CronJob", "bellwether-training")
    settings = named(rendered, "ConfigMap", "bellwether-settings")["data"]
    assert (settings["BELLWETHER_PAGE_TRAINS"], settings["BELLWETHER_PIPELINES_URL"]) == (
        "false",
        "",
    )


def plan(*skip, namespace="bellwether"):
    return Plan(Installation(Kubectl("here"), namespace, "bellwether"), skip=skip)


def pipelines(*skip, namespace="bellwether", profile="default"):
    """What is rendered of Kubeflow Pipelines as the installer would have it."""
    release = next(r for r in releases(profile) if r.name == "kubeflow-pipelines")
    files = [part for path in release.values for part in ("--values", path)]
    settings = own_settings(plan(*skip, namespace=namespace), release)
    sets = [part for setting in settings for part in ("--set", setting)]
    place = ("--namespace", release.namespace)
    return objects(helm("template", release.name, release.chart, *place, *files, *sets).stdout)


def named(rendered, kind, name):
    return next(o for o in rendered if o["kind"] == kind and o["metadata"]["name"] == name)


def test_our_own_charts_are_installed_in_the_version_they_have():
    local = [release for release in releases() if "/" in release.chart and ":" not in release.chart]
    assert [release.name for release in local] == [
        "foundation", "kubeflow-pipelines-crds", "kubeflow-pipelines",
    ]  # fmt: skip
    for release in local:
        chart = yaml.safe_load((CHARTS / release.chart / "Chart.yaml").read_text())
        assert chart["version"] == release.version


@pytest.mark.parametrize("profile", PROFILES)
def test_kubeflow_pipelines_keeps_artifacts_in_our_store_with_the_keys_foundation_gives(profile):
    rendered = pipelines(profile=profile)
    assert not [o for o in rendered if o["metadata"]["name"] == "seaweedfs"]
    launcher = named(rendered, "ConfigMap", "kfp-launcher")["data"]
    provider = yaml.safe_load(launcher["providers"])["minio"]["default"]
    keys = secrets(objects(foundation().stdout))["kubeflow", "kubeflow-pipelines-object-store"]
    secret = provider["credentials"]["secretRef"]
    assert secret["secretName"] == keys["metadata"]["name"]
    assert {secret["accessKeyKey"], secret["secretKeyKey"]} == set(keys["stringData"])
    store = merged(wiring(releases(), ["seaweedfs"]))["objectStore"]["endpoint"]
    assert store == f"http://{provider['endpoint']}"


def test_kubeflow_pipelines_brings_a_store_where_ours_is_left_out():
    rendered = pipelines("seaweedfs")
    assert named(rendered, "StatefulSet", "seaweedfs")
    assert named(rendered, "Secret", "mlpipeline-minio-artifact")


def test_another_release_namespace_may_start_runs():
    policy = named(pipelines(namespace="acme"), "NetworkPolicy", "apiserver")["spec"]
    peers = [peer for rule in policy["ingress"] for peer in rule["from"]]
    asking = [p["namespaceSelector"] for p in peers if "namespaceSelector" in p]
    assert [a["matchExpressions"][0]["values"] for a in asking] == [["acme"]]


def test_without_kubeflow_pipelines_foundation_makes_nothing_for_it():
    sets = own_settings(plan("kubeflow-pipelines"), releases()[0])
    assert sets == ("pipelines.enabled=false",)
    rendered = objects(foundation(*sets).stdout)
    assert not [o for o in rendered if "kubeflow" in {o["metadata"]["name"],
                                                      o["metadata"].get("namespace")}]  # fmt: skip


def foundation(*settings, check=True):
    files = ("--values", PLATFORM / "values" / "foundation.yaml", "--kube-version", "1.34.0")
    sets = [part for setting in settings for part in ("--set", setting)]
    return helm("template", "foundation", FOUNDATION, *files, *sets, check=check)


def secrets(rendered):
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in rendered
        if item["kind"] == "Secret"
    }


def test_every_copy_of_a_password_is_the_same():
    made = secrets(objects(foundation().stdout))
    own = made["bellwether", "bellwether-database"]["stringData"]
    assert (
        made["bellwether-data", "bellwether-database"]["stringData"]["password"] == own["password"]
    )
    for mine, steps in (
        ("bellwether-objectstore-jobs", "bellwether-object-store"),
        ("bellwether-database-jobs", "bellwether-database"),
    ):
        keys = made["bellwether", mine]["stringData"]
        assert made["kubeflow", steps]["stringData"] == keys
    reader = made["monitoring", "bellwether-grafana-database"]["stringData"]["password"]
    assert reader == own["readerPassword"] != own["password"]
    keys = made["bellwether", "bellwether-objectstore"]["stringData"]
    identities = made["bellwether-objectstore", "bellwether-objectstore-identities"]["stringData"]
    listed = yaml.safe_load(identities["seaweedfs_s3_config"])["identities"]
    assert [identity["name"] for identity in listed] == [
        "bellwether", "drift", "jobs", "mlflow", "models", "page", "pipelines", "rollout",
    ]  # fmt: skip
    for identity in listed:
        account = "" if identity["name"] == "bellwether" else f"-{identity['name']}"
        place = ("bellwether", f"bellwether-objectstore{account}")
        if identity["name"] == "pipelines":
            place = ("kubeflow", "kubeflow-pipelines-object-store")
        keys = made[place]["stringData"]
        assert identity["credentials"] == [
            {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
        ]


def test_credentials_are_kept_and_safe_in_a_url():
    for item in secrets(objects(foundation().stdout)).values():
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        for key, value in item["stringData"].items():
            if "assword" in key or key.startswith("AWS_"):
                assert re.fullmatch(r"[A-Za-z0-9]{20,}", value)


def test_the_secret_has_the_stores_address_for_kserve():
    made = secrets(objects(foundation().stdout))
    annotations = made["bellwether", "bellwether-objectstore"]["metadata"]["annotations"]
    assert (
        made["bellwether", "bellwether-objectstore-models"]["metadata"]["annotations"]
        == annotations
    )
    endpoint = annotations["serving.kserve.io/s3-endpoint"]
    assert (
        merged(wiring(releases(), ["seaweedfs"]))["objectStore"]["endpoint"] == f"http://{endpoint}"
    )
    assert annotations["serving.kserve.io/s3-usehttps"] == "0"


def test_our_namespace_is_restricted_and_the_others_are_not():
    spaces = {
        item["metadata"]["name"]: item["metadata"]["labels"]
        for item in objects(foundation().stdout)
        if item["kind"] == "Namespace"
    }
    mark = "pod-security.kubernetes.io/enforce"
    assert {name for name, labels in spaces.items() if labels.get(mark) == "restricted"} == {
        "bellwether"
    }
    assert {name for name, labels in spaces.items() if labels.get(mark) == "baseline"} == {
        "kubeflow"
    }


def test_existing_credentials_are_not_rendered():
    made = secrets(
        objects(foundation("objectStore.enabled=false", "database.enabled=false").stdout)
    )
    assert set(made) == {("monitoring", "bellwether-grafana-admin")}


def test_half_a_key_pair_is_refused():
    refused = foundation("objectStore.accessKeyId=AKIA", check=False)
    assert refused.returncode != 0
    assert "belong together: set both, or neither" in refused.stderr


def test_an_unknown_value_is_refused():
    assert foundation("objectstore.enabled=false", check=False).returncode != 0


def test_image_names_become_values():
    digest = f"sha256:{'a' * 64}"
    named = images_settings(["localhost:5000/ui:dev"], {"localhost:5000/ui:dev": digest})
    assert named == (
        "images.registry=",
        "images.ui.repository=localhost:5000/ui",
        "images.ui.tag=dev",
        f"images.ui.digest={digest}",
    )


def test_images_carried_to_the_nodes_are_named_so_that_no_registry_can_have_them():
    images = [f"{LOCAL}/{recipe.name}:dev" for recipe in RECIPES]
    sets = [part for setting in images_settings(images) for part in ("--set", setting)]
    text = template(*sets).stdout
    ours = set(re.findall(r"image: (\S*(?:pipeline|serving|ui)\S*)", text))
    assert ours == set(images)


def test_the_secrets_that_are_required_are_those_the_chart_refers_to():
    assert secrets_needed({}, []) == ["bellwether-objectstore", "bellwether-database"]
    values = {"objectStore": {"existingSecret": "mine"}}
    assert secrets_needed(values, ["database.existingSecret=yours"]) == ["mine", "yours"]
    values = merged(wiring(releases(), ["seaweedfs", "database"]))
    left_out = ["objectStore.accounts.page=", "database.accounts.page="]
    assert secrets_needed(values, left_out)[2:] == [
        *(f"bellwether-objectstore-{name}" for name in ("drift", "jobs", "mlflow", "models")),
        "bellwether-objectstore-rollout",
        *(f"bellwether-database-{name}" for name in ("drift", "jobs", "mlflow", "models")),
        "bellwether-database-rollout",
    ]


def test_nothing_of_the_kind_cluster_listens_beyond_this_machine():
    read = kind.configuration()
    assert read["networking"]["apiServerAddress"] == "127.0.0.1"
    (node,) = read["nodes"]
    assert all(port["listenAddress"] == "127.0.0.1" for port in node["extraPortMappings"])
    assert re.fullmatch(r"kindest/node:v1\.34\.\d+@sha256:[0-9a-f]{64}", node["image"])


def test_the_gateways_node_port_is_the_one_kind_forwards():
    host, node_port = kind.gateway_ports()
    for profile in ("kind", "small"):
        values = yaml.safe_load(
            (CHARTS / "bellwether" / "profiles" / f"{profile}.yaml").read_text()
        )
        assert values["gateway"]["nodePort"] == node_port
        assert values["gateway"]["publicPort"] == host


def kind_says(config, tmp_path):
    """What kind says of a configuration; without a container engine it stops after reading it."""
    path = tmp_path / "kind.yaml"
    path.write_text(config)
    nowhere = {"PATH": "/nowhere", "HOME": str(tmp_path), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
    return subprocess.run(
        [program("kind"), "create", "cluster", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=nowhere,
    ).stderr


def test_kinds_own_parser_takes_our_configuration(tmp_path):
    output = kind_says(kind.CONFIG.read_text(), tmp_path)
    assert "decode config" not in output
    assert "failed to get docker info" in output


def test_kinds_own_parser_refuses_a_wrong_key(tmp_path):
    wrong = kind.CONFIG.read_text().replace("hostPort", "hostport2")
    assert "field hostport2 not found" in kind_says(wrong, tmp_path)
