"""What a rollout asks a real registry, and what it writes back."""

import pytest

from forecasting.adapters.cluster.manifests import storage_uri
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import RegistryUnavailable, UnknownVersion
from tests.ports import free_port
from tests.time_limits import expires

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def registered(mlflow_url, tmp_path_factory):
    """A version whose run holds a bundle."""
    from mlflow import MlflowClient

    bundle = tmp_path_factory.mktemp("some") / "manifest.json"
    bundle.write_text("{}")
    client = MlflowClient(mlflow_url)
    run = client.create_run(client.create_experiment("rollout")).info
    client.log_artifact(run.run_id, str(bundle), "bundle")
    client.set_terminated(run.run_id)
    client.create_registered_model("rolled")
    source = f"runs:/{run.run_id}/bundle"
    made = client.create_model_version("rolled", source, run.run_id, {"bundle_digest": "d" * 64})
    client.set_registered_model_alias("rolled", "champion", made.version)
    return client, str(made.version), run


@pytest.fixture
def reader(mlflow_url):
    reader = RegistryReader(mlflow_url, "rolled")
    yield reader
    reader.close()


def test_the_bundles_place_in_the_object_store_follows_from_its_run(registered, reader):
    _, version, run = registered
    record = reader.version(version)
    where = storage_uri(reader.artifact_uri(record.run_id), "s3://bellwether/mlflow")
    experiment = run.experiment_id
    assert where == f"s3://bellwether/mlflow/{experiment}/{run.run_id}/artifacts/bundle"
    assert record.bundle_digest == "d" * 64


def test_a_run_that_is_gone_is_said(registered, reader):
    with pytest.raises(UnknownVersion, match="which is gone"):
        reader.artifact_uri("0" * 32)


def test_the_alias_champion_moves_to_a_version_and_to_no_other(registered, reader):
    client, version, run = registered
    other = client.create_model_version("rolled", f"runs:/{run.run_id}/bundle", run.run_id).version
    for number in (str(other), version):
        reader.set_champion(number)
        named = client.get_model_version_by_alias("rolled", "champion")
        assert str(named.version) == number
    with pytest.raises(RegistryUnavailable):
        reader.set_champion("999")


def test_an_outcome_becomes_tags_of_the_version_and_may_change(registered, reader):
    client, version, _ = registered
    reader.tag(version, {"rollout": "serving", "rollout_reason": ""})
    reader.tag(version, {"rollout": "rolled back", "rollout_reason": "5xx: 30 of 1,000 % (ü)"})
    tags = client.get_model_version("rolled", version).tags
    assert tags["rollout"] == "rolled back"
    assert tags["rollout_reason"] == "5xx: 30 of 1,000 % (ü)"
    assert tags["bundle_digest"] == "d" * 64


def test_tags_for_a_registry_that_is_down_or_a_version_it_lacks_fail_in_words(registered, reader):
    with pytest.raises(RegistryUnavailable, match="99"):
        reader.tag("99", {"rollout": "serving"})
    gone = RegistryReader(f"http://127.0.0.1:{free_port()}", "rolled", timeout_seconds=expires(1))
    with pytest.raises(RegistryUnavailable, match="must be reachable"):
        gone.tag("1", {"rollout": "serving"})
