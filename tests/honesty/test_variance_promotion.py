import numpy as np
import pytest

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.variance_promotion import EXPERIMENT, NOTHING_TO_GAIN
from benchmarks.honesty.variance_trials import Panel, judge_panel


def test_nobody_is_promoted_where_the_scale_is_the_truth():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    null = outcome.data[NOTHING_TO_GAIN]
    assert null["candidates"]["promoted"] == 0
    assert null["oracle"]["skill"] == pytest.approx(0.0, abs=1e-5)
    assert (
        min(
            data["oracle"]["skill"]
            for kind, data in outcome.data.items()
            if kind != NOTHING_TO_GAIN
        )
        > 0
    )


def test_the_gate_promotes_who_knows_the_width():
    panel = Panel("rough", (), 4, 2_000, np.random.SeedSequence(2))
    trial = judge_panel(panel)
    assert trial.oracle.promoted
    assert 0.01 < trial.oracle.skill < 0.04
