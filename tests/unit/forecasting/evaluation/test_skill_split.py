"""The two parts of skill against forecasts that are moved and scored one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.loss_sums import horizon_weights, panel_of, sum_losses
from forecasting.evaluation.losses import mean_pinball
from forecasting.evaluation.skill_split import split_skills
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import diebold_mariano
from forecasting.testing import planted_forecasts

DRIFT = "random_walk_drift"
ROOT = np.sqrt(np.arange(1, 31))


def at_horizons(loc):
    """Locations of r / scale at every horizon, knot by knot and row by row."""
    steps = np.arange(1, 31)
    return np.stack([np.interp(steps, KNOTS, row) for row in loc]) * ROOT


def moved_by_hand(forecasts, loc):
    """The same quantiles around other locations."""
    move = at_horizons(loc - forecasts.loc) * forecasts.scale[:, None]
    return replace(forecasts, loc=loc, quantiles=forecasts.quantiles + move[:, :, None])


def losses(forecasts):
    """Mean scaled pinball loss of each row and horizon, NaN where unknown."""
    found = mean_pinball(forecasts.realised, forecasts.quantiles) / (
        forecasts.scale[:, None] * ROOT
    )
    return np.where(np.isfinite(forecasts.realised), found, np.nan)


def series(forecasts, rows=None):
    """Mean loss per date, horizons weighted 1/h."""
    weights, loss = horizon_weights(30), losses(forecasts)
    rows = np.ones(len(forecasts), dtype=bool) if rows is None else rows
    found = []
    for stamp in np.unique(forecasts.timestamps[rows]):
        of_date = loss[rows & (forecasts.timestamps == stamp)]
        known = np.isfinite(of_date)
        found.append(np.nansum(of_date * weights) / (known @ weights).sum())
    return np.array(found)


def total(forecasts, rows=slice(None)):
    return np.nansum(losses(forecasts)[rows] * horizon_weights(30))


@pytest.fixture(scope="module")
def planted():
    made = planted_forecasts(
        signal=0.2, candidates=("ridge", "xgboost", DRIFT), symbols=3, periods=300, seed=4
    )
    realised = made["ridge"].realised.copy()
    realised[-20:, 20:] = np.nan
    wide = made["xgboost"]
    # A width of its own, too, so that both parts are there.
    factor = np.linspace(0.7, 1.6, 30)[None, :, None]
    centre = at_horizons(wide.loc)[:, :, None] * wide.scale[:, None, None]
    wide = replace(wide, quantiles=(centre + factor * (wide.quantiles - centre)).astype(np.float32))
    made["xgboost"] = wide
    return {name: replace(one, realised=realised) for name, one in made.items()}


@pytest.fixture(scope="module")
def splits(planted):
    evaluation = evaluate(planted, horizons=(1, 10), repetitions=400)
    return {name: one.split for name, one in evaluation.candidates.items()}


@pytest.mark.parametrize("name", ["ridge", "xgboost"])
def test_parts_are_those_of_forecasts_moved_by_hand(name, planted, splits):
    own, null = planted[name], planted["random_walk"]
    undirected = moved_by_hand(own, np.zeros_like(own.loc))
    drifting = moved_by_hand(own, planted[DRIFT].loc)
    parts = splits[name].overall
    assert parts.width == pytest.approx(1 - total(undirected) / total(null), abs=1e-6)
    assert parts.direction == pytest.approx(
        (total(undirected) - total(own)) / total(null), abs=1e-6
    )
    for found, benchmark, challenger in (
        (parts.width_p, null, undirected),
        (parts.direction_p, undirected, own),
        (parts.drift_p, drifting, own),
    ):
        expected = diebold_mariano(series(benchmark) - series(challenger), horizon=30).p_value
        assert found == pytest.approx(expected, abs=1e-4)
    rows = own.codes == 1
    by_symbol = splits[name].by_symbol["SYM001"]
    assert by_symbol.width == pytest.approx(
        1 - total(undirected, rows) / total(null, rows), abs=1e-6
    )
    rows = own.fold == 3
    by_fold = splits[name].by_fold[3]
    assert by_fold.direction == pytest.approx(
        (total(undirected, rows) - total(own, rows)) / total(null, rows), abs=1e-6
    )
    gains = series(undirected, rows) - series(own, rows)
    expected = diebold_mariano(gains, horizon=30).p_value
    assert by_fold.direction_p == pytest.approx(expected, abs=1e-4, nan_ok=True)
    at_ten = splits[name].by_horizon[10]
    loss = [np.nansum(losses(one)[:, 9]) for one in (undirected, own, null)]
    assert at_ten.direction == pytest.approx((loss[0] - loss[1]) / loss[2], abs=1e-6)


def test_both_parts_add_up_to_the_skill(planted):
    evaluation = evaluate(planted, repetitions=20)
    for candidate in evaluation.candidates.values():
        split = candidate.split
        groups = [(split.overall, candidate.overall.skill)]
        groups += [(split.by_horizon[h], candidate.by_horizon[h].skill) for h in (1, 5, 30)]
        groups += [(split.by_symbol[s], one.skill) for s, one in candidate.by_symbol.items()]
        groups += [(split.by_fold[f], skill) for f, skill in candidate.skill_by_fold.items()]
        for parts, skill in groups:
            assert parts.width + parts.direction == pytest.approx(skill, abs=1e-12)


def test_a_location_of_zero_everywhere_claims_no_direction(planted):
    ridge = planted["ridge"]
    still = moved_by_hand(ridge, np.zeros_like(ridge.loc))
    found = evaluate({**planted, "ridge": still}, repetitions=20).candidates["ridge"]
    split = found.split
    assert not split.claims_direction
    assert (split.overall.direction, split.overall.width) == (0.0, found.overall.skill)
    assert np.isnan([split.overall.direction_p, split.overall.drift_p]).all()
    assert np.isnan([split.picked_direction_p, split.picked_drift_p]).all()
    assert split.overall.width_p == found.overall.p_value


def test_the_random_walks_are_told_apart_and_never_picked(splits):
    null, drift = splits["random_walk"], splits[DRIFT]
    assert (null.claims_direction, drift.claims_direction) == (False, True)
    assert (null.overall.width, null.overall.direction) == (0.0, 0.0)
    assert np.isnan([null.overall.width_p, drift.overall.drift_p]).all()
    assert np.isfinite(drift.overall.direction_p)
    assert np.isnan(drift.picked_direction_p)


def test_without_a_random_walk_with_drift_nothing_is_known_against_a_drift(planted):
    alone = {name: one for name, one in planted.items() if name != DRIFT}
    split = evaluate(alone, repetitions=50).candidates["ridge"].split
    assert np.isnan([split.overall.drift_p, split.picked_drift_p]).all()
    assert np.isfinite([split.overall.direction_p, split.picked_direction_p]).all()


def test_picking_one_of_several_directions_is_counted(planted, splits):
    for name in ("ridge", "xgboost"):
        split = splits[name]
        assert split.picked_direction_p >= split.overall.direction_p - 0.01
    lone = {name: one for name, one in planted.items() if name != "xgboost"}
    alone = evaluate(lone, repetitions=400).candidates["ridge"].split
    assert alone.picked_drift_p <= splits["ridge"].picked_drift_p


@settings(max_examples=15, deadline=None)
@given(move=st.floats(-0.5, 0.5), knot=st.integers(0, len(KNOTS) - 1))
def test_moving_there_and_back_changes_no_loss(planted, move, knot):
    ridge = planted["ridge"]
    away = np.zeros_like(ridge.loc)
    away[:, knot] = move
    there = moved_by_hand(ridge, ridge.loc + away)
    panel = panel_of({"ridge": ridge})
    back = sum_losses(there, panel, moved=-away)
    assert back.series == pytest.approx(sum_losses(ridge, panel).series, abs=1e-5)


def test_splits_need_no_more_than_sums(planted):
    panel = panel_of(planted)
    sums = {name: sum_losses(one, panel) for name, one in planted.items()}
    again = split_skills(
        planted, sums, panel, horizons=(1,), challengers=("ridge",), draws=50, seed=1
    )
    assert set(again["ridge"].by_horizon) == {1}
    assert np.isnan(again["xgboost"].picked_direction_p)
