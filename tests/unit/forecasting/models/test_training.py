"""Walk-forward training: what a fold may know, what it promises, and that it repeats."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.honesty import random_walks
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.models.candidates import make_forecaster
from forecasting.models.conformal import Schedule, recalibrate
from forecasting.models.cross_validation import label_ends, walk_forward
from forecasting.models.quantiles import KNOTS, QuantileTable, interpolation_matrix
from forecasting.models.shrinkage import shrink_walk, slopes
from forecasting.models.training import TrainingConfig, forecast_as_incumbent, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON
from tests.unit.oracles import probability_above

WIDTH = 10


def examples_of(bars=420, symbols=3, signal=0.0, seed=0):
    """Symbols whose next bar leans on feature 0 by `signal` of its volatility."""
    random = np.random.default_rng(seed)
    rows = bars * symbols
    x = random.normal(size=(symbols, bars, WIDTH)).astype(np.float32)
    scale = random.uniform(0.01, 0.03, size=(symbols, 1)) * np.ones((symbols, bars))
    steps = random.standard_t(5, size=(symbols, bars)) * 0.77
    steps[:, 1:] += signal * x[:, :-1, 0]
    path = np.cumsum(steps * scale, axis=1)
    returns = np.full((symbols, bars, MAX_HORIZON), np.nan, dtype=np.float32)
    for h in range(1, MAX_HORIZON + 1):
        returns[:, :-h, h - 1] = path[:, h:] - path[:, :-h]
    return Examples(
        symbols=tuple(f"S{number}" for number in range(symbols)),
        names=tuple(f"f{number}" for number in range(WIDTH)),
        codes=np.repeat(np.arange(symbols, dtype=np.int32), bars),
        timestamps=np.tile(np.arange(bars, dtype=np.int64) * 86_400 * 10**9, symbols),
        close=100 * np.exp(path).ravel(),
        scale=scale.ravel(),
        x=x.reshape(rows, WIDTH),
        returns=returns.reshape(rows, MAX_HORIZON),
        log_widths=np.zeros((rows, len(KNOTS)), dtype=np.float32),
    )


@pytest.fixture(scope="module")
def examples():
    return examples_of(signal=0.6)


@pytest.fixture(scope="module")
def ridge(examples):
    return train_on_examples("ridge", examples, TrainingConfig(folds=4))


@pytest.mark.parametrize("kind", ["ridge", "xgboost"])
def test_a_fold_does_not_know_what_happened_after_it_began(kind, examples):
    number = 3
    start = walk_forward(examples.timestamps, examples.codes, folds=4)[number - 1].test_start
    x, returns = examples.x.copy(), examples.returns.copy()
    x[examples.timestamps > start] += 7
    for h in range(1, MAX_HORIZON + 1):
        unknown = label_ends(examples.timestamps, examples.codes, h) >= start
        returns[unknown, h - 1] = 0.5
    garbled = replace(examples, x=x, returns=returns)
    before = train_on_examples(kind, examples, TrainingConfig(folds=4)).out_of_sample
    after = train_on_examples(kind, garbled, TrainingConfig(folds=4)).out_of_sample
    rows = before.timestamps <= start
    assert (before.fold[rows] == number).any()
    assert np.array_equal(before.loc[rows], after.loc[rows])
    assert np.array_equal(before.quantiles[rows], after.quantiles[rows])
    assert not np.array_equal(before.loc[~rows], after.loc[~rows])


def test_search_and_selection_do_not_look_at_the_test_spans(examples):
    start = walk_forward(examples.timestamps, examples.codes, folds=4)[0].test_start
    x, returns = examples.x.copy(), examples.returns.copy()
    x[examples.timestamps >= start] = 0
    returns[examples.timestamps >= start] = 0.1 * np.sqrt(np.arange(1, MAX_HORIZON + 1))
    garbled = replace(examples, x=x, returns=returns)
    options = {"folds": 4, "tuning_trials": 3, "select_features": True, "seed": 3}
    before = train_on_examples("ridge", examples, TrainingConfig(**options))
    after = train_on_examples("ridge", garbled, TrainingConfig(**options))
    assert before.params == after.params
    assert before.columns == after.columns
    assert before.trials == 3
    assert before.selected_features == tuple(f"f{column}" for column in before.columns)


def test_renaming_more_than_32_symbols_changes_no_forecast():
    """With a place in the alphabet for a feature, a ridge would learn from the names."""
    walk = random_walks.random_walk(
        "independent", symbols=33, bars=480, signal=0.3, seed=np.random.SeedSequence(1)
    )
    plain = random_walks.prices_of(walk, np.random.SeedSequence(2))
    other = {name: f"X{place * 10 % 33:02d}" for place, name in enumerate(plain["symbol"].unique())}
    renamed = plain.assign(symbol=plain["symbol"].map(other))
    renamed = renamed.sort_values(["symbol", "timestamp"], ignore_index=True)
    forecasts = []
    for prices in (plain, renamed):
        table = build_features(prices, FeatureSpec(symbols=tuple(prices["symbol"].unique())))
        examples = Examples.of(table, horizon_returns(prices, range(1, MAX_HORIZON + 1)))
        found = train_on_examples("ridge", examples, TrainingConfig(folds=2)).out_of_sample
        forecasts.append(
            {name: found.quantiles[found.codes == code] for code, name in enumerate(found.symbols)}
        )
        assert np.abs(found.loc).max() > 0.05
    for name, quantiles in forecasts[0].items():
        assert np.allclose(forecasts[1][other[name]], quantiles, rtol=1e-3, atol=1e-6)


def test_the_first_fold_only_feeds_the_calibration(examples, ridge):
    steps = walk_forward(examples.timestamps, examples.codes, folds=4)
    forecasts = ridge.out_of_sample
    assert set(forecasts.fold) == {2, 3, 4}
    assert forecasts.timestamps.min() == steps[1].test_start
    expected = sum(len(step.test) for step in steps[1:])
    assert len(forecasts) == expected


def test_every_candidate_forecasts_the_same_rows(examples, ridge):
    walk = train_on_examples("random_walk", examples, TrainingConfig(folds=4))
    for name in ("codes", "timestamps", "fold", "close", "scale"):
        assert np.array_equal(getattr(walk.out_of_sample, name), getattr(ridge.out_of_sample, name))
    assert np.array_equal(walk.calibration, ridge.baseline)
    assert (walk.out_of_sample.quantiles[:, :, 2] == 0).all()
    assert (walk.out_of_sample.loc == 0).all()


def test_quantiles_and_probabilities_are_those_of_each_recalibration(examples):
    """A slow twin of the whole walk for the third fold; `recalibrate` has a twin of its own."""
    steps = walk_forward(examples.timestamps, examples.codes, folds=3)
    z = examples.returns / examples.scale[:, None] / np.sqrt(np.arange(1, MAX_HORIZON + 1))
    knots = z[:, [knot - 1 for knot in KNOTS]]
    loc = np.full(knots.shape, np.nan)
    for step in steps:
        model = make_forecaster("ridge").fit(examples.x[step.train], knots[step.train], seed=0)
        loc[step.test] = model.locate(examples.x[step.test])
    loc, _ = shrink_walk(loc, knots, examples.timestamps, examples.codes, steps)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    walked = recalibrate(z, loc, steps, schedule)
    trained = train_on_examples(
        "ridge", examples, TrainingConfig(folds=3, signal=SignalRule(horizon=10, cost=0.004))
    )
    forecasts = trained.out_of_sample
    assert (forecasts.signal_horizon, forecasts.cost) == (10, 0.004)
    assert np.allclose(trained.calibration, walked.final, atol=1e-5)
    compared = 0
    for rows, calibration in walked.spans:
        quantiles = QuantileTable.of(calibration).returns(loc[rows], examples.scale[rows])
        chances = [
            probability_above(loc[rows], examples.scale[rows], calibration, cost)[:, 9]
            for cost in (0.004, -0.004)
        ]
        for row, own, above, not_below in zip(rows, quantiles, *chances, strict=True):
            at = np.flatnonzero(
                (forecasts.codes == examples.codes[row])
                & (forecasts.timestamps == examples.timestamps[row])
            )
            assert len(at) == 1
            assert np.allclose(forecasts.quantiles[at[0]], own, rtol=1e-5, atol=1e-7)
            assert np.allclose(
                forecasts.probability_above_cost[at[0]], [above, not_below], atol=1e-5
            )
            compared += 1
    assert compared == len(forecasts)


def test_ninety_per_cent_intervals_hold_about_ninety_per_cent():
    trained = train_on_examples("ridge", examples_of(bars=1_500, seed=4), TrainingConfig(folds=5))
    forecasts = trained.out_of_sample
    for h in (1, 5):
        realised = forecasts.realised[:, h - 1]
        known = np.isfinite(realised)
        low, high = forecasts.quantiles[known, h - 1, 0], forecasts.quantiles[known, h - 1, 4]
        covered = ((realised[known] >= low) & (realised[known] <= high)).mean()
        assert 0.87 <= covered <= 0.93


def test_a_planted_signal_is_found_out_of_sample(ridge):
    forecasts = ridge.out_of_sample
    known = np.isfinite(forecasts.realised[:, 0])
    z = forecasts.realised[known, 0] / forecasts.scale[known]
    assert np.corrcoef(z, forecasts.loc[known, 0])[0, 1] > 0.3


def test_the_final_calibration_serves_the_final_model(examples, ridge):
    returns = QuantileTable.of(ridge.calibration).returns(ridge.locate(examples.x), examples.scale)
    assert returns.shape == (len(examples), MAX_HORIZON, 5)
    assert (np.diff(returns, axis=2) >= 0).all()
    chance = probability_above(ridge.locate(examples.x), examples.scale, ridge.calibration)
    assert ((chance >= 0.0049) & (chance <= 0.9951)).all()


def test_the_model_that_is_served_is_shrunk_by_all_folds(examples, ridge):
    steps = walk_forward(examples.timestamps, examples.codes, folds=4)
    z = examples.returns / examples.scale[:, None] / np.sqrt(np.arange(1, MAX_HORIZON + 1))
    knots = z[:, [knot - 1 for knot in KNOTS]].astype(np.float64)
    loc = np.full(knots.shape, np.nan)
    for step in steps:
        model = make_forecaster("ridge").fit(examples.x[step.train], knots[step.train], seed=0)
        loc[step.test] = model.locate(examples.x[step.test])
    rows = np.flatnonzero(examples.timestamps >= steps[0].test_start)
    expected = slopes(loc[rows], knots[rows], examples.timestamps[rows], examples.codes[rows])
    assert expected[0] > 0.5
    assert expected.min() < 0.95
    whole = make_forecaster("ridge").fit(examples.x, knots, seed=0).locate(examples.x)
    assert np.allclose(ridge.locate(examples.x), whole * expected, atol=1e-4)


def test_the_locations_before_they_were_shrunk_are_kept_for_the_leak_check(examples, ridge):
    raw, shrunk = ridge.before_shrinkage, ridge.out_of_sample
    rows = np.flatnonzero(raw.fold == 3)
    step = walk_forward(examples.timestamps, examples.codes, folds=4)[2]
    z = examples.returns / examples.scale[:, None] / np.sqrt(np.arange(1, MAX_HORIZON + 1))
    knots = z[:, [knot - 1 for knot in KNOTS]]
    model = make_forecaster("ridge").fit(examples.x[step.train], knots[step.train], seed=0)
    assert np.allclose(raw.loc[rows], model.locate(examples.x[step.test]), atol=1e-4)
    assert (np.abs(shrunk.loc) <= np.abs(raw.loc)).all()
    assert not np.array_equal(shrunk.loc, raw.loc)
    assert raw.quantiles is shrunk.quantiles


def test_the_direction_of_a_forecast_is_that_of_its_location_alone(ridge):
    forecasts = ridge.out_of_sample
    centre = forecasts.loc @ interpolation_matrix() * np.sqrt(np.arange(1, MAX_HORIZON + 1))
    spread = forecasts.quantiles / forecasts.scale[:, None, None] - centre[:, :, None]
    assert np.abs(forecasts.loc).mean() > 0.02
    assert np.allclose(spread[:, :, 2], 0, atol=1e-4)
    assert np.allclose(spread, -spread[:, :, ::-1], atol=1e-4)


def test_training_repeats_bit_for_bit_whatever_the_threads(examples):
    first = train_on_examples("random_forest", examples, TrainingConfig(folds=2, seed=9), threads=1)
    second = train_on_examples(
        "random_forest", examples, TrainingConfig(folds=2, seed=9), threads=2
    )
    assert np.array_equal(first.calibration, second.calibration)
    assert np.array_equal(first.out_of_sample.quantiles, second.out_of_sample.quantiles)
    assert np.array_equal(first.locate(examples.x), second.locate(examples.x))


def test_progress_is_told_in_words(examples):
    words = []
    train_on_examples(
        "ridge", examples, TrainingConfig(folds=2, tuning_trials=1), progress=words.append
    )
    assert words[0] == "ridge: searching parameters, at most 1 trials"
    assert words[1:3] == ["ridge: fold 1 of 2", "ridge: fold 2 of 2"]


def test_one_fold_is_refused(examples):
    with pytest.raises(InvalidSettings, match="at least 2"):
        train_on_examples("ridge", examples, TrainingConfig(folds=1))


def test_a_history_too_short_for_the_folds_is_refused():
    with pytest.raises(ShortHistory, match="longer history"):
        train_on_examples("ridge", examples_of(bars=90), TrainingConfig(folds=6))


def prices_of(bars=700, symbols=("AAA", "BBB")):
    random = np.random.default_rng(11)
    frames = []
    sessions = pd.bdate_range("2015-01-02", periods=bars)
    for symbol in symbols:
        close = 50 * np.exp(np.cumsum(random.normal(scale=0.01, size=bars)))
        start = np.concatenate([[50.0], close[:-1]])
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "timestamp": (sessions + pd.Timedelta(hours=21)).tz_localize("UTC"),
                    "session": sessions,
                    "open": start,
                    "high": np.maximum(start, close) * 1.004,
                    "low": np.minimum(start, close) * 0.996,
                    "close": close,
                    "volume": random.uniform(1e5, 1e6, bars),
                    "dividend": 0.0,
                    "split": 1.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_a_feature_table_trains_a_candidate_under_the_signal_rule():
    prices = prices_of()
    table = build_features(prices, FeatureSpec(symbols=("AAA", "BBB")))
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1))
    trained = train_on_examples(
        "ridge", Examples.of(table, returns), TrainingConfig(folds=3, signal=SignalRule(horizon=3))
    )
    assert trained.feature_names == tuple(table.names)
    assert trained.out_of_sample.signal_horizon == 3
    assert trained.out_of_sample.symbols == ("AAA", "BBB")
    assert trained.locate(trained.sample).shape == (len(trained.sample), len(KNOTS))
    last = prices.groupby("symbol").timestamp.last().iloc[0].value
    assert trained.out_of_sample.timestamps.max() == last


@pytest.fixture(scope="module")
def challengers():
    table, returns = random_walks.learnable(
        "independent", symbols=3, bars=900, seed=np.random.SeedSequence(4)
    )
    examples = Examples.of(table, returns)
    forecasts = {
        kind: train_on_examples(kind, examples, TrainingConfig(folds=3, seed=1)).out_of_sample
        for kind in ("random_walk", "ridge")
    }
    return examples, forecasts


def test_a_champion_of_another_kind_is_forecast_on_the_challengers_rows(challengers):
    examples, forecasts = challengers
    champion = forecast_as_incumbent(
        "lightgbm", {"n_estimators": 20}, examples, beside=forecasts["ridge"], seed=1
    )
    assert champion.params["n_estimators"] == 20
    np.testing.assert_array_equal(champion.fold, forecasts["ridge"].fold)
    evaluation = evaluate({**forecasts, "lightgbm": champion}, incumbent="lightgbm")
    assert evaluation.best == "ridge"
    gate = next(
        gate
        for gate in decide(evaluation, "lightgbm").gates
        if gate.name == "not_worse_than_champion"
    )
    assert "against lightgbm's" in gate.found


def test_a_champion_nobody_can_train_any_more_is_refused(challengers):
    examples, forecasts = challengers
    with pytest.raises(InvalidSettings):
        forecast_as_incumbent("oracle", {}, examples, beside=forecasts["ridge"])
