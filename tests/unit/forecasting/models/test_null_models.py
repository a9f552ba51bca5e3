"""The random walks: what they forecast, in closed form, and what the walk with drift knows when."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.honesty.random_walks import learnable
from forecasting.errors import ShortHistory
from forecasting.models.candidates import NULLS, make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.quantiles import KNOTS
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON

DRIFT = "random_walk_drift"


@pytest.fixture(scope="module")
def rising():
    table, returns = learnable(
        "independent", symbols=2, bars=900, drift=0.1, seed=np.random.SeedSequence(6)
    )
    return Examples.of(table, returns)


def test_a_drift_is_the_mean_return_of_a_bar_and_grows_with_the_root_of_the_horizon():
    z = np.random.default_rng(1).normal(0.2, 1, (500, len(KNOTS)))
    z[:50, 0] = np.nan
    x = np.zeros((500, 3), np.float32)
    located = make_forecaster(DRIFT).fit(x, z, seed=0).locate(x[:7])
    mean = sum(z[50:, 0].tolist()) / 450
    assert located == pytest.approx(np.array([[mean * knot**0.5 for knot in KNOTS]] * 7))
    # In units of a bar's deviation the price moves by h means in h bars.
    assert located[0] * np.sqrt(KNOTS) == pytest.approx(mean * np.array(KNOTS))


def test_the_random_walk_learns_nothing():
    x, z = np.zeros((9, 2), np.float32), np.ones((9, len(KNOTS)))
    assert (make_forecaster("random_walk").fit(x, z, seed=0).locate(x) == 0).all()


@pytest.mark.parametrize("kind", NULLS)
def test_neither_learns_a_width(kind):
    x = np.zeros((4, 2), np.float32)
    assert (make_forecaster(kind).log_width(x) == np.zeros((4, len(KNOTS)))).all()


def test_a_drift_without_a_known_return_is_refused():
    with pytest.raises(ShortHistory, match="0 of 5 rows"):
        make_forecaster(DRIFT).fit(
            np.zeros((5, 2), np.float32), np.full((5, len(KNOTS)), np.nan), seed=0
        )


def test_each_fold_forecasts_the_mean_of_its_own_past_and_nothing_shrinks_it(rising):
    trained = train_on_examples(DRIFT, rising, TrainingConfig(folds=3))
    steps = walk_forward(rising.timestamps, rising.codes, folds=3)
    z = rising.returns / rising.scale[:, None] / np.sqrt(np.arange(1, MAX_HORIZON + 1))
    loc = np.full((len(rising), len(KNOTS)), np.nan)
    for step in steps:
        loc[step.test] = np.nanmean(z[step.train, 0]) * np.sqrt(KNOTS)
    rows = np.sort(np.concatenate([step.test for step in steps[1:]]))
    assert trained.out_of_sample.loc == pytest.approx(loc[rows], abs=1e-6)
    assert trained.locate(rising.x[:1])[0, 0] == pytest.approx(np.nanmean(z[:, 0]), abs=1e-6)
    schedule = Schedule.of(rising.timestamps, rising.codes, steps, MAX_HORIZON)
    walked = recalibrate(z, loc, steps, schedule)
    assert np.allclose(trained.calibration, walked.final, atol=1e-5)
    assert trained.trials == 1


def test_what_a_walk_with_drift_forecasts_does_not_know_the_future(rising):
    last = walk_forward(rising.timestamps, rising.codes, folds=3)[-1]
    returns = rising.returns.copy()
    returns[rising.timestamps >= last.test_start] = 0.5
    before = train_on_examples(DRIFT, rising, TrainingConfig(folds=3)).out_of_sample
    after = train_on_examples(
        DRIFT, replace(rising, returns=returns), TrainingConfig(folds=3)
    ).out_of_sample
    assert np.array_equal(before.loc, after.loc)
