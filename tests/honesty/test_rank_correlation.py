"""Forecasts that say nothing of related symbols: told from skill by counting the symbols."""

import numpy as np

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.rank_correlation import EXPERIMENT, Worlds, rank_p_values


def test_related_symbols_taken_as_independent_show_skill_that_is_not_there():
    worlds = Worlds(symbols=7, ahead=1, runs=60, seed=np.random.SeedSequence(1))
    ours, naive = np.array(rank_p_values(worlds)).T
    assert (ours < 0.05).sum() <= 9
    assert (naive < 0.05).sum() > 12


def test_the_level_is_kept_on_every_panel_counted():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    assert outcome.data["panels"] == 36
