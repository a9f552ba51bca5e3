#!/usr/bin/env bash
# onnxmltools 1.16.0 converts three kinds of boosted model into graphs that answer other numbers.
# XGBoost with several quantiles (or targets): every leaf is given to the first output; its trees are
# summed there, the others are constants. LightGBM as a random forest: the trees' sum is divided by
# 100 whatever their number (the estimator; the booster's is not divided). LightGBM with linear trees:
# the leaves' constants without their slopes. Conversion says nothing of the three. One quantile, and
# LightGBM's usual boosting, agree. Remedy: compare each export with the library on real rows.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 \
  xgboost-cpu==3.2.0 lightgbm==4.7.0 scikit-learn==1.9.1 pandas==2.3.3 scipy==1.17.1
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import onnxruntime
from lightgbm import LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBRegressor

for name in ("onnxmltools", "xgboost-cpu", "lightgbm", "onnxruntime"):
    print(name, version(name))
onnxruntime.set_default_logger_severity(3)
random = np.random.default_rng(0)
x = random.normal(size=(1_000, 3)).astype(np.float32)
y = x[:, 0] + random.normal(size=1_000)


def both(model, convert):
    """What the library and the graph of a fitted model answer, [n, outputs]."""
    graph = convert(model.fit(x, y), initial_types=[("x", FloatTensorType([None, 3]))])
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return model.predict(x).reshape(len(x), -1), session.run(None, {"x": x})[0]


def quantiles(*levels):
    return XGBRegressor(objective="reg:quantileerror", quantile_alpha=list(levels), n_estimators=50)


def lightgbm(**options):
    return LGBMRegressor(n_estimators=50, verbose=-1, **options)


for name, model, convert in (
    ("one quantile", quantiles(0.9), convert_xgboost),
    ("usual boosting", lightgbm(), convert_lightgbm),
):
    library, graph = both(model, convert)
    print(f"{name}: the graph is off by {np.abs(library - graph).max():.1e} at most")
    assert np.allclose(library, graph, atol=1e-4)

library, graph = both(quantiles(0.05, 0.5, 0.95), convert_xgboost)
print("three quantiles:", library[0].round(2), "graph:", graph[0].round(2))
assert graph.shape == library.shape
assert np.ptp(graph[:, 1:], axis=0).max() == 0 and np.ptp(library[:, 1:], axis=0).min() > 1
assert np.abs(library[:, 0] - graph[:, 0]).mean() > 0.1

forest = lightgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5)
library, graph = both(forest, convert_lightgbm)
print(f"forest of 50: the graph answers {np.median(graph / library):.3f} of the library's")
assert np.allclose(graph, library * 50 / 100, atol=1e-4)

library, graph = both(lightgbm(linear_tree=True), convert_lightgbm)
off, spread = np.abs(library - graph).mean(), library.std()
print(f"linear trees: the graph is off by {off:.2f} on average, standard deviation {spread:.2f}")
assert off > 0.1
PYTHON
