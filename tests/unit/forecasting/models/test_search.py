"""Search and selection inside a training window: bounded, counted, repeatable."""

import numpy as np
import pytest

from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.models.candidates import CANDIDATES, DEFAULTS, EXTRAS, NULLS
from forecasting.models.quantiles import KNOTS
from forecasting.models.search import (
    FEWEST_FEATURES,
    SPACES,
    permutation_importance,
    select_features,
    skill_loss,
    tune,
)
from forecasting.models.training_set import Window

WIDTH = 14


def window_of(bars=300, symbols=3, seed=0):
    """Features 2 and 5 move the returns, the other twelve are noise."""
    random = np.random.default_rng(seed)
    rows = bars * symbols
    x = random.normal(size=(rows, WIDTH)).astype(np.float32)
    z = 0.5 * x[:, [2]] - 0.5 * x[:, [5]] + random.normal(size=(rows, len(KNOTS)))
    times = np.tile(np.arange(bars, dtype=np.int64), symbols)
    codes = np.repeat(np.arange(symbols, dtype=np.int32), bars)
    return Window(x, z, times, codes)


def test_a_search_is_no_worse_than_the_defaults_and_counts_its_trials():
    tuned = tune("ridge", window_of(), trials=8, seed=1)
    assert tuned.trials == 8
    assert tuned.loss <= tune("ridge", window_of(), trials=1, seed=1).loss
    assert set(tuned.params) == set(DEFAULTS["ridge"])


def test_the_same_seed_finds_the_same_parameters():
    first, second = (tune("xgboost", window_of(), trials=3, seed=5) for _ in range(2))
    assert first == second


def test_given_parameters_stay_as_they_are():
    tuned = tune("xgboost", window_of(), params={"max_depth": 2}, trials=3, seed=5)
    assert tuned.params["max_depth"] == 2


def test_the_random_walk_has_nothing_to_search():
    tuned = tune("random_walk", window_of(), trials=9, seed=1)
    assert (tuned.trials, tuned.params, tuned.loss) == (1, {}, 1.0)


def test_every_candidate_with_parameters_has_a_space_of_its_own_parameters():
    import optuna

    assert set(SPACES) == {*CANDIDATES, *EXTRAS} - {*NULLS}
    for kind, space in SPACES.items():
        drawn = space(optuna.create_study().ask())
        assert set(drawn) <= set(DEFAULTS[kind])


def test_a_search_without_trials_is_refused():
    with pytest.raises(InvalidSettings, match="at least one trial"):
        tune("ridge", window_of(), trials=0, seed=1)


def test_a_window_too_short_to_be_cut_again_is_refused():
    with pytest.raises(ShortHistory, match="60 instants lie before the first test span"):
        tune("ridge", window_of(bars=60), trials=2, seed=1)


def test_the_skill_loss_of_a_loop_is_the_same():
    window = window_of(bars=50, symbols=1)
    loc = window.z * 0.3
    expected = np.mean(
        [
            sum((min(max(z, -4), 4) - guess) ** 2 for z, guess in zip(zs, locs, strict=True))
            / sum(min(max(z, -4), 4) ** 2 for z in zs)
            for zs, locs in zip(window.z.T, loc.T, strict=True)
        ]
    )
    assert skill_loss(window.z, loc) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["ridge", "random_forest"])
def test_selection_keeps_what_matters(kind):
    kept = select_features(kind, window_of(), seed=1)
    assert {2, 5} <= set(kept)
    assert FEWEST_FEATURES <= len(kept) < WIDTH
    assert (np.diff(kept) > 0).all()


def test_shuffling_a_feature_that_matters_hurts_most():
    growth = permutation_importance("ridge", window_of(), seed=1)
    assert growth.shape == (3, WIDTH)
    assert set(np.argsort(-growth.mean(axis=0))[:2]) == {2, 5}
