from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.promotion import EXPERIMENT


def test_the_gate_promotes_what_is_there_and_nothing_else():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    none = outcome.data["trained on random walks"]
    assert none["of"] == 6
    assert none["refused by"]["beats_random_walk"] >= 5
