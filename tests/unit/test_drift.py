"""Drift: which columns may be compared, what their scores mean, and the run's summary."""

import json

import numpy as np
import pandas as pd
import pytest

from forecasting.drift import (
    INFINITE_DISTANCE,
    DriftSummary,
    compare,
    judge_columns,
    judge_realised,
    nothing_measured,
)
from forecasting.drift_rules import ColumnRule, DriftRules
from forecasting.errors import InvalidInput, InvalidSettings, ShortHistory
from forecasting.realised import RealisedScore


def columns(rows, seed=0, **extra):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"return_1": rng.normal(size=rows), "rsi_14": rng.normal(size=rows)})
    return frame.assign(**extra)


def reasons(compared):
    return {entry.column: entry.reason for entry in compared.not_measured}


def a_score(version="3", horizon=1, dates=60, coverage=0.9, skill=0.01):
    return RealisedScore(
        version, horizon, dates * 6, dates, 0.004, 0.0041, skill, coverage, 0.5, 0.01
    )


def test_columns_that_both_sides_hold_are_compared_by_the_numeric_rule():
    compared = compare(columns(500), columns(60, seed=1), DriftRules())
    assert list(compared.rules) == ["return_1", "rsi_14"]
    assert compared.rules["rsi_14"] == DriftRules().numeric
    assert compared.not_measured == ()


def test_a_column_with_few_values_is_compared_as_categories():
    compared = compare(columns(500, flag=np.arange(500) % 2), columns(60, flag=1.0), DriftRules())
    assert compared.categorical == ("flag",)
    assert compared.rules["flag"] == DriftRules().categorical


def test_a_rule_of_its_own_goes_before_the_general_ones():
    rules = DriftRules(columns={"rsi_14": ColumnRule("ks", 0.01)})
    assert compare(columns(500), columns(60), rules).rules["rsi_14"].method == "ks"


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (1.0, 1.0, "constant in the reference (1), and still"),
        (1.0, 2.0, "constant in the reference (1), but not any more"),
        (np.nan, 2.0, "100% of its reference values are missing"),
        (np.linspace(0, 1, 500), np.nan, "100% of its current values are missing"),
        (np.linspace(0, 1, 500), np.inf, "100% of its current values are missing"),
        ("text", 2.0, "100% of its reference values are missing"),
    ],
)
def test_a_column_that_cannot_be_measured_is_named_with_its_reason(before, now, reason):
    compared = compare(columns(500, odd=before), columns(60, odd=now), DriftRules())
    assert reasons(compared) == {"odd": reason}
    assert "odd" not in compared.reference.columns


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
    assert "rsi_14" in compared.rules


def test_too_few_current_rows_are_a_short_history():
    with pytest.raises(ShortHistory, match="at least 30 current rows: 5 rows of served features"):
        compare(columns(500), columns(5), DriftRules())


def test_no_current_rows_at_all_are_a_short_history():
    with pytest.raises(ShortHistory, match="0 rows"):
        compare(columns(500), columns(0), DriftRules())


def test_too_small_a_reference_is_refused():
    with pytest.raises(InvalidInput, match="at least 30 rows: 3 rows"):
        compare(columns(3), columns(60), DriftRules())


def test_frames_without_a_common_column_are_refused():
    with pytest.raises(InvalidInput, match="none of 3 columns"):
        compare(columns(500), pd.DataFrame({"other": np.arange(60.0)}), DriftRules())


def test_the_scope_drifts_when_the_share_of_its_columns_does():
    compared = compare(columns(500), columns(60), DriftRules())
    half = judge_columns("features", compared, {"return_1": 0.9, "rsi_14": 0.1}, share=0.5)
    assert (half.share, half.drifted) == (0.5, True)
    assert [c.drifted for c in half.columns] == [True, False]
    more = judge_columns("features", compared, {"return_1": 0.9, "rsi_14": 0.1}, share=0.6)
    assert not more.drifted


def test_a_p_value_drifts_from_below():
    rule = ColumnRule("ks", 0.05)
    assert rule.drifted(0.01)
    assert not rule.drifted(0.5)


def test_a_score_that_is_missing_or_nan_is_not_measured_rather_than_stable():
    compared = compare(columns(500), columns(60), DriftRules())
    scope = judge_columns("features", compared, {"rsi_14": float("nan")}, share=0.5)
    assert scope.columns == ()
    assert scope.share is None
    assert not scope.drifted
    assert {entry.column for entry in scope.not_measured} == {"return_1", "rsi_14"}


def test_an_infinite_distance_is_drift_that_json_can_hold():
    compared = compare(columns(500), columns(60), DriftRules())
    scope = judge_columns("features", compared, {"return_1": float("inf")}, share=0.5)
    assert scope.columns[0].score == INFINITE_DISTANCE
    assert scope.columns[0].drifted


def test_low_coverage_of_the_champion_is_an_alarm():
    scope = judge_realised((a_score(coverage=0.6),), DriftRules(), model_version="3")
    assert scope.drifted
    assert [c.column for c in scope.columns if c.drifted] == ["coverage_h1"]


def test_poor_skill_of_the_champion_is_an_alarm():
    scope = judge_realised((a_score(skill=-0.4),), DriftRules(), model_version="3")
    assert [c.column for c in scope.columns if c.drifted] == ["skill_h1"]


def test_another_versions_coverage_is_no_alarm():
    scope = judge_realised(
        (a_score(version="2", coverage=0.1), a_score()), DriftRules(), model_version="3"
    )
    assert not scope.drifted


def test_forecasts_of_few_instants_raise_no_alarm_and_are_named():
    scope = judge_realised((a_score(dates=19, coverage=0.1),), DriftRules(), model_version="3")
    assert not scope.drifted
    assert scope.columns == ()
    assert scope.not_measured[0].reason == "matured forecasts of 19 instants, 20 are needed"


def test_skill_without_a_known_random_walk_is_named_as_not_measured():
    scope = judge_realised((a_score(skill=None),), DriftRules(), model_version="3")
    assert "skill_h1" in {entry.column for entry in scope.not_measured}


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: ColumnRule("magic", 0.1), "must be one of"),
        (lambda: ColumnRule("psi", -1.0), "positive"),
        (lambda: ColumnRule("psi", float("nan")), "positive"),
        (lambda: DriftRules(share=0.0), "share"),
        (lambda: DriftRules(max_missing=1.0), "max_missing"),
        (lambda: DriftRules(min_rows=1), "min_rows"),
        (lambda: DriftRules(categorical=ColumnRule("wasserstein", 1.0)), "categorical"),
        (lambda: DriftRules(numeric=ColumnRule("ks", 1.0)), "p-value"),
    ],
)
def test_rules_that_make_no_sense_are_refused(build, match):
    with pytest.raises(InvalidSettings, match=match):
        build()


def test_a_summary_survives_json():
    compared = compare(columns(500, odd=1.0), columns(60, odd=1.0), DriftRules())
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
            judge_columns("features", compared, {"return_1": 0.9, "rsi_14": 0.1}, share=0.5),
            nothing_measured("predictions", "the log is empty"),
            judge_realised((a_score(),), DriftRules(), model_version="3"),
        ),
        realised=(a_score(), a_score(horizon=5, skill=None)),
        waiting=7,
        notes=("one",),
    )
    read = DriftSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False)))
    assert read == summary
    assert read.drifted
    assert read.scope("features").share == 0.5
    assert read.scope("predictions").share is None


def test_a_mapping_that_is_no_summary_is_refused():
    with pytest.raises(InvalidInput, match="must be complete"):
        DriftSummary.from_dict({"measured_at": "today"})
