#!/usr/bin/env bash
# arch 8.0.0: `SPA(..., studentize=True)`, which is the default and what Hansen (2005) proposes, compares
# the plain mean gains: the variances only tell which models are too bad to count, and the p-values
# are those of studentize=False. One erratic model among the candidates hides a good one from SPA,
# and from StepM, which is built on it.
# Remedy: divide each model's gains by their own standard deviation and pass those as the losses.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  arch==8.0.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 statsmodels==0.15.0
"$work/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from arch.bootstrap import SPA, StepM

print("arch", version("arch"), "numpy", version("numpy"))
random = np.random.default_rng(0)
benchmark = 1 + random.normal(size=1_000)
good = benchmark - 0.15 + 0.5 * random.normal(size=1_000)  # t of its gain: 9
erratic = benchmark + 0.05 + 30 * random.normal(size=1_000)
both = np.column_stack([good, erratic])


def p_value(losses, models, **options):
    test = SPA(losses, models, reps=1_000, seed=1, **options)
    test.compute()
    return float(test.pvalues["consistent"])


def superior(models):
    test = StepM(benchmark, models, reps=1_000, seed=1)
    test.compute()
    return len(test.superior_models)


gains = benchmark[:, None] - both
scaled = -gains / gains.std(axis=0)
seen = {
    "the good one alone": p_value(benchmark, good[:, None]),
    "both, studentize=True": p_value(benchmark, both, studentize=True),
    "both, studentize=False": p_value(benchmark, both, studentize=False),
    "both, scaled by hand": p_value(np.zeros(1_000), scaled),
}
for name, found in seen.items():
    print(f"{name}: p {found:.3f}")
print("StepM, the good one alone:", superior(good[:, None]), "superior; both:", superior(both))
assert seen["both, studentize=True"] == seen["both, studentize=False"] > 0.05, seen
assert seen["the good one alone"] < 0.01 and seen["both, scaled by hand"] < 0.01, seen
assert (superior(good[:, None]), superior(both)) == (1, 0)
PYTHON
