"""Scores are judged by their limits, scope by scope."""

import numpy as np
import pytest

from forecasting.drift.columns import compare
from forecasting.drift.config import DriftRules, Look
from forecasting.drift.thresholds import Limits, TooShort
from forecasting.drift.verdicts import (
    INFINITE_DISTANCE,
    MeasuredLook,
    judge_coverage,
    judge_error,
    judge_looks,
    judge_variance,
)
from forecasting.live.scores import RealisedPoint
from forecasting.live.variance import RealisedVariance
from tests.unit.forecasting.drift.test_columns import columns, reasons

LEVEL, CHANGE = Look("level", 60), Look("change", 10, 30)


def looked(scores, look=LEVEL, *, thresholds=None, unlimited=None, **extra):
    compared = compare(columns(500, **extra), columns(60, seed=1, **extra), DriftRules())
    limits = {"return_1": 0.5, "rsi_14": 0.5} if thresholds is None else thresholds
    return MeasuredLook(compared, Limits(look, limits, unlimited or {}, 600, 40.0, 0.025), scores)


def instants(coverage=0.9, loss=0.004, baseline=0.004, count=60, version="3", horizon=1):
    """Realised figures whose coverage is as asked, its misses spread over the instants."""
    missed = np.diff(np.floor(np.arange(count + 1) * (1 - coverage) + 1e-9)).astype(bool)
    swing = 1 + 0.3 * np.sin(np.arange(count))
    return [
        RealisedPoint(
            version, horizon, n, 6, loss * swing[n],
            None if baseline is None else baseline * swing[n], float(not missed[n]),
        )
        for n in range(count)
    ]  # fmt: skip


def test_one_column_past_its_limit_is_enough_for_the_scope():
    scope = judge_looks("features", [looked({"return_1": 0.6, "rsi_14": 0.1})])
    assert (scope.share, scope.drifted, scope.false_alarms) == (0.5, True, 0.025)
    assert [(c.column, c.threshold, c.drifted) for c in scope.columns] == [
        ("return_1", 0.5, True), ("rsi_14", 0.5, False),
    ]  # fmt: skip
    assert not judge_looks("features", [looked({"return_1": 0.4, "rsi_14": 0.1})]).drifted


def test_both_looks_are_judged_and_share_the_false_alarms():
    calm = {"return_1": 0.1, "rsi_14": 0.1}
    scope = judge_looks("features", [looked(calm), looked({**calm, "rsi_14": 0.9}, CHANGE)])
    assert [c.column for c in scope.columns if c.drifted] == ["change of rsi_14"]
    assert len(scope.columns) == 4
    assert scope.false_alarms == 0.05


def test_a_look_without_limits_is_named_as_not_measured_rather_than_stable():
    scope = judge_looks("features", [TooShort(CHANGE, "no limit can be set: ...")])
    assert (scope.share, scope.drifted, scope.false_alarms) == (None, False, None)
    assert reasons(scope) == {"change of *": "no limit can be set: ..."}


def test_a_column_without_a_limit_is_named_as_not_measured():
    one = looked({"rsi_14": 0.1}, thresholds={"rsi_14": 0.5}, unlimited={"return_1": "too long"})
    assert reasons(judge_looks("features", [one])) == {"return_1": "too long"}


def test_a_score_that_is_missing_or_nan_is_not_measured_rather_than_stable():
    scope = judge_looks("features", [looked({"rsi_14": float("nan")})])
    assert scope.columns == ()
    assert scope.share is None
    assert not scope.drifted
    assert set(reasons(scope)) == {"return_1", "rsi_14"}


def test_an_infinite_distance_is_drift_that_json_can_hold():
    scope = judge_looks("features", [looked({"return_1": float("inf")})])
    assert scope.columns[0].score == INFINITE_DISTANCE
    assert scope.columns[0].drifted


@pytest.mark.parametrize(("coverage", "method"), [(0.6, "at_least"), (1.0, "at_most")])
def test_coverage_of_the_champion_that_is_off_is_an_alarm(coverage, method):
    points = instants(coverage, count=400)
    scope = judge_coverage(points, DriftRules(), model_version="3")
    (column,) = scope.columns
    assert (column.column, column.method, column.drifted) == ("coverage_h1", method, True)
    assert column.score == pytest.approx(coverage)
    assert scope.drifted
    assert scope.current_rows == 2_400


def test_coverage_as_promised_is_no_alarm_and_few_quiet_days_prove_nothing():
    assert not judge_coverage(instants(0.9), DriftRules(), model_version="3").drifted
    assert not judge_coverage(instants(1.0), DriftRules(), model_version="3").drifted


def test_forecasts_worse_than_the_random_walk_are_an_alarm():
    scope = judge_error(instants(loss=0.006), DriftRules(), model_version="3")
    (column,) = scope.columns
    assert (column.column, column.method, column.drifted) == ("skill_h1", "at_least", True)
    assert column.score == pytest.approx(-0.5)
    assert not judge_error(instants(loss=0.003), DriftRules(), model_version="3").drifted


def test_the_random_walk_itself_is_never_worse_than_itself():
    points = instants(loss=0.004 * (1 + 1e-12))
    assert not judge_error(points, DriftRules(), model_version="3").drifted


@pytest.mark.parametrize("judge", [judge_coverage, judge_error])
def test_another_versions_outcomes_are_no_alarm(judge):
    theirs = instants(0.1, loss=0.1, version="2", count=400)
    assert not judge([*theirs, *instants()], DriftRules(), model_version="3").drifted


@pytest.mark.parametrize("judge", [judge_coverage, judge_error])
def test_forecasts_of_few_instants_raise_no_alarm_and_are_named(judge):
    scope = judge(instants(0.1, loss=0.1, count=19), DriftRules(), model_version="3")
    assert not scope.drifted
    assert scope.columns == ()
    assert scope.not_measured[0].reason == "matured forecasts of 19 instants, 20 are needed"


def test_long_horizons_need_more_instants_than_short_ones():
    rules = DriftRules(watched_horizons=(30,))
    scope = judge_coverage(instants(0.1, horizon=30), rules, model_version="3")
    assert scope.not_measured[0].reason == (
        "matured forecasts of 60 instants are too few that overlap 30 bars"
    )


def test_skill_without_a_known_random_walk_is_named_as_not_measured():
    scope = judge_error(instants(baseline=None), DriftRules(), model_version="3")
    assert reasons(scope)["skill_h1"] == "the random walk of this version is not known"


def a_ratio(ratio=1.0, low=0.85, high=1.15, *, version="3", horizon=1, dates=60):
    return RealisedVariance(version, horizon, 6 * dates, dates, ratio, low, high)


@pytest.mark.parametrize(
    ("ratio", "method", "limit", "drifted"),
    [
        (1.4, "at_most", 1.15, True),
        (0.6, "at_least", 0.85, True),
        (1.1, "at_most", 1.15, False),
        (0.9, "at_least", 0.85, False),
    ],
)
def test_prices_that_move_otherwise_than_the_champion_said_are_an_alarm(
    ratio, method, limit, drifted
):
    scope = judge_variance([a_ratio(ratio)], (), DriftRules(), model_version="3")
    (column,) = scope.columns
    assert (column.column, column.method) == ("variance_ratio_h1", method)
    assert (column.score, column.threshold, column.drifted) == (ratio, limit, drifted)
    assert (scope.scope, scope.drifted, scope.false_alarms) == ("variance", drifted, 0.05)
    assert scope.current_rows == 360
    assert reasons(scope)["variance_ratio_h5"] == ("matured forecasts of 0 instants, 20 are needed")


def test_variance_of_another_version_or_an_unwatched_horizon_is_no_alarm():
    ratios = [a_ratio(9.0, version="2"), a_ratio(9.0, horizon=30), a_ratio()]
    assert not judge_variance(ratios, (), DriftRules(), model_version="3").drifted


def test_variance_of_few_instants_or_without_limits_is_named_as_not_measured():
    ratios = [a_ratio(9.0, dates=19), a_ratio(9.0, None, None, horizon=5, dates=24)]
    scope = judge_variance(ratios, (), DriftRules(), model_version="3")
    assert (scope.columns, scope.drifted, scope.false_alarms) == ((), False, None)
    assert reasons(scope) == {
        "variance_ratio_h1": "matured forecasts of 19 instants, 20 are needed",
        "variance_ratio_h5": "matured forecasts of 24 instants are too few that overlap 5 bars",
    }


def test_the_short_span_raises_an_alarm_of_its_own_and_is_left_out_while_there_is_none():
    recent = [a_ratio(1.8, 0.6, 1.4), a_ratio(9.0, version="2"), a_ratio(9.0, horizon=5)]
    scope = judge_variance([a_ratio(1.1, dates=250)], recent, DriftRules(), model_version="3")
    assert [(c.column, c.threshold, c.drifted) for c in scope.columns] == [
        ("variance_ratio_h1", 1.15, False),
        ("recent_variance_ratio_h1", 1.4, True),
    ]
    assert scope.drifted
    assert set(reasons(scope)) == {"variance_ratio_h5"}
