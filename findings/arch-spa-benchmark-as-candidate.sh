#!/usr/bin/env bash
# arch 8.0.0: where the benchmark is also among the models, and nothing beats it, `SPA` rejects with a
# p-value of 0 instead of 1. Its own gain is 0 in every resample and 0 in the data; the p-value counts
# the resamples that lie strictly above, so ties at 0 count as evidence. Alone, or beside a model that
# is clearly worse, the random walk "beats" the random walk; `better_models` names none.
# Remedy: take the benchmark, and any copy of it, out of the models.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  arch==8.0.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 statsmodels==0.15.0
"$work/venv/bin/python" -W error - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from arch.bootstrap import SPA

print("arch", version("arch"), "numpy", version("numpy"))
random = np.random.default_rng(0)
benchmark = 1 + random.normal(size=1_000)
worse = benchmark + 0.5 + 0.5 * random.normal(size=1_000)
tried = {
    "a worse model": worse[:, None],
    "a worse model and the benchmark": np.column_stack([worse, benchmark]),
    "the benchmark alone": benchmark[:, None],
}
seen = {}
for name, models in tried.items():
    test = SPA(benchmark, models, reps=1_000, seed=1)
    test.compute()
    seen[name] = float(test.pvalues["consistent"])
    print(f"{name}: p {seen[name]:.3f}, better models {test.better_models(0.05).tolist()}")
assert seen["a worse model"] > 0.4, seen
assert seen["a worse model and the benchmark"] == seen["the benchmark alone"] == 0, seen
PYTHON
