"""A bundle that serves half a history keeps its coverage when it is recalibrated."""

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.served_coverage import EXPERIMENT, WAYS


def test_weekly_recalibration_keeps_every_horizon_in_the_band():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    assert not outcome.broken
    found = outcome.data["indices random_walk"]
    assert len(found[WAYS[0]]["coverage"]) == 30
    assert found[WAYS[0]]["coverage"] != found[WAYS[1]]["coverage"]
