"""Drift: which columns may be compared, what their scores mean, and the run's summary."""

import json

import numpy as np
import pytest

from forecasting.drift.columns import Sample, compare
from forecasting.drift.config import DriftRules, Look
from forecasting.drift.summary import DriftSummary
from forecasting.drift.thresholds import Limits, TooShort
from forecasting.drift.verdicts import (
    INFINITE_DISTANCE,
    MeasuredLook,
    judge_coverage,
    judge_error,
    judge_looks,
)
from forecasting.errors import InvalidInput, InvalidSettings, ShortHistory
from forecasting.live.scores import RealisedPoint, RealisedScore

LEVEL, CHANGE = Look("level", 60), Look("change", 10, 30)


def columns(rows, seed=0, **extra):
    rng = np.random.default_rng(seed)
    held = {"return_1": rng.normal(size=rows), "rsi_14": rng.normal(size=rows), **extra}
    values = [np.broadcast_to(np.asarray(one, dtype=float), rows) for one in held.values()]
    return Sample(tuple(held), np.stack(values, axis=1))


def reasons(compared):
    return {entry.column: entry.reason for entry in compared.not_measured}


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


def a_score(version="3", horizon=1, skill=0.01):
    return RealisedScore(version, horizon, 360, 60, 0.004, 0.0041, skill, 0.9, 0.5, 0.01)


def test_columns_that_both_sides_hold_are_compared():
    compared = compare(columns(500), columns(60, seed=1), DriftRules())
    assert compared.columns == ("return_1", "rsi_14")
    assert compared.not_measured == ()
    assert compared.of(["rsi_14"]).current.values.shape == (60, 1)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (1.0, 1.0, "constant in the reference (1), and still"),
        (1.0, 2.0, "constant in the reference (1), but not any more"),
        (np.nan, 2.0, "100% of its reference values are missing"),
        (np.linspace(0, 1, 500), np.nan, "100% of its current values are missing"),
        (np.linspace(0, 1, 500), np.inf, "100% of its current values are missing"),
    ],
)
def test_a_column_that_cannot_be_measured_is_named_with_its_reason(before, now, reason):
    compared = compare(columns(500, odd=before), columns(60, odd=now), DriftRules())
    assert reasons(compared) == {"odd": reason}
    assert "odd" not in compared.reference.names


def test_a_column_that_only_one_side_holds_is_named():
    compared = compare(columns(500, gone=1.0), columns(60, new=1.0), DriftRules())
    assert reasons(compared) == {
        "gone": "missing now, though the model was trained on it",
        "new": "unknown to the champion's training features",
    }


def test_calendar_and_identity_are_not_watched():
    extra = {"month_sin": 0.5, "symbol_AAPL": 1.0}
    compared = compare(columns(500, **extra), columns(60, **extra), DriftRules())
    assert set(reasons(compared)) == set(extra)
    assert all(reason.startswith("not watched") for reason in reasons(compared).values())


def test_a_column_that_stands_still_now_is_measured():
    compared = compare(columns(500), columns(60, rsi_14=0.0), DriftRules())
    assert "rsi_14" in compared.columns


def test_too_few_current_rows_are_a_short_history():
    with pytest.raises(ShortHistory, match="at least 10 current rows: 5 rows of served features"):
        compare(columns(500), columns(5), DriftRules())


def test_no_current_rows_at_all_are_a_short_history():
    with pytest.raises(ShortHistory, match="0 rows"):
        compare(columns(500), columns(0), DriftRules())


def test_too_small_a_reference_is_refused():
    with pytest.raises(InvalidInput, match="at least 10 rows: 3 rows"):
        compare(columns(3), columns(60), DriftRules())


def test_frames_without_a_common_column_are_refused():
    other = Sample(("other",), np.arange(60.0)[:, None])
    with pytest.raises(InvalidInput, match="none of 3 columns"):
        compare(columns(500), other, DriftRules())


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


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"false_alarms": 0.6}, "false_alarms"),
        ({"max_missing": 1.0}, "max_missing"),
        ({"min_rows": 1}, "min_rows"),
        ({"level_bars": 0}, "level_bars must be at least 1"),
        ({"before_bars": 0}, "before_bars must be at least 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change, match):
    with pytest.raises(InvalidSettings, match=match):
        DriftRules(**change)


def test_a_summary_survives_json():
    summary = DriftSummary(
        measured_at="2026-01-02T03:04:05+00:00",
        data_now="2020-01-02T21:00:00+00:00",
        model_version="3",
        dataset="default",
        snapshot="abc",
        source="sample",
        replay=True,
        synthetic=False,
        scopes=(
            judge_looks("features", [looked({"return_1": 0.9, "rsi_14": 0.1}, odd=1.0)]),
            judge_looks("predictions", [TooShort(LEVEL, "the log is empty")]),
            judge_error(instants(), DriftRules(), model_version="3"),
            judge_coverage(instants(), DriftRules(), model_version="3"),
        ),
        realised=(a_score(), a_score(horizon=5, skill=None)),
        waiting=7,
        notes=("one",),
        retrain="drift of features lasted 3 bars of version 3",
    )
    read = DriftSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False)))
    assert read == summary
    assert read.drifted
    assert read.scope("features").share == 0.5
    assert read.scope("predictions").share is None


def test_a_mapping_that_is_no_summary_is_refused():
    with pytest.raises(InvalidInput, match="must be complete"):
        DriftSummary.from_dict({"measured_at": "today"})
