"""Variance and rank at the knots: of what was known by then, and as a loop over rows would say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.features.targets import SignalRule
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.knot_forecasts import (
    MOST_DEVIATIONS,
    UNKNOWN_RANK,
    knot_residuals,
    percent_ranks,
    return_variance,
)
from forecasting.models.quantiles import GRID, KNOT_COLUMNS, KNOTS
from forecasting.models.walk_forward import forecasts_of
from forecasting.schema import MAX_HORIZON
from tests.unit.forecasting.models.test_training import examples_of


@pytest.fixture(scope="module")
def walk():
    examples = examples_of()
    steps = walk_forward(examples.timestamps, examples.codes, folds=3)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    rng = np.random.default_rng(1)
    log_width = 0.3 * rng.standard_normal((len(examples), len(KNOTS)))
    return examples, steps, schedule, log_width


def test_the_variance_is_the_units_square_times_the_mean_square_known_by_then(walk):
    examples, _, schedule, log_width = walk
    found = return_variance(examples, schedule, log_width)
    tested = np.concatenate(schedule.recalibrations)
    assert np.isnan(np.delete(found, tested, axis=0)).all()
    for number in (3, len(schedule.recalibrations) - 1):
        for knot, horizon in enumerate(KNOTS):
            squares = []
            for row in range(len(examples)):
                known_at = schedule.known[row, horizon - 1]
                unit = examples.scale[row] * np.exp(log_width[row, knot]) * np.sqrt(horizon)
                if 0 <= known_at <= number:
                    ratio = abs(float(examples.returns[row, horizon - 1])) / unit
                    squares.append(min(ratio, MOST_DEVIATIONS) ** 2)
            row = schedule.recalibrations[number][0]
            unit = examples.scale[row] * np.exp(log_width[row, knot]) * np.sqrt(horizon)
            if squares:
                assert found[row, knot] == pytest.approx(np.mean(squares) * unit**2)
            else:
                assert np.isnan(found[row, knot])


def test_later_returns_do_not_move_a_variance(walk):
    examples, _, schedule, log_width = walk
    number = len(schedule.recalibrations) // 2
    rows = schedule.recalibrations[number]
    before = return_variance(examples, schedule, log_width)[rows]
    later = (schedule.known > number) | (schedule.known < 0)
    returns = np.where(later, examples.returns * 50, examples.returns)
    changed = type(examples)(**{**vars(examples), "returns": returns})
    assert np.array_equal(return_variance(changed, schedule, log_width)[rows], before)
    assert not np.array_equal(return_variance(changed, schedule, log_width), before)


def test_one_wild_return_counts_as_twenty_deviations(walk):
    examples, _, schedule, _ = walk
    returns = examples.returns.copy()
    row = schedule.recalibrations[0][0]
    returns[row, 0] = 1e6
    wild = type(examples)(**{**vars(examples), "returns": returns})
    last = schedule.recalibrations[-1]
    found = return_variance(wild, schedule, None)[last, 0] / examples.scale[last] ** 2
    plain = return_variance(examples, schedule, None)[last, 0] / examples.scale[last] ** 2
    known = (schedule.known[:, 0] >= 0) & (schedule.known[:, 0] < len(schedule.recalibrations))
    assert (found < plain + MOST_DEVIATIONS**2 / known.sum() + 1e-9).all()
    assert (found > plain).all()


def test_without_a_width_the_unit_is_the_scales(walk):
    examples, _, schedule, log_width = walk
    nowhere = np.zeros_like(log_width)
    assert np.array_equal(
        return_variance(examples, schedule, None),
        return_variance(examples, schedule, nowhere),
        equal_nan=True,
    )


def test_residuals_are_returns_less_location_over_the_width(walk):
    examples, _, _, log_width = walk
    loc = 0.2 * np.ones_like(log_width)
    z = examples.standardised().astype(np.float64)[:, KNOT_COLUMNS]
    expected = (z - loc) / np.exp(log_width)
    np.testing.assert_allclose(
        knot_residuals(examples, loc, log_width), expected, rtol=1e-4, atol=1e-5
    )


@given(st.integers(0, 10_000))
def test_a_rank_counts_the_quantiles_below(seed):
    rng = np.random.default_rng(seed)
    calibration = np.sort(rng.standard_normal((len(KNOTS), len(GRID))), axis=1)
    residual = 2 * rng.standard_normal((5, len(KNOTS)))
    residual[0, 0] = np.nan
    ranks = percent_ranks(calibration, residual)
    assert ranks.dtype == np.uint8
    for (row, knot), rank in np.ndenumerate(ranks):
        if np.isnan(residual[row, knot]):
            assert rank == UNKNOWN_RANK
        else:
            percents = calibration[knot, [GRID.index(p / 100) for p in range(1, 100)]]
            assert rank == sum(quantile < residual[row, knot] for quantile in percents)


def test_a_walks_ranks_are_those_of_the_calibration_in_force(walk):
    examples, steps, schedule, log_width = walk
    loc = np.full_like(log_width, 0.1)
    walked = recalibrate(examples.standardised(), loc, steps, schedule, log_width)
    forecasts = forecasts_of(
        examples, schedule, walked, loc, log_width, kind="har", params={}, signal=SignalRule()
    )
    rows = np.sort(np.concatenate([step.test for step in steps[1:]]))
    met = forecasts.ranks != UNKNOWN_RANK
    assert np.array_equal(met, np.isfinite(forecasts.realised[:, KNOT_COLUMNS]))
    for place, level in enumerate(forecasts.levels):  # below the quantile: fewer whole percents
        below = forecasts.realised[:, KNOT_COLUMNS] < forecasts.quantiles[:, KNOT_COLUMNS, place]
        agrees = below == (forecasts.ranks < round(100 * level))
        assert agrees[met].mean() > 0.999  # float32 quantiles may differ in the last digit
    expected = return_variance(examples, schedule, log_width)[rows]
    np.testing.assert_allclose(forecasts.variance, expected, rtol=1e-6)
