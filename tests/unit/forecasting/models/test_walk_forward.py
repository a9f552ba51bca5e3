"""Walk-forward forecasts: each row by its own fold's model, and by the calibration of its time."""

import numpy as np

from forecasting.features.targets import SignalRule
from forecasting.models.candidates import make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.quantiles import QuantileTable
from forecasting.models.training_set import at_knots
from forecasting.models.walk_forward import forecasts_of, walk_predictions
from forecasting.schema import MAX_HORIZON
from tests.unit.forecasting.models.test_training import examples_of


def test_every_test_row_is_located_by_the_model_of_its_own_fold():
    examples = examples_of(signal=0.4)
    knots = at_knots(examples.standardised())
    steps = walk_forward(examples.timestamps, examples.codes, folds=3)
    words = []
    loc = walk_predictions("ridge", examples.x, knots, steps, progress=words.append)
    assert words == [f"ridge: fold {number} of 3" for number in (1, 2, 3)]
    for step in steps:
        model = make_forecaster("ridge").fit(examples.x[step.train], knots[step.train], seed=0)
        assert np.array_equal(loc[step.test], model.locate(examples.x[step.test]))
    tested = np.concatenate([step.test for step in steps])
    assert np.isnan(np.delete(loc, tested, axis=0)).all()


def test_forecasts_begin_with_the_second_fold_and_carry_the_signal_rule():
    examples = examples_of()
    z = examples.standardised()
    steps = walk_forward(examples.timestamps, examples.codes, folds=3)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    loc = np.full((len(examples), 8), 0.1)
    walked = recalibrate(z, loc, steps, schedule)
    rule = SignalRule(horizon=10, cost=0.004)
    forecasts = forecasts_of(examples, schedule, walked, loc, kind="ridge", params={}, signal=rule)
    rows = np.sort(np.concatenate([step.test for step in steps[1:]]))
    assert np.array_equal(forecasts.timestamps, examples.timestamps[rows])
    assert (forecasts.signal_horizon, forecasts.cost) == (10, 0.004)
    last_rows, calibration = walked.spans[-1]
    at = np.searchsorted(rows, last_rows)
    table = QuantileTable.of(calibration)
    expected = table.returns(loc[last_rows], examples.scale[last_rows])
    assert np.allclose(forecasts.quantiles[at], expected, rtol=1e-5, atol=1e-8)
    above, below = table.beyond(loc[last_rows], examples.scale[last_rows], 0.004, 10)
    chances = np.stack([above, 1 - below], axis=1)
    assert np.allclose(forecasts.probability_above_cost[at], chances, atol=1e-6)
