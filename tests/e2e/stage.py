"""The states that tests start from: trained, and one version serving alone."""

import time
from dataclasses import dataclass

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.figures import Figures
from tests.e2e.load import Report, ask

TRAINING_JOB = "e2e-training"
DESPITE = ("--despite-verdict", "an exercise")
"""The challenger of these prices is refused, as it should be; the tests give it requests all the same."""

ROLLED_BACK = 12
"""Exit code of a rollout that withdrew its canary."""


@dataclass(frozen=True)
class Versions:
    """The versions that tests move weight between.

    Attributes:
        stable: the champion.
        candidate: the challenger.
    """

    stable: int
    candidate: int


def train(cluster: Cluster, figures: Figures, *, name: str = TRAINING_JOB) -> str:
    """Run the training CronJob's job to its end; what it said."""
    start = time.monotonic()
    cluster.start_job("bellwether-training", name)
    said = cluster.finish_job(name, seconds=420)
    figures.record("training", f"{name}: job to its end", time.monotonic() - start, "s")
    return said


def trained(cluster: Cluster, figures: Figures) -> Versions:
    """A champion and a challenger in the registry, from a training in the cluster."""
    if len(cluster.versions()) < 2:
        train(cluster, figures)
    return Versions(cluster.version_called("champion"), cluster.version_called("challenger"))


def alone(cluster: Cluster, version: int) -> None:
    """Only this version is there, and it has all the weight."""
    if cluster.weights().get(version) != 100:
        cluster.rollout("start", str(version), "--weight", "0", *DESPITE).expect()
        cluster.rollout("promote", str(version)).expect()
    for other in inference_services(cluster):
        if other != version:
            cluster.rollout("delete", str(other)).expect()
    wait_for_answers(cluster, version)


def both(cluster: Cluster, versions: Versions, *, weight: int = 0) -> None:
    """Both versions run, and the candidate has this weight; nothing that runs is made anew."""
    running = inference_services(cluster)
    for version in (versions.stable, versions.candidate):
        if version not in running or version not in cluster.weights():
            cluster.rollout("start", str(version), "--weight", "0", *DESPITE).expect()
    wanted = {versions.stable: 100 - weight, versions.candidate: weight}
    if cluster.weights() != wanted:
        cluster.rollout("promote", str(versions.stable)).expect()
    if cluster.weights() != wanted:
        cluster.rollout("weight", str(versions.candidate), str(weight)).expect()
    assert cluster.weights() == wanted


def pods_of(version: int) -> str:
    """What selects the pods of a version."""
    return f"serving.kserve.io/inferenceservice=bellwether-v{version}"


def inference_services(cluster: Cluster) -> list[int]:
    """The versions that have an InferenceService."""
    found = cluster.get("inferenceservices.serving.kserve.io")
    return sorted(int(one["metadata"]["labels"]["bellwether.io/model-version"]) for one in found)


def wait_for_answers(cluster: Cluster, version: int) -> Report:
    """The version answers through the gateway, without a failure among the last hundred."""

    def answers() -> Report | None:
        report = ask(cluster.forecasts.pinned(version), 100, concurrency=4)
        good = report.failed == 0 and set(report.versions) == {str(version)}
        assert good, str(report)
        return report

    return eventually(f"version {version} answers", answers, seconds=60)
