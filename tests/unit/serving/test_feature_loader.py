"""Features are fetched once per publication; those that are not fit are not fetched again."""

import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.errors import NotReady
from serving.feature_loader import FeatureLoader
from tests.served_models import DATASET, SPEC, make_features, publish

KEY = (DATASET, SPEC.digest)


class Counting(Lake):
    """A lake that counts how often features are fetched."""

    fetched = 0

    def served_features(self, *key):
        self.fetched += 1
        return super().served_features(*key)


def test_what_is_published_is_fetched_once_until_there_is_newer(tmp_path):
    lake = Counting(str(tmp_path / "lake"))
    loader = FeatureLoader(lake)
    assert loader.served(KEY) is None
    publish(tmp_path / "lake", make_features())
    first = loader.newest(KEY)
    assert loader.newest(KEY) is first is loader.served(KEY)
    assert lake.fetched == 1
    publish(tmp_path / "lake", make_features(snapshot_id="6" * 16))
    assert loader.newest(KEY).served.snapshot_id == "6" * 16
    loader.forget(set())
    assert loader.served(KEY) is None


def test_where_nothing_is_published_that_is_said_each_time(tmp_path):
    loader = FeatureLoader(Lake(str(tmp_path / "lake")))
    for _ in range(2):
        with pytest.raises(NotReady):
            loader.newest(KEY)
