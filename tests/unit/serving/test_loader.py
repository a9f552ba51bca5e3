"""A bundle in a folder is verified and joined with the lake's features.

Versions of a registry, and what happens while it is down: tests/integration/test_served_versions.py.
"""

import shutil

import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.errors import NotReady
from forecasting.features.spec import FeatureSpec
from forecasting.settings import Settings
from serving.loader import Loader
from serving.state import ServingState
from tests.served_models import DATASET, SPEC, make_features, publish

OTHER = FeatureSpec(symbols=("MSFT",))


@pytest.fixture
def folder(served, tmp_path):
    shutil.copytree(served.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def loader(folder, served):
    """A loader of the bundle, with what it reported."""
    reports = []

    def report(*what):
        reports.append(what[:2])

    settings = Settings(
        state_dir=folder,
        bundle_url=f"file://{folder / 'bundle'}",
        bundle_digest=served.digest,
        model_version="7",
    )
    loader = Loader(settings, report)
    loader.reports = reports
    yield loader
    loader.close()


def test_the_bundle_is_served_under_its_number(loader, served):
    state = loader.next_state(ServingState())
    version = state.find()
    assert (state.default, version.alias) == ("7", "pinned")
    assert version.fitted()[0].digest == served.digest
    assert loader.reports == [("model", "loaded"), ("features", "loaded")]


def test_nothing_new_is_the_same_state_and_no_report(loader):
    state = loader.next_state(ServingState())
    reported = list(loader.reports)
    assert loader.next_state(state) is state
    assert loader.reports == reported


def test_newer_features_make_a_new_state(loader, folder):
    state = loader.next_state(ServingState())
    publish(folder / "lake", make_features(snapshot_id="6" * 16))
    newer = loader.next_state(state)
    assert newer is not state
    assert newer.find().parameters["snapshot"] == "6" * 16
    assert newer.find().bundle is state.find().bundle


def test_a_lake_that_is_gone_leaves_what_was_served(loader, folder):
    state = loader.next_state(ServingState())
    shutil.rmtree(folder / "lake")
    assert loader.next_state(state) is state
    assert loader.reports[-1] == ("features", "failed")


def test_features_of_another_specification_take_nothing_away(loader, folder):
    state = loader.next_state(ServingState())
    publish(folder / "lake", make_features(spec=OTHER, snapshot_id="6" * 16))
    assert loader.next_state(state) is state
    fresh_pod = Loader(loader.settings, lambda *_: None)
    fresh = fresh_pod.next_state(ServingState())
    fresh_pod.close()
    assert fresh.find().parameters["snapshot"] == "5" * 16


def test_a_pointer_of_before_is_followed_while_its_features_fit(loader, folder):
    lake = Lake(str(folder / "lake"))
    lake.point_servers_of_before(DATASET, SPEC.digest)
    lake.remove_specification(DATASET, SPEC.digest)
    state = loader.next_state(ServingState())
    assert state.find().fitted()
    publish(folder / "lake", make_features(spec=OTHER, snapshot_id="6" * 16))
    lake.point_servers_of_before(DATASET, OTHER.digest)
    assert loader.next_state(state).find() is state.find()


def test_a_version_without_features_says_which_it_needs_and_what_makes_them(folder, loader):
    said = []
    lake = Lake(str(folder / "lake"))
    publish(folder / "lake", make_features(spec=OTHER))
    lake.point_servers_of_before(DATASET, OTHER.digest)
    lake.remove_specification(DATASET, SPEC.digest)
    fresh_pod = Loader(loader.settings, lambda *what: said.append(what))
    state = fresh_pod.next_state(ServingState())
    assert state.find().problem
    for _ in range(3):
        assert fresh_pod.next_state(state) is state
    fresh_pod.close()
    (told,) = [sentence for what, _, sentence in said if what == "features" and sentence]
    assert f"none of {SPEC.digest}; those of before are of {OTHER.digest}" in told
    assert "bellwether refresh" in told
    with pytest.raises(NotReady, match=f"no features of specification {SPEC.digest}"):
        state.find().fitted()


def test_a_bundle_with_another_digest_is_not_served(folder):
    settings = Settings(state_dir=folder, bundle_url=str(folder / "bundle"), bundle_digest="e" * 64)
    loader = Loader(settings, lambda *_: None)
    version = loader.next_state(ServingState()).find()
    loader.close()
    with pytest.raises(NotReady, match="SHA-256 must be the one"):
        version.fitted()


def test_an_address_that_is_no_folder_is_refused(folder):
    settings = Settings(state_dir=folder, bundle_url="s3://bucket/bundle")
    loader = Loader(settings, lambda *_: None)
    state = loader.next_state(ServingState())
    loader.close()
    with pytest.raises(NotReady, match="served from a local folder"):
        state.find()
