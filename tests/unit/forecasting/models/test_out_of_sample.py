"""The file of out-of-sample forecasts: it loses nothing, and damage is refused."""

import numpy as np
import pytest

from forecasting.errors import Corrupted
from forecasting.models.out_of_sample import OutOfSample
from forecasting.testing import planted_forecasts


def test_forecasts_survive_their_file(tmp_path):
    forecasts = planted_forecasts(signal=0.1, candidates=("ridge",), periods=60)["ridge"]
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
