"""The cost of an evaluation is measured on one that gives the right figures."""

from benchmarks.honesty.cost import EXPERIMENT
from benchmarks.honesty.experiment import Workers


def test_the_measured_evaluation_agrees_with_plain_expressions():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    assert not outcome.broken
    measured = outcome.data
    assert measured["difference"] <= 1e-6
    assert measured["rows"] > 1_000
    assert measured["warm"]["cpu"] > 0
    assert 0 < measured["memory_mb"] < measured["plain_mb"]
    assert {name.partition(".")[0] for name in measured["parts"]} >= {"loss_sums", "backtest"}
