"""The file of out-of-sample forecasts: it loses nothing, and damage is refused."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import Corrupted
from forecasting.models.out_of_sample import OutOfSample
from forecasting.testing import planted_forecasts


def test_forecasts_survive_their_file(tmp_path):
    planted = planted_forecasts(signal=0.1, candidates=("ridge",), periods=60)["ridge"]
    forecasts = replace(planted, features=(("rsi_5", "month_sin"), ("variance_ratio_5",)))
    path = tmp_path / "ridge.npz"
    forecasts.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ridge.npz"]
    again = OutOfSample.load(path)
    for name, value in vars(forecasts).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(again, name), equal_nan=True)
            assert value.dtype == getattr(again, name).dtype
        else:
            assert value == getattr(again, name)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"not a zip at all"])
def test_a_damaged_file_of_forecasts_is_refused(tmp_path, content):
    path = tmp_path / "forecasts.npz"
    path.write_bytes(content)
    with pytest.raises(Corrupted, match="Train again"):
        OutOfSample.load(path)


def test_a_file_without_one_of_the_arrays_is_said_to_be_of_another_build(tmp_path):
    forecasts = planted_forecasts(signal=0, candidates=(), periods=40)["random_walk"]
    path = tmp_path / "random_walk.npz"
    forecasts.save(path)
    with np.load(path) as archive:
        older = {name: archive[name] for name in archive.files if name != "ranks"}
    np.savez(path, **older)
    with pytest.raises(Corrupted, match=r"is of another build.*ranks.*Train again"):
        OutOfSample.load(path)
