#!/usr/bin/env bash
# scikit-learn 1.9.1 on Python 3.11: a forest that is fitted with several threads changes the warning
# filters of the whole process. Every thread that grows a tree copies, clears and refills the filters
# (sklearn/utils/parallel.py) and puts back what it found, which by then may be another thread's half.
# After one fit the filters stand in another order, so that others win, or are lost; while it runs,
# scikit-learn may warn that its own `delayed` is used without its own `Parallel`. A program that turns
# warnings into errors sees fits fail now and then. With n_jobs=1 nothing changes.
# Remedy: fit inside `warnings.catch_warnings()`, with one filter only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 joblib==1.6.0
cat > "$work/program.py" <<'PYTHON'
import warnings

import joblib
import numpy as np
import sklearn
from sklearn.ensemble import RandomForestRegressor

FITS = 50
random = np.random.default_rng(0)
x, y = random.normal(size=(600, 10)), random.normal(size=600)


def fits_until_changed(threads):
    """How many fits it takes until the filters differ; None where they never do."""
    for number in range(1, FITS + 1):
        before = list(warnings.filters)
        forest = RandomForestRegressor(n_estimators=50, n_jobs=threads, random_state=0)
        with warnings.catch_warnings(record=True):
            kept = list(warnings.filters)
            forest.fit(x, y)
            changed = warnings.filters != kept
        assert warnings.filters == before
        if changed:
            return number
    return None


print(f"scikit-learn {sklearn.__version__}, joblib {joblib.__version__}, numpy {np.__version__}")
warnings.filterwarnings("error", category=RuntimeWarning)
seen = {threads: fits_until_changed(threads) for threads in (1, 2)}
for threads, number in seen.items():
    words = f"changed the filters in fit {number}" if number else f"left the filters alone in {FITS} fits"
    print(f"n_jobs={threads}: {words}")
raise SystemExit(seen[1] is not None or seen[2] is None)
PYTHON
"$work/venv/bin/python" "$work/program.py"
