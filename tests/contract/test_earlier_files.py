"""Bundles and lakes that earlier commits wrote are read today, and served as they served them."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.bundle.bundle import load_bundle
from tests.contract.test_v2_rest import Server, as_of, horizon, symbols

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIRST, WIDE = "78929e3", "2cfd5b1"
DIGESTS = {
    FIRST: "55e7b3e0608328598a6af66398f24a0e219e4bffb3485f9c4c55e62f1d45f197",
    WIDE: "8173ec964b9060e29c3da1fa7474af421681537df640854cd7b15ecd5d66b1d6",
}
SYMBOLS = ("AAA", "BBB", "CCC")
OUTPUTS = (
    "quantiles", "target_time", "probability_of_rise", "signal", "last_close", "as_of", "stale",
    "baseline", "symbol",
)  # fmt: skip
REQUESTS = {
    (FIRST, "newest"): (symbols(*SYMBOLS),),
    (FIRST, "five_bars"): (symbols("BBB"), horizon(5)),
    (FIRST, "as_of"): (symbols("AAA", "CCC"), as_of("2022-05-25T20:00:00+00:00")),
    (WIDE, "newest"): (symbols("AAA", "BBB"),),
    (WIDE, "five_bars"): (symbols("BBB"), horizon(5)),
    (WIDE, "as_of"): (symbols("AAA", "BBB"), as_of("2022-05-12T21:00:00+00:00")),
}
LAST_BITS = "06fef412c895e4f6"
"""Of the processor that answered; see docs/decisions/0018-results-and-processors.md."""


def last_bits() -> str:
    """Digest of what other instructions round otherwise: exponentials and sums of products."""
    grid = np.linspace(-1.0, 1.0, 1_000)
    product = grid.reshape(-1, 8) @ np.linspace(0.1, 1.0, 240).reshape(8, 30)
    return hashlib.sha256(np.exp(grid).tobytes() + product.tobytes()).hexdigest()[:16]


def copy_of(commit, tmp_path):
    return shutil.copytree(FIXTURES / commit, tmp_path / "state")


@pytest.mark.parametrize(("commit", "request_name"), REQUESTS)
def test_the_served_forecast_is_what_it_was(commit, request_name, tmp_path):
    server = Server(copy_of(commit, tmp_path), refuse_after_seconds=1e10, stale_after_seconds=1e10)
    inputs = REQUESTS[commit, request_name]
    answer = server.infer(*inputs, outputs=[{"name": name} for name in OUTPUTS])
    assert answer.status_code == 200, answer.text
    expected = (FIXTURES / commit / f"{request_name}.json").read_bytes()
    if last_bits() == LAST_BITS:
        assert answer.content == expected
    for now, then in zip(answer.json()["outputs"], orjson.loads(expected)["outputs"], strict=True):
        assert {**now, "data": []} == {**then, "data": []}
        if now["datatype"] == "FP64":
            np.testing.assert_allclose(now["data"], then["data"], rtol=1e-12)
        else:
            assert now["data"] == then["data"]


@pytest.mark.parametrize(
    ("commit", "kind", "widths"), [(FIRST, "xgboost", False), (WIDE, "har_combination", True)]
)
def test_the_bundle_loads_under_its_digest_with_the_grid_it_was_made_with(commit, kind, widths):
    bundle = load_bundle(FIXTURES / commit / "bundle", expected_digest=DIGESTS[commit])
    assert bundle.kind == kind
    assert bundle.manifest["format"] == "bellwether-bundle/1"
    assert bundle.max_horizon == 30
    assert bundle.table.grid.tolist() == [percent / 100 for percent in range(1, 100)]
    _, log_width = bundle.predict(np.zeros((1, len(bundle.spec.names)), np.float32))
    assert (log_width is not None) == widths


def test_the_snapshot_and_the_features_made_of_it_load(tmp_path):
    folder = copy_of(FIRST, tmp_path)
    bundle = load_bundle(folder / "bundle", expected_digest=DIGESTS[FIRST])
    assert bundle.manifest["training"]["snapshot"] == "50e5d0e8d212f0db"
    lake = Lake(str(folder / "lake"))
    snapshot = lake.latest("default")
    assert (snapshot.id, snapshot.rows, snapshot.symbols) == ("50e5d0e8d212f0db", 1_854, SYMBOLS)
    assert len(lake.read(snapshot)) == 1_854
    assert len(lake.quarantine(snapshot)) == 66
    served = lake.served_features("default", bundle.spec.digest)
    assert (served.snapshot_id, served.symbols) == (snapshot.id, SYMBOLS)
