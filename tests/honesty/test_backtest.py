from benchmarks.honesty.backtest import EXPERIMENT
from benchmarks.honesty.experiment import Workers


def test_the_backtest_finds_nothing_on_random_walks_and_delay_exposes_what_peeked():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    peeked = outcome.data["peeked, mean Sharpe by delay"]
    assert peeked[0] > 3
    assert abs(peeked[1]) < 0.5
    assert outcome.data["best of N above 95 %, naive"][20] > 15
    assert outcome.data["best of N above 95 %, deflated"][20] <= 3
