#!/usr/bin/env bash
# Evidently 0.7.23, method "wasserstein": the distance is divided by the reference's standard
# deviation, but never by less than 0.001. A shift of one standard deviation is 1.03 for a column
# of prices or percents and 0.01 for the same column in a smaller unit, below the usual threshold
# of 0.1: short returns as fractions never drift. Remedy: scale such columns before measuring.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check evidently==0.7.23 pandas==2.3.3
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

print("evidently", version("evidently"))
random = np.random.default_rng(0)
before, after = random.normal(0, 1, 2_000), random.normal(1, 1, 2_000)
definition = DataDefinition(numerical_columns=["x"])
distances = []
for spread in (1.0, 0.01, 0.0001, 0.00001):
    reference, current = (
        Dataset.from_pandas(pd.DataFrame({"x": values * spread}), definition)
        for values in (before, after)
    )
    report = Report([ValueDrift(column="x", method="wasserstein", threshold=0.1)])
    found = report.run(current, reference).dict()["metrics"][0]["value"]
    distances.append(round(float(found), 3))
    print(f"standard deviation {spread:g}: distance {found:.3f}, drift: {found >= 0.1}")
assert distances == [1.026, 1.026, 0.103, 0.01], distances
PYTHON
