"""The training table's file: it loses nothing, and another file is refused."""

import numpy as np
import pytest

from components.training_table import TrainingTable, iso
from forecasting.errors import Corrupted
from forecasting.features.build import FeatureSpec, build_features
from tests.unit.panels import panel


def test_a_table_survives_its_file(tmp_path):
    spec = FeatureSpec(symbols=("AAA", "BBB"))
    features = build_features(panel(("AAA", "BBB"), 300), spec)
    returns = np.zeros((len(features.codes), 30), np.float32)
    path = tmp_path / "table.npz"
    TrainingTable(features, returns, spec, {"snapshot": "abc", "rows": 600}).save(path)
    table = TrainingTable.load(path)
    assert (table.spec, table.origin) == (spec, {"snapshot": "abc", "rows": 600})
    assert table.features.names == tuple(features.names)
    assert np.array_equal(table.features.values, features.values, equal_nan=True)
    assert np.array_equal(table.features.timestamps, features.timestamps)
    assert np.array_equal(table.returns, returns)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "table.npz").write_bytes(b"not a zip")
    with pytest.raises(Corrupted, match="the features step wrote"):
        TrainingTable.load(tmp_path / "table.npz")


def test_an_instant_is_written_in_utc_to_the_second():
    assert iso(1_420_232_400_000_000_000) == "2015-01-02T21:00:00+00:00"
