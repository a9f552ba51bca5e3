"""A bundle that forecasts 250 bars at 14 knots, location and width, and features that reach as far.

No training makes one; it is a small bundle of today's whose arrays and graph are exchanged.
"""

import dataclasses
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from onnx import TensorProto, helper

from forecasting.bundle.files import canonical_json, sha256
from forecasting.features.online import ServedFeatures
from forecasting.models.conformal import quantiles_of
from forecasting.npz import npy_bytes, npz_bytes
from tests.served_models import make_bundle, make_features

KNOTS = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 125, 180, 250)
BARS = 250
SIGNAL_BARS = 60


def make_long_bundle(folder: Path, **changes) -> str:
    """Write the bundle; returns its digest.

    Args:
        folder: where.
        changes: of the manifest, after all else.
    """
    make_bundle(folder, kind="random_walk")
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    random = np.random.default_rng(250)
    width = len(manifest["feature_names"])
    weights = {
        name: random.normal(scale=0.01, size=(width, len(KNOTS))).astype(np.float32)
        for name in ("location", "log_width")
    }
    rows = random.normal(size=(8, width)).astype(np.float32)
    arrays = {
        "model.onnx": _graph(weights).SerializeToString(),
        "calibration.npy": npy_bytes(quantiles_of(random.standard_t(4, (900, BARS)))),
        "baseline.npy": npy_bytes(quantiles_of(random.standard_t(4, (900, BARS)))),
        "selfcheck.npz": npz_bytes(
            {"features": rows, **{name: rows @ matrix for name, matrix in weights.items()}}
        ),
    }
    for name, content in arrays.items():
        (folder / name).write_bytes(content)
    manifest |= {
        "knots": KNOTS,
        "max_horizon": BARS,
        "signal": {**manifest["signal"], "horizon": SIGNAL_BARS},
        "files": {name: sha256(content) for name, content in arrays.items()},
    }
    raw = canonical_json(manifest | changes)
    (folder / "manifest.json").write_bytes(raw)
    return sha256(raw)


def make_long_features(bars: int = BARS) -> ServedFeatures:
    """Served features that tell when so many bars ahead close."""
    served = make_features()
    ahead = np.zeros((len(served.symbols), bars), dtype=np.int64)
    for place in np.flatnonzero(served.target_times[:, 0]):
        last = pd.Timestamp(served.timestamps[served.offsets[place + 1] - 1])
        days = pd.bdate_range(last, periods=bars + 1, normalize=False)[1:]
        ahead[place] = days.as_unit("ns").asi8
    return dataclasses.replace(served, target_times=ahead)


def _graph(weights):
    nodes = [helper.make_node("Gemm", ["features", f"w_{name}"], [name]) for name in weights]
    width = len(next(iter(weights.values())))
    graph = helper.make_graph(
        nodes,
        "long",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(KNOTS)])
            for name in weights
        ],
        initializer=[
            helper.make_tensor(f"w_{name}", TensorProto.FLOAT, matrix.shape, matrix.ravel())
            for name, matrix in weights.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
