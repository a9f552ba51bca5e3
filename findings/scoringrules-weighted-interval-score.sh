#!/usr/bin/env bash
# scoringrules 0.10.0: `weighted_interval_score` depends on whether numba is installed. With it, the
# score is Bracher and others' (2021); without it, the default, the median's part is w * median
# instead of w * |y - median|. A forecast that puts its median below the truth is scored better the
# further it lies, and where medians are near 0, as of returns, their error is not scored at all.
# Remedy: install numba, or add the median's part oneself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/program.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import scoringrules

print("scoringrules", version("scoringrules"), "numpy", version("numpy"), "with", sys.argv[1])
truth, lower, upper, level = 0.5, -1.0, 1.0, 0.1
seen, defined = [], []
for median in (0.5, 0.0, -0.5, -0.9):
    found = scoringrules.weighted_interval_score(
        np.array([truth]),
        np.array([median]),
        np.array([[lower]]),
        np.array([[upper]]),
        np.array([level]),
    )
    seen.append(float(np.squeeze(found)))
    defined.append((0.5 * abs(truth - median) + level / 2 * (upper - lower)) / 1.5)
    print(f"truth {truth}, median {median}: {seen[-1]:.3f}, by definition {defined[-1]:.3f}")
if sys.argv[1] == "numba":
    assert np.allclose(seen, defined)
else:
    assert np.allclose(seen, [0.7 / 3, 0.2 / 3, -0.3 / 3, -0.7 / 3]), seen
PYTHON
for which in numpy numba; do
  python3.11 -m venv "$work/$which"
  extra=$([ "$which" = numba ] && echo numba==0.68.1 || true)
  "$work/$which/bin/pip" install --quiet --disable-pip-version-check \
    scoringrules==0.10.0 numpy==2.4.6 scipy==1.17.1 $extra
  "$work/$which/bin/python" "$work/program.py" "$which"
done
