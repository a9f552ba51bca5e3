"""What is taken away stays away for a while: the store, the registry, the database, KServe, pods.

Forecasts go on meanwhile. What cannot be done says so in words and in bounded time, leaves nothing
half done, and works when it is asked again. KServe's controller is away for five minutes; the
faults that need no controller happen in that time.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.cluster import DATA_NAMESPACE, Cluster, eventually
from tests.e2e.faults import evict_all, gone, kill, labels_of
from tests.e2e.load import Load
from tests.e2e.stage import alone, both

WINDOW = 300.0
"""Seconds that KServe's controller is away."""

CANARY = 25
"""Per cent that the candidate has when the registry goes away."""

UNAVAILABLE = 3
"""Exit code of a command that somebody else has to mend."""


@dataclass(frozen=True)
class Registered:
    """What the registry holds."""

    versions: tuple[int, ...]
    aliases: dict[str, str]


def registered(cluster: Cluster) -> Registered:
    model = cluster.registry("registered-models/get", name="bellwether")["registered_model"]
    aliases = {one["alias"]: one["version"] for one in model.get("aliases", [])}
    return Registered(tuple(sorted(cluster.versions())), aliases)


def training_alone(seed: int, *, retries: int = 0) -> Callable[[Any], None]:
    """Turn a training's job into one that rolls nothing out, and that no run before has done."""

    def change(manifest: Any) -> None:
        job = manifest["spec"]
        job["backoffLimit"] = retries
        pod = job["template"]["spec"]
        pod["containers"] = pod.pop("initContainers", pod["containers"])
        pod["containers"][0]["args"] += ["--seed", str(seed)]

    return change


def failed_training(cluster: Cluster, job: str, *, seconds: float) -> tuple[int, str]:
    """(exit code, last words) of a job's first pod that failed."""

    def ended() -> Any:
        pods = cluster.get("pods", labels=f"job-name={job}")
        states = [
            one.get("state", {}).get("terminated", {})
            for pod in pods
            for one in pod["status"].get("containerStatuses", [])
        ]
        return next((state for state in states if state.get("exitCode")), None)

    state = eventually(f"a pod of {job} fails", ended, seconds=seconds)
    return int(state["exitCode"]), cluster.job_logs(job)


def pods_of(version: int) -> str:
    return f"serving.kserve.io/inferenceservice=bellwether-v{version}"


# while KServe's controller is there


def test_without_the_object_store_no_version_starts_and_the_same_command_works_afterwards(
    cluster, versions, figures
):
    stable, candidate = versions.stable, versions.candidate
    alone(cluster, stable)
    before = registered(cluster)
    promised = cluster.versions()[candidate]["tags"]["bundle_digest"]
    start = ("start", str(candidate), "--weight", str(CANARY))
    with Load(cluster.forecasts) as load:
        with load.window("outage"), gone(cluster, "minio", namespace="minio"):
            cluster.start_job("bellwether-training", "e2e-no-store", change=training_alone(1))
            refused = cluster.rollout(*start, seconds=180)
            assert refused.code == UNAVAILABLE, refused.output
            assert "storage-initializer" in refused.output, refused.output
            assert "minio" in refused.output, refused.output
            assert cluster.weights() == {stable: 100}
            code, said = failed_training(cluster, "e2e-no-store", seconds=60)
            assert code == UNAVAILABLE, said
            assert "the store at s3://bellwether/lake must be readable and writable" in said
        assert registered(cluster) == before
        with load.window("recovery"), ThreadPoolExecutor() as pool:
            asked = pool.submit(cluster.rollout, *start)
            # The node is emptied of what serves meanwhile: the store is back just in time.
            refusals = evict_all(cluster, pods_of(stable), fewest=2)
            again = asked.result().expect()
    figures.record("faults", "no store: start gives up", refused.seconds, "s", wanted="<= 120")
    figures.record("faults", "store back: the same start is done", again.seconds, "s")
    figures.record("faults", "evictions the budget refused", refusals, wanted=">= 1")
    figures.record("faults", "no store, evictions: failed forecasts", load.report.failed)
    assert refused.seconds <= 120
    assert refusals, "the budget let all pods of a version go at once"
    assert cluster.weights() == {stable: 100 - CANARY, candidate: CANARY}
    service = cluster.get("inferenceservice", f"bellwether-v{candidate}")
    assert service["metadata"]["annotations"]["bellwether.io/bundle-digest"] == promised
    assert load.report.failed == 0, str(load.report)


# five minutes without it


@dataclass(frozen=True)
class Window:
    """The time without KServe's controller.

    Attributes:
        load: what goes on through it.
        opened: when it began, monotonic seconds.
        close: ends it: the load, then the absence.
    """

    load: Load
    opened: float
    close: Callable[[], None]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.opened


@pytest.fixture(scope="module")
def window(cluster, versions) -> Iterator[Window]:
    """KServe's controller is away, and a canary has some weight."""
    if cluster.weights() != {versions.stable: 100 - CANARY, versions.candidate: CANARY}:
        both(cluster, versions, weight=CANARY)
    with contextlib.ExitStack() as stack:
        stack.enter_context(gone(cluster, "kserve-controller-manager", namespace="kserve"))
        load = stack.enter_context(Load(cluster.forecasts, rate=20, connections=8))
        yield Window(load, time.monotonic(), stack.close)


def test_without_the_controller_a_start_says_whose_webhook_is_down(cluster, versions, window):
    weights = cluster.weights()
    refused = cluster.rollout("start", str(versions.stable))
    assert refused.code == UNAVAILABLE, refused.output
    assert "webhook" in refused.output
    assert cluster.weights() == weights


def test_without_the_registry_training_and_start_end_at_once_and_a_rollback_works(
    cluster, versions, window, figures
):
    before = registered(cluster)
    stored = cluster.s3.find("bellwether/mlflow")
    snapshots = cluster.s3.find("bellwether/lake/prices")
    weights = cluster.weights()
    with Load(cluster.forecasts) as load:
        with gone(cluster, "bellwether-mlflow"):
            cluster.start_job("bellwether-training", "e2e-no-registry", change=training_alone(2))
            refused = cluster.rollout("start", str(versions.candidate))
            assert refused.code == UNAVAILABLE, refused.output
            assert "bellwether-mlflow" in refused.output
            assert cluster.weights() == weights
            code, said = failed_training(cluster, "e2e-no-registry", seconds=30)
            assert code == UNAVAILABLE, said
            assert "the MLflow server must answer" in said
            with load.window("rollback"):
                asked = time.time()
                back = cluster.rollout("rollback", "--why", "an exercise").expect()
            assert cluster.weights() == {versions.stable: 100, versions.candidate: 0}
            assert "the registry was not told" in back.output
        eventually("the registry answers again", lambda: registered(cluster), seconds=60)
    took = load.report.last_answer_of(versions.candidate) - asked
    figures.record("faults", "no registry: start gives up", refused.seconds, "s", wanted="<= 30")
    figures.record("faults", "no registry: rollback, command", back.seconds, "s", wanted="<= 45")
    figures.record("faults", "no registry: rollback, last answer", max(took, 0), "s", wanted="< 10")
    figures.record("faults", "no registry: failed forecasts", load.report.failed, wanted="0")
    assert registered(cluster) == before
    assert cluster.s3.find("bellwether/mlflow") == stored
    assert cluster.s3.find("bellwether/lake/prices") == snapshots
    assert refused.seconds <= 30
    assert back.seconds <= 45
    assert took < 10
    assert load.report.failed == 0, str(load.report)


def test_a_store_lost_in_the_middle_of_a_training_registers_nothing_and_the_same_job_ends_well(
    cluster, window, figures
):
    job, seed = "e2e-store-lost", int(time.time())
    before = registered(cluster)
    with Load(cluster.forecasts, rate=50) as load:
        cluster.start_job("bellwether-training", job, change=training_alone(seed, retries=1))
        eventually(
            "the candidates are trained",
            lambda: "train ridge" in cluster.job_logs(job),
            seconds=60,
            every=0.2,
        )
        with gone(cluster, "minio", namespace="minio"):
            lost = time.monotonic()
            code, said = failed_training(cluster, job, seconds=120)
            took = time.monotonic() - lost
            assert code == UNAVAILABLE, said
            assert "its artifact store" in said, said
            assert registered(cluster) == before
        cluster.finish_job(job, seconds=120)
    after = registered(cluster)
    (made,) = set(after.versions) - set(before.versions)
    assert after.aliases == {**before.aliases, "challenger": str(made)}
    figures.record("faults", "store lost in a training: it ends", took, "s", wanted="<= 120")
    figures.record("faults", "store lost in a training: failed forecasts", load.report.failed)
    assert load.report.failed == 0, str(load.report)
    # The same question once more, undisturbed: the same bundle, hence no further version.
    cluster.start_job("bellwether-training", f"{job}-again", change=training_alone(seed))
    cluster.finish_job(f"{job}-again", seconds=120)
    assert registered(cluster) == after


def test_while_the_database_restarts_no_forecast_fails_and_afterwards_they_are_logged(
    cluster, window, figures
):
    def rows() -> int:
        return int(cluster.database_query("select count(*) as n from predictions")[0]["n"])

    before = rows()
    with Load(cluster.forecasts) as load:
        load.watch("before", 3)
        assert rows() > before
        start = time.monotonic()
        (pod,) = cluster.ready_pods("app=postgresql", namespace=DATA_NAMESPACE)
        cluster.delete("pod", pod, "--wait=true", namespace=DATA_NAMESPACE)
        cluster.wait_for_rollout("deployment", "postgresql", namespace=DATA_NAMESPACE)
        figures.record("faults", "database: gone until ready", time.monotonic() - start, "s")
        kept = rows()
        eventually("forecasts are logged again", lambda: rows() > kept, seconds=30)
        figures.record("faults", "database: gone until logged again", time.monotonic() - start, "s")
        eventually("the registry answers again", lambda: registered(cluster), seconds=60)
        figures.record("faults", "database: gone until MLflow", time.monotonic() - start, "s")
    figures.record("faults", "database: failed forecasts", load.report.failed, wanted="0")
    assert kept > before
    assert load.report.failed == 0, str(load.report)


def test_a_page_killed_for_its_memory_comes_back_and_no_forecast_fails(cluster, window, figures):
    if cluster.node is None:
        pytest.skip("SIGKILL needs the machine under the cluster; here is none")
    with Load(cluster.forecasts) as load:
        (pod,) = cluster.ready_pods(labels_of(cluster, "bellwether-page"))
        start = time.monotonic()
        state = kill(cluster, pod, "page")
        assert state["lastState"]["terminated"]["exitCode"] == 137
        eventually("the page answers", lambda: cluster.page_request().is_success, seconds=30)
        figures.record("faults", "page: killed until it answers", time.monotonic() - start, "s")
    assert load.report.failed == 0, str(load.report)


def test_an_evicted_page_and_registry_come_back_and_no_forecast_fails(cluster, window, figures):
    with Load(cluster.forecasts) as load:
        start = time.monotonic()
        for one in ("bellwether-page", "bellwether-mlflow"):
            evict_all(cluster, labels_of(cluster, one))
        assert cluster.page_request().is_success
        eventually("the registry answers again", lambda: registered(cluster), seconds=60)
        figures.record("faults", "page, registry evicted until back", time.monotonic() - start, "s")
    assert load.report.failed == 0, str(load.report)


def test_five_minutes_without_kserves_controller_fail_no_forecast(
    cluster, versions, window, figures
):
    assert not cluster.get("pods", namespace="kserve")
    time.sleep(max(0.0, WINDOW - window.seconds))
    assert not cluster.get("pods", namespace="kserve")
    away = window.seconds
    window.close()
    report = window.load.report
    figures.record("faults", "KServe's controller away", away, "s", wanted=">= 300")
    figures.record("faults", "forecasts meanwhile", report.sent)
    figures.record("faults", "failed of them", report.failed, wanted="0")
    assert away >= WINDOW
    assert report.sent > 0.95 * 20 * WINDOW
    assert report.failed == 0, str(report)
    # It does its work again: its webhook lets a version through, whose status it writes.
    cluster.rollout("start", str(versions.candidate), "--weight", "0").expect()
    assert cluster.weights() == {versions.stable: 100, versions.candidate: 0}
