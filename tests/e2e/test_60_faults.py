"""What is taken away stays away for a while: the registry, the store.

KServe's controller is away all the time, and was already while drift and monitoring were tested.
Forecasts go on meanwhile. What cannot be done says so in words and in bounded time, leaves nothing
half done, and works when it is asked again.
"""

import time

from tests.e2e.cluster import eventually
from tests.e2e.faults import gone
from tests.e2e.load import Load
from tests.e2e.outages import UNAVAILABLE, failed_training, registered, training_alone


def test_without_the_controller_a_start_says_whose_webhook_is_down(cluster, versions, absence):
    weights = cluster.weights()
    refused = cluster.rollout("start", str(versions.stable))
    assert refused.code == UNAVAILABLE, refused.output
    assert "webhook" in refused.output
    assert cluster.weights() == weights


def test_without_the_registry_training_and_start_end_at_once_and_a_rollback_works(
    cluster, versions, absence, figures
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
    cluster, absence, figures
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
    # The job's second pod has registered what the first could not, and only that.
    assert after.aliases == {**before.aliases, "challenger": str(made)}
    figures.record("faults", "store lost in a training: it ends", took, "s", wanted="<= 120")
    figures.record("faults", "store lost in a training: failed forecasts", load.report.failed)
    assert load.report.failed == 0, str(load.report)
