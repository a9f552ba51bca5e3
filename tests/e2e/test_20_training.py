"""From training to serving: a Job in the cluster, S3 and MLflow, an InferenceService, an answer."""

from tests.e2e.stage import alone, inference_services, wait_for_answers


def test_a_training_leaves_a_champion_and_a_challenger_in_the_registry(cluster, versions):
    registered = cluster.versions()
    assert {versions.stable, versions.candidate} <= set(registered)
    assert versions.stable != versions.candidate
    for number in (versions.stable, versions.candidate):
        tags = registered[number]["tags"]
        assert len(tags["bundle_digest"]) == 64
        assert tags["data_snapshot"]
        assert tags["verdict"]


def test_bundles_and_prices_lie_in_the_object_store(cluster, versions):
    assert cluster.s3.find("bellwether/lake")
    bundles = [path for path in cluster.s3.find("bellwether/mlflow") if "/bundle/" in path]
    names = {path.rpartition("/")[2] for path in bundles}
    assert "manifest.json" in names
    assert not any(name.endswith((".pkl", ".pickle", ".joblib", ".skops")) for name in names)


def test_the_training_rolled_its_champion_out(cluster, versions):
    assert cluster.weights().get(versions.stable) == 100
    report = wait_for_answers(cluster, versions.stable)
    assert report.share(versions.stable) == 100


def test_answers_are_logged_with_the_version_that_gave_them(cluster, versions):
    rows = cluster.database_query("select count(*) as n from predictions")
    assert int(rows[0]["n"]) > 0


def test_afterwards_one_version_serves_alone(cluster, versions):
    alone(cluster, versions.stable)  # it does, unless an earlier run has left more
    assert inference_services(cluster) == [versions.stable]
    assert cluster.weights() == {versions.stable: 100}
