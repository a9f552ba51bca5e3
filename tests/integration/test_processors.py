"""A verdict is the same on every processor: by libraries told to take an older one's code."""

import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from tests.time_limits import seconds

JUDGE = """
import json, sys
import numpy as np
from benchmarks.honesty.random_walks import learnable
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples

signal, seed = float(sys.argv[1]), int(sys.argv[2])
few = {"ridge": {}, "xgboost": {"n_estimators": 20}}
table, returns = learnable(
    "garch", symbols=4, bars=1_100, signal=signal, seed=np.random.SeedSequence(seed)
)
forecasts = {
    kind: train_on_examples(
        kind,
        Examples.of(table, returns),
        TrainingConfig(params=params, seed=seed, folds=3),
        threads=1,
    ).out_of_sample
    for kind, params in {"random_walk": {}, "random_walk_drift": {}, **few}.items()
}
evaluation = evaluate(forecasts, repetitions=500, seed=seed)
print(json.dumps([decide(evaluation).to_dict(), evaluation.spa_p_value, {
    name: [one.overall.p_value, one.overall.skill, one.overall.coverage_90]
    for name, one in evaluation.candidates.items()
}]))
"""


def environments():
    """Variables that switch newer instructions off; every machine can run them.

    On processors other than x86-64 OpenBLAS alone is told another kernel.
    """
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    middle, oldest = {"aarch64": ("ARMV8", "ARMV8")}.get(
        platform.machine(), ("Nehalem", "Prescott")
    )
    return (
        {},
        {"NPY_DISABLE_CPU_FEATURES": " ".join(found[1:]), "OPENBLAS_CORETYPE": middle},
        {"NPY_DISABLE_CPU_FEATURES": " ".join(found), "OPENBLAS_CORETYPE": oldest},
    )


def judged(environment, signal, seed):
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(signal), str(seed)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds(120),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("signal", "promoted"), [(0.0, False), (0.6, True)])
def test_verdict_and_gates_are_the_same_with_an_older_processors_instructions(signal, promoted):
    here, *others = (judged(one, signal, 7) for one in environments())
    verdict, spa, scores = here
    assert verdict["promote"] is promoted
    for other, other_spa, other_scores in others:
        assert [(g["name"], g["passed"]) for g in other["gates"]] == [
            (g["name"], g["passed"]) for g in verdict["gates"]
        ]
        assert (other["promote"], other["candidate"]) == (verdict["promote"], verdict["candidate"])
        # The last bits of NumPy's logarithms and of BLAS are the processor's; no gate rests on them.
        assert other_spa == spa
        for name, found in scores.items():
            assert other_scores[name] == pytest.approx(found, abs=1e-6, nan_ok=True)
