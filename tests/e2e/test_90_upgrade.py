"""The chart's life: upgraded from the version before, rolled back, tested, and uninstalled at last.

The version before comes out of the history: the newest commit whose chart has another version.
E2E_PREVIOUS_CHART  a folder with that chart, where the history is not there (a shallow clone)
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecasting.adapters.database_roles import GRAFANA, NAMES
from tests.e2e.cluster import ROOT, Cluster, eventually
from tests.e2e.endpoints import fewest_ready
from tests.e2e.faults import labels_of
from tests.e2e.installation import CHART, RELEASE, STORE_ACCOUNTS, VALUES, install
from tests.e2e.load import Load
from tests.e2e.stage import alone, both

CANARY = 25
"""Per cent that the candidate has while Helm is at work."""

TARGET = 75
"""What the upgrade makes the autoscalers aim at; it is 70 before."""

CHANGES = (
    "--set=settings.inferenceTimeoutSeconds=11",  # reaches every pod of ours by its environment
    f"--set=serving.cpuTarget={TARGET}",  # reaches InferenceServices, which only a sync writes
)

REMOVE_THE_REST = "kubectl delete inferenceservices,pods -l app.kubernetes.io/part-of=bellwether"
"""What the chart's README says for after `helm uninstall`."""

STAYS = {
    "secret/bellwether-objectstore",
    "secret/bellwether-database",
    *(f"secret/bellwether-objectstore-{name}" for name in STORE_ACCOUNTS),
    *(f"secret/bellwether-database-{name}" for name in NAMES if name != GRAFANA),
    "secret/bellwether-login",
    # every namespace's own
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
}

PASSING = ("events", "leases.", "pods.metrics.")
"""Kinds that come and go by themselves, as their names begin."""


@dataclass(frozen=True)
class Chart:
    """A version of the chart, with the values that the tests gave it."""

    folder: Path
    values: Path

    @property
    def version(self) -> str:
        return version_in((self.folder / "Chart.yaml").read_text())


def version_in(text: str) -> str:
    return str(yaml.safe_load(text)["version"])


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], check=True, capture_output=True, cwd=ROOT).stdout


def commit_before(version: str) -> str:
    """The newest commit whose chart has another version: that version as it was left."""
    for commit in git("log", "--format=%H").decode().split():
        found = subprocess.run(
            ["git", "show", f"{commit}:charts/bellwether/Chart.yaml"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        if found.returncode == 0 and version_in(found.stdout) != version:
            return commit
    pytest.fail(
        f"the history has no commit whose charts/bellwether/Chart.yaml has a version other than "
        f"{version}: raise `version:` with every change of the chart, fetch the whole history, or "
        "name the folder of the chart before in E2E_PREVIOUS_CHART"
    )


@pytest.fixture(scope="module")
def previous(tmp_path_factory) -> Chart:
    """The chart's version before this tree's."""
    if folder := os.environ.get("E2E_PREVIOUS_CHART"):
        return Chart(Path(folder), VALUES)
    commit = commit_before(Chart(CHART, VALUES).version)
    folder = tmp_path_factory.mktemp("previous")
    # Its own values, too: a schema refuses keys that it does not know yet.
    wanted = [str(path.relative_to(ROOT)) for path in (CHART, VALUES)]
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit, *wanted))) as archive:
        archive.extractall(folder, filter="data")
    return Chart(*(folder / path for path in wanted))


@pytest.fixture(scope="module")
def before(cluster, images, versions, previous) -> Iterator[Chart]:
    """A release of the chart before, and a rollout under way on it."""
    install(cluster, images, chart=previous.folder, values=previous.values)
    both(cluster, versions, weight=CANARY)
    cluster.rollout("sync").expect()
    yield previous
    if os.environ.get("E2E_KEEP") == "1":
        install(cluster, images)
        alone(cluster, versions.stable)
        cluster.rollout("sync").expect()


def released(cluster: Cluster) -> str:
    """Name and version of the chart that is installed."""
    listed = json.loads(cluster.helm("list", "--output", "json").expect().output)
    return next(one["chart"] for one in listed if one["name"] == RELEASE)


def written_by_the_rollout(cluster: Cluster) -> dict[str, Any]:
    """Everything that is the rollout's alone: versions, their budgets, the rules of the routes."""
    kept = {}
    for kind in ("inferenceservices.serving.kserve.io", "poddisruptionbudgets"):
        labels = "app.kubernetes.io/managed-by=bellwether-rollout"
        for one in cluster.get(kind, labels=labels):
            metadata = one["metadata"]
            kept[f"{kind}/{metadata['name']}"] = (
                metadata["uid"],
                metadata["generation"],
                one["spec"],
            )
    for kind, name in (
        ("httproute", "bellwether-forecast"),
        ("grpcroute", "bellwether-forecast-grpc"),
    ):
        route = cluster.get(kind, name)
        notes = route["metadata"].get("annotations", {})
        ours = {key: value for key, value in notes.items() if key.startswith("bellwether.io/")}
        kept[f"{kind}/{name}"] = (ours, route["spec"]["rules"])
    return kept


def servers(cluster: Cluster) -> set[str]:
    """Pods of the page, the registry and the model versions that are ready."""
    labels = [labels_of(cluster, f"bellwether-{part}") for part in ("page", "mlflow")]
    labels.append("serving.kserve.io/inferenceservice")
    return {pod for one in labels for pod in cluster.ready_pods(one)}


def wait_until_renewed(cluster: Cluster, old: set[str]) -> None:
    """Every pod that serves is another one than before, and up to date; no part has too few."""
    fewest = 2 + 2 * len(cluster.get("inferenceservices.serving.kserve.io"))

    def renewed() -> bool:
        now = servers(cluster)
        checksum = cluster.get("servingruntime", "bellwether")["spec"]["annotations"][
            "checksum/config"
        ]
        models = cluster.get("pods", labels="serving.kserve.io/inferenceservice")
        in_step = {one["metadata"]["annotations"].get("checksum/config") for one in models}
        return len(now) >= fewest and not now & old and in_step == {checksum}

    eventually("every pod is a new one", renewed, seconds=180, every=1)


def test_an_upgrade_under_load_fails_no_request_and_leaves_versions_and_weights_alone(
    cluster, images, versions, before, figures
):
    assert released(cluster) == f"bellwether-{before.version}"
    kept, old = written_by_the_rollout(cluster), servers(cluster)
    weights = cluster.weights()
    running = [versions.stable, versions.candidate]
    with Load(cluster.forecasts) as load, fewest_ready(cluster, running) as fewest:
        with load.window("upgrade"):
            seconds = install(cluster, images, *CHANGES)
        assert released(cluster) == f"bellwether-{Chart(CHART, VALUES).version}"
        assert written_by_the_rollout(cluster) == kept
        with load.window("sync"):
            synced = cluster.rollout("sync").expect()
            wait_until_renewed(cluster, old)
    for one in cluster.get("inferenceservices.serving.kserve.io"):
        predictor = one["spec"]["predictor"]
        assert predictor["scaleTarget"] == TARGET
        wanted = predictor["minReplicas"]
    assert cluster.weights() == weights
    report = load.report
    figures.record("upgrade", f"helm upgrade from {before.version}", seconds, "s")
    figures.record("upgrade", "rollout sync", synced.seconds, "s")
    figures.record("upgrade", "requests in upgrade and sync", report.sent)
    figures.record("upgrade", "failed of them", report.failed, wanted="0")
    figures.record("upgrade", "rate", report.rate, "requests/s", wanted=">= 100")
    for name in report.windows:
        figures.record("upgrade", f"p99 in {name}", 1000 * report.within(name).p99, "ms")
    figures.record(
        *("upgrade", "fewest ready pods of a version meanwhile", min(fewest.values())),
        wanted=f">= {wanted}",
    )
    # A rolling update under an autoscaler is Kubernetes' chance to fall back to one pod.
    assert min(fewest.values()) >= wanted, fewest
    assert report.failed == 0, str(report)
    assert report.rate >= 100, str(report)


def test_helm_test_passes(cluster, before, figures):
    done = cluster.helm("test", RELEASE, "--logs", "--timeout", "2m").expect()
    figures.record("upgrade", "helm test", done.seconds, "s")
    assert "answered" in done.output


def test_a_rollback_under_load_fails_no_request_and_leaves_versions_and_weights_alone(
    cluster, before, figures
):
    kept, old = written_by_the_rollout(cluster), servers(cluster)
    with Load(cluster.forecasts) as load:
        done = cluster.helm("rollback", RELEASE, "--wait", "--timeout", "5m").expect()
        assert released(cluster) == f"bellwether-{before.version}"
        assert written_by_the_rollout(cluster) == kept
        # KServe renews the versions' pods by itself: their runtime is the old one again.
        wait_until_renewed(cluster, old)
    figures.record("upgrade", "helm rollback", done.seconds, "s")
    figures.record("upgrade", "requests in rollback", load.report.sent)
    figures.record("upgrade", "failed of these", load.report.failed, wanted="0")
    assert load.report.failed == 0, str(load.report)
    assert load.report.rate >= 100, str(load.report)


def everything(cluster: Cluster) -> set[str]:
    """kind/name of all there is in our namespace, but what comes and goes by itself."""
    words = ("api-resources", "--namespaced", "--verbs=list", "--output=name")
    kinds = [kind for kind in cluster.kubectl(*words).split() if not kind.startswith(PASSING)]
    return listed(cluster, ",".join(kinds))


def in_the_cluster(cluster: Cluster) -> set[str]:
    """kind/name of all that is in no namespace, or in the gateway's, and bears our name."""
    words = ("api-resources", "--namespaced=false", "--verbs=list", "--output=name")
    found = listed(cluster, ",".join(cluster.kubectl(*words).split()))
    label = "--selector=gateway.envoyproxy.io/owning-gateway-namespace=bellwether"
    kinds = "deployments,services,configmaps,pods"
    found |= listed(cluster, kinds, label, namespace="envoy-gateway-system")
    return {one for one in found if "bellwether" in one}


def listed(cluster: Cluster, kinds: str, *words: str, namespace: str = "") -> set[str]:
    """kind/name, without the kind's group, of all objects of these kinds."""
    said = cluster.kubectl("get", kinds, *words, "--output=name", namespace=namespace)
    # kubectl warns of old kinds, and says in a sentence when there is nothing.
    lines = [line.partition("/") for line in said.splitlines() if "/" in line and " " not in line]
    return {f"{kind.partition('.')[0]}/{name}" for kind, _, name in lines}


def test_an_uninstall_leaves_data_and_versions_and_one_command_removes_the_versions(
    cluster, images, before, figures
):
    tags = [f"--set-string=images.{part}.tag={images.tag(part)}" for part in images.names]
    words = ("upgrade", RELEASE, str(CHART), "--values", str(VALUES), *tags)
    cluster.helm(*words).expect()
    ours = "gatewayclass/bellwether"
    assert ours in in_the_cluster(cluster)
    done = cluster.helm("uninstall", RELEASE, "--wait", "--timeout", "3m").expect()
    figures.record("upgrade", "helm uninstall", done.seconds, "s")
    versions = cluster.get("inferenceservices.serving.kserve.io")
    assert len(versions) == 2, "what the rollout has written is not Helm's to delete"
    assert REMOVE_THE_REST in (CHART / "README.md").read_text()
    cluster.kubectl(*REMOVE_THE_REST.split()[1:])

    def only(look: Any, stays: set[str]) -> bool:
        left = look(cluster)
        assert left == stays, sorted(left ^ stays)
        return True

    eventually("nothing else is left", lambda: only(everything, STAYS), seconds=90, every=2)
    eventually(
        "nothing is left outside the namespace",
        lambda: only(in_the_cluster, {"namespace/bellwether", "namespace/bellwether-data"}),
        seconds=60,
        every=2,
    )
    # Data is not ours to delete either.
    assert cluster.s3.find("bellwether/mlflow")
    (kept,) = cluster.database_query("select count(*) as n from model_versions", database="mlflow")
    assert int(kept["n"]) >= 2
