from types import SimpleNamespace

import pytest

from forecasting.bundle.bundle import load_bundle
from serving.state import Features, Version
from tests.served_models import DATASET, make_bundle, make_features, publish


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A bundle in a folder, features in a lake beside it, and the version they make."""
    folder = tmp_path_factory.mktemp("served")
    info = make_bundle(folder / "bundle", kind="random_walk")
    publish(folder / "lake", make_features())
    bundle = load_bundle(folder / "bundle", expected_digest=info.digest)
    features = Features.of(make_features())
    return SimpleNamespace(
        folder=folder, digest=info.digest, bundle=bundle, features=features, dataset=DATASET
    )


@pytest.fixture
def version(served):
    """A version with an empty cache."""
    return Version.of("1", "champion", served.dataset, served.bundle, served.features)
