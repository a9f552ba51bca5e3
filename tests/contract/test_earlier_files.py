"""A bundle and a lake that commit 78929e3 wrote are read today, and served as it served them."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.bundle.bundle import load_bundle
from tests.contract.test_v2_rest import Server, as_of, horizon, symbols

WRITTEN = Path(__file__).parents[1] / "fixtures" / "78929e3"
DIGEST = "55e7b3e0608328598a6af66398f24a0e219e4bffb3485f9c4c55e62f1d45f197"
SYMBOLS = ("AAA", "BBB", "CCC")
OUTPUTS = (
    "quantiles", "target_time", "probability_of_rise", "signal", "last_close", "as_of", "stale",
    "baseline", "symbol",
)  # fmt: skip
REQUESTS = {
    "newest": (symbols(*SYMBOLS),),
    "five_bars": (symbols("BBB"), horizon(5)),
    "as_of": (symbols("AAA", "CCC"), as_of("2022-05-25T20:00:00+00:00")),
}
LAST_BITS = "06fef412c895e4f6"
"""Of the processor that answered; see docs/decisions/0018-results-and-processors.md."""


def last_bits() -> str:
    """Digest of what other instructions round otherwise: exponentials and sums of products."""
    grid = np.linspace(-1.0, 1.0, 1_000)
    product = grid.reshape(-1, 8) @ np.linspace(0.1, 1.0, 240).reshape(8, 30)
    return hashlib.sha256(np.exp(grid).tobytes() + product.tobytes()).hexdigest()[:16]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(WRITTEN, tmp_path / "state")


@pytest.mark.parametrize("request_name", REQUESTS)
def test_the_served_forecast_is_what_it_was(request_name, folder):
    server = Server(folder, refuse_after_seconds=1e10, stale_after_seconds=1e10)
    inputs = REQUESTS[request_name]
    answer = server.infer(*inputs, outputs=[{"name": name} for name in OUTPUTS])
    assert answer.status_code == 200, answer.text
    expected = (WRITTEN / f"{request_name}.json").read_bytes()
    if last_bits() == LAST_BITS:
        assert answer.content == expected
    for now, then in zip(answer.json()["outputs"], orjson.loads(expected)["outputs"], strict=True):
        assert {**now, "data": []} == {**then, "data": []}
        if now["datatype"] == "FP64":
            np.testing.assert_allclose(now["data"], then["data"], rtol=1e-12)
        else:
            assert now["data"] == then["data"]


def test_the_bundle_loads_under_its_digest(folder):
    bundle = load_bundle(folder / "bundle", expected_digest=DIGEST)
    assert bundle.kind == "xgboost"
    assert bundle.manifest["training"]["snapshot"] == "50e5d0e8d212f0db"


def test_the_snapshot_and_the_features_made_of_it_load(folder):
    bundle = load_bundle(folder / "bundle", expected_digest=DIGEST)
    lake = Lake(str(folder / "lake"))
    snapshot = lake.latest("default")
    assert (snapshot.id, snapshot.rows, snapshot.symbols) == ("50e5d0e8d212f0db", 1_854, SYMBOLS)
    assert len(lake.read(snapshot)) == 1_854
    assert len(lake.quarantine(snapshot)) == 66
    served = lake.served_features("default", bundle.spec.digest)
    assert (served.snapshot_id, served.symbols) == (snapshot.id, SYMBOLS)
