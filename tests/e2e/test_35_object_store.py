"""The object store is away: no version starts, nothing is half done, and later all of it works.

The candidate serves alone, as the promotion before has left it; what starts is the stable version.
"""

from concurrent.futures import ThreadPoolExecutor

from tests.e2e.absence import CANARY
from tests.e2e.faults import evict_all, gone
from tests.e2e.load import Load
from tests.e2e.outages import UNAVAILABLE, failed_training, registered, training_alone
from tests.e2e.stage import alone, pods_of


def test_without_the_object_store_no_version_starts_and_the_same_command_works_afterwards(
    cluster, versions, figures
):
    serving, other = versions.candidate, versions.stable
    alone(cluster, serving)
    before = registered(cluster)
    promised = cluster.versions()[other]["tags"]["bundle_digest"]
    start = ("start", str(other), "--weight", str(CANARY))
    with Load(cluster.forecasts) as load:
        with load.window("outage"), gone(cluster, "minio", namespace="minio"):
            cluster.start_job("bellwether-training", "e2e-no-store", change=training_alone(1))
            refused = cluster.rollout(*start, seconds=180)
            assert refused.code == UNAVAILABLE, refused.output
            assert "storage-initializer" in refused.output, refused.output
            assert "minio" in refused.output, refused.output
            assert cluster.weights() == {serving: 100}
            code, said = failed_training(cluster, "e2e-no-store", seconds=60)
            assert code == UNAVAILABLE, said
            assert "the store at s3://bellwether/lake must be readable and writable" in said
        assert registered(cluster) == before
        with load.window("recovery"), ThreadPoolExecutor() as pool:
            asked = pool.submit(cluster.rollout, *start)
            # The node is emptied of what serves meanwhile: the store is back just in time.
            refusals = evict_all(cluster, pods_of(serving), fewest=2)
            again = asked.result().expect()
    figures.record("faults", "no store: start gives up", refused.seconds, "s", wanted="<= 120")
    figures.record("faults", "store back: the same start is done", again.seconds, "s")
    figures.record("faults", "evictions the budget refused", refusals, wanted=">= 1")
    figures.record("faults", "no store, evictions: failed forecasts", load.report.failed)
    assert refused.seconds <= 120
    assert refusals, "the budget let all pods of a version go at once"
    assert cluster.weights() == {serving: 100 - CANARY, other: CANARY}
    service = cluster.get("inferenceservice", f"bellwether-v{other}")
    assert service["metadata"]["annotations"]["bellwether.io/bundle-digest"] == promised
    assert load.report.failed == 0, str(load.report)
