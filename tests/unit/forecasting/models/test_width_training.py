"""Training a candidate that learns widths: what it gains, and that its walk is the one described."""

import numpy as np
import pandas as pd
import pytest

from forecasting.evaluation.evaluate import evaluate
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import horizon_returns
from forecasting.features.variance import DECAYS, WINDOWS, state_names
from forecasting.leakage.probes import with_another_future
from forecasting.models.candidates import make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import walk_forward
from forecasting.models.quantiles import KNOTS, MOST_WIDTH
from forecasting.models.shrinkage import shrink_walk
from forecasting.models.training import TrainingConfig, forecast_as_incumbent, train_on_examples
from forecasting.models.training_set import Examples, at_knots
from forecasting.models.walk_forward import walk_predictions
from forecasting.models.width import columns_of
from forecasting.schema import MAX_HORIZON, OHLC
from tests.unit.panels import panel


@pytest.fixture(scope="module")
def stormy():
    """A market whose volatility is high every other quarter of a year, which its bars' ranges tell."""
    frames = []
    for seed, symbol in enumerate(("AAA", "BBB", "CCC")):
        random = np.random.default_rng(seed)
        bars = 1_300
        level = np.where(np.arange(bars) // 63 % 2 == 1, 0.025, 0.008)
        steps = random.normal(scale=level[:, None] / np.sqrt(40), size=(bars, 40))
        path = np.cumsum(steps.ravel()).reshape(bars, 40)
        opening = np.concatenate([[0.0], path[:-1, -1]])
        stamps = pd.bdate_range("2015-01-02", periods=bars) + pd.Timedelta(hours=21)
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "timestamp": stamps.tz_localize("UTC"),
                    "session": stamps.normalize(),
                    "open": 50 * np.exp(opening),
                    "high": 50 * np.exp(np.maximum(path.max(axis=1), opening)),
                    "low": 50 * np.exp(np.minimum(path.min(axis=1), opening)),
                    "close": 50 * np.exp(path[:, -1]),
                    "volume": 1_000.0,
                    "dividend": 0.0,
                    "split": 1.0,
                }
            )
        )
    prices = pd.concat(frames, ignore_index=True)
    table = build_features(prices, FeatureSpec(variance=WINDOWS, decays=DECAYS))
    return Examples.of(table, horizon_returns(prices, range(1, MAX_HORIZON + 1)))


def widths_at_every_horizon(log_width):
    """A row at a time, in the words of the decision: bounded by 4, linear between the knots."""
    most = np.log(MOST_WIDTH)
    return np.array(
        [np.exp(np.interp(range(1, 31), KNOTS, np.clip(row, -most, most))) for row in log_width]
    )


def test_a_learned_width_beats_the_scale_where_volatility_changes_faster(stormy):
    candidates = {
        kind: train_on_examples(kind, stormy, TrainingConfig(folds=4, params=params))
        for kind, params in (("random_walk", {}), ("har_combination", {"n_estimators": 40}))
    }
    evaluation = evaluate({kind: one.out_of_sample for kind, one in candidates.items()})
    score = evaluation.candidates["har_combination"].overall
    assert score.skill > 0.01
    assert score.p_value < 0.05
    assert 0.87 <= score.coverage_90 <= 0.93
    forecasts = candidates["har_combination"].out_of_sample
    assert (forecasts.quantiles[:, :, 2] == 0).all()
    assert np.array_equal(
        candidates["har_combination"].baseline, candidates["random_walk"].calibration
    )


def test_quantiles_of_a_learned_width_are_those_of_each_recalibration(stormy):
    """A slow twin of the walk: fit, shrink, divide by the width, recalibrate, multiply again."""
    steps = walk_forward(stormy.timestamps, stormy.codes, folds=3)
    columns = columns_of("har", stormy.names)
    log_width = np.full(stormy.log_widths.shape, np.nan)
    for step in steps:
        model = make_forecaster("har").fit(
            stormy.x[step.train][:, columns],
            stormy.targets("har", stormy.standardised())[step.train],
            seed=0,
        )
        log_width[step.test] = model.log_width(stormy.x[step.test][:, columns])
    z = stormy.standardised()
    log_width, slopes_now = shrink_walk(
        log_width, at_knots(z), stormy.timestamps, stormy.codes, steps, widths=True
    )
    schedule = Schedule.of(stormy.timestamps, stormy.codes, steps, MAX_HORIZON)
    walked = recalibrate(
        z / widths_at_every_horizon(log_width), np.zeros_like(log_width), steps, schedule
    )
    trained = train_on_examples("har", stormy, TrainingConfig(folds=3))
    assert trained.forecaster.slopes == pytest.approx(slopes_now)
    assert np.allclose(trained.calibration, walked.final, rtol=1e-12)
    forecasts = trained.out_of_sample
    order = np.sort(np.concatenate([step.test for step in steps[1:]]))
    assert np.array_equal(forecasts.log_width, log_width[order])
    for rows, calibration in walked.spans[::10]:
        at = np.searchsorted(order, rows)
        for horizon in (1, 7, 30):
            bounded = np.clip(log_width[rows], -np.log(MOST_WIDTH), np.log(MOST_WIDTH))
            width = np.exp([np.interp(horizon, KNOTS, row) for row in bounded])
            unit = stormy.scale[rows] * np.sqrt(horizon) * width
            expected = unit[:, None] * calibration[horizon - 1, [5, 25, 50, 75, 95]]
            assert np.allclose(forecasts.quantiles[at, horizon - 1], expected, rtol=1e-5)


def test_a_combination_is_chosen_once_and_walked_again_as_it_is(stormy):
    words = []
    few = {"n_estimators": 20}
    trained = train_on_examples(
        "har_combination", stormy, TrainingConfig(folds=3, params=few), progress=words.append
    )
    members = trained.params["members"].split("+")
    assert set(members) <= {"ridge", "xgboost", "garch"}
    assert trained.trials == 7
    assert sum("choosing among" in word for word in words) == 1
    assert [*trained.forecaster.estimators] == members
    again = train_on_examples(
        "har_combination",
        stormy,
        TrainingConfig(folds=3, params=trained.params),
        progress=words.append,
    )
    assert again.trials == 1
    assert sum("choosing among" in word for word in words) == 1
    assert np.array_equal(again.out_of_sample.quantiles, trained.out_of_sample.quantiles)


def test_the_members_of_a_width_stand_in_its_name_and_are_walked_again(stormy):
    given = TrainingConfig(folds=3, params={"width": "har_combination"})
    trained = train_on_examples("ridge", stormy, given)
    members = trained.forecaster.width.params["members"]
    assert members
    assert trained.params == {"alpha": 1.0, "width": f"har_combination:{members}"}
    words = []
    again = train_on_examples(
        "ridge", stormy, TrainingConfig(folds=3, params=trained.params), progress=words.append
    )
    assert not any("choosing among" in word for word in words)
    assert np.array_equal(again.out_of_sample.quantiles, trained.out_of_sample.quantiles)
    assert again.params == trained.params


def test_members_are_chosen_by_the_first_folds_training_window_alone(stormy):
    few = TrainingConfig(folds=3, params={"n_estimators": 20})
    trained = train_on_examples("har_combination", stormy, few)
    start = walk_forward(stormy.timestamps, stormy.codes, folds=3)[0].test_start
    other = with_another_future(stormy, start, np.random.default_rng(1))
    assert train_on_examples("har_combination", other, few).params == trained.params


def altered(change, bars=900):
    """A panel of three random walks, one of them changed, with features of a recursion."""
    prices = panel(bars=bars)
    change(prices, (prices["symbol"] == "BBB").to_numpy())
    table = build_features(prices, FeatureSpec(variance=WINDOWS, decays=DECAYS))
    return Examples.of(table, horizon_returns(prices, range(1, MAX_HORIZON + 1)))


def closes_alone(prices, rows):
    for name in ("open", "high", "low"):
        prices.loc[rows, name] = prices.loc[rows, "close"]


def standing_still(prices, rows):
    half = np.flatnonzero(rows)[300:700]
    prices.loc[half, list(OHLC)] = float(prices.loc[half[0] - 1, "close"])


@pytest.mark.parametrize("change", [closes_alone, standing_still])
@pytest.mark.parametrize("kind", ["garch", "har_combination"])
def test_closes_alone_and_prices_that_stand_still_are_learned_from(kind, change):
    params = {"n_estimators": 20} if kind == "har_combination" else {}
    trained = train_on_examples(kind, altered(change), TrainingConfig(folds=3, params=params))
    forecasts = trained.out_of_sample
    assert np.isfinite(forecasts.quantiles).all()
    assert np.isfinite(trained.learned).all()
    assert (forecasts.codes == 1).any()


def test_a_symbol_that_was_not_learned_from_gets_the_width_of_its_own_past(stormy):
    known = stormy.rows(np.flatnonzero(stormy.codes != 2))
    trained = train_on_examples("garch", known, TrainingConfig(folds=3))
    foreign = stormy.rows(np.flatnonzero(stormy.codes == 2))
    found, realised = trained.log_width(foreign.x)[:, 0], foreign.log_widths[:, 0]
    seen = np.isfinite(realised)
    assert np.corrcoef(found[seen], realised[seen])[0, 1] > 0.2


def test_a_recursion_keeps_its_state_when_features_are_selected(stormy):
    config = TrainingConfig(folds=3, params={"members": "ridge+garch"}, select_features=True)
    trained = train_on_examples("har_combination", stormy, config)
    assert set(state_names(DECAYS)) <= set(trained.selected_features)
    assert len(trained.columns) < len(columns_of("har_combination", stormy.names))


def test_a_champion_that_learns_widths_is_compared_on_the_same_folds(stormy):
    trained = train_on_examples("har", stormy, TrainingConfig(folds=3, seed=5))
    again = forecast_as_incumbent(
        "har", trained.params, stormy, beside=trained.out_of_sample, seed=5
    )
    assert np.array_equal(again.quantiles, trained.out_of_sample.quantiles)


def test_a_location_with_a_learned_width_is_both_parts_calibrated_as_one(stormy):
    steps = walk_forward(stormy.timestamps, stormy.codes, folds=3)
    schedule = Schedule.of(stormy.timestamps, stormy.codes, steps, MAX_HORIZON)
    z = stormy.standardised()
    alone = {
        kind: train_on_examples(kind, stormy, TrainingConfig(folds=3)) for kind in ("ridge", "har")
    }
    both = train_on_examples("ridge", stormy, TrainingConfig(folds=3, params={"width": "har"}))
    forecasts = both.out_of_sample
    assert both.kind == "ridge"
    assert forecasts.params == {"alpha": 1.0, "width": "har"}
    assert np.array_equal(forecasts.loc, alone["ridge"].out_of_sample.loc)
    assert np.array_equal(forecasts.log_width, alone["har"].out_of_sample.log_width)
    assert set(both.columns) == {*alone["ridge"].columns, *alone["har"].columns}
    assert np.array_equal(both.locate(stormy.x), alone["ridge"].locate(stormy.x))
    assert np.array_equal(both.log_width(stormy.x), alone["har"].log_width(stormy.x))
    order = np.sort(np.concatenate([step.test for step in steps[1:]]))
    loc, log_width = np.full((2, len(z), len(KNOTS)), np.nan)
    loc[order], log_width[order] = forecasts.loc, forecasts.log_width
    first = steps[0].test
    loc[first] = walk_of_first_fold(stormy, steps, "ridge", widths=False)
    log_width[first] = walk_of_first_fold(stormy, steps, "har", widths=True)
    at = np.array([np.interp(range(1, 31), KNOTS, row) for row in loc])
    left = (z - at) / widths_at_every_horizon(log_width)
    walked = recalibrate(left, np.zeros_like(loc), steps, schedule)
    assert np.allclose(both.calibration, walked.final, rtol=1e-9)


def walk_of_first_fold(examples, steps, kind, *, widths):
    """Shrunk predictions of the first fold, which no forecast holds: it only calibrates."""
    columns, z = columns_of(kind, examples.names), examples.standardised()
    targets = examples.targets(kind, z)
    predicted = walk_predictions(kind, examples.x[:, columns], targets, steps)
    shrunk, _ = shrink_walk(
        predicted, at_knots(z), examples.timestamps, examples.codes, steps, widths=widths
    )
    return shrunk[steps[0].test]


def test_a_champion_with_both_parts_is_compared_on_the_same_folds(stormy):
    config = TrainingConfig(folds=3, seed=5, params={"width": "har"})
    trained = train_on_examples("ridge", stormy, config)
    again = forecast_as_incumbent(
        "ridge", trained.params, stormy, beside=trained.out_of_sample, seed=5
    )
    assert np.array_equal(again.quantiles, trained.out_of_sample.quantiles)
