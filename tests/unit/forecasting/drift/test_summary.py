"""Drift: which columns may be compared, what their scores mean, and the run's summary."""

import json

import pytest

from forecasting.drift.config import DriftRules
from forecasting.drift.summary import DriftSummary
from forecasting.drift.thresholds import TooShort
from forecasting.drift.verdicts import (
    judge_coverage,
    judge_error,
    judge_looks,
    judge_variance,
)
from forecasting.errors import InvalidInput
from forecasting.live.scores import RealisedScore
from tests.unit.forecasting.drift.test_verdicts import LEVEL, a_ratio, instants, looked


def a_score(version="3", horizon=1, skill=0.01):
    return RealisedScore(version, horizon, 360, 60, 0.004, 0.0041, skill, 0.9, 0.5, 0.01)


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
            judge_variance([a_ratio(1.4)], (), DriftRules(), model_version="3"),
        ),
        realised=(a_score(), a_score(horizon=5, skill=None)),
        waiting=7,
        notes=("one",),
        retrain="drift of features lasted 3 bars of version 3",
        variances=(a_ratio(1.4), a_ratio(low=None, high=None, horizon=30)),
        recent_variances=(a_ratio(1.6),),
    )
    read = DriftSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False)))
    assert read == summary
    assert read.drifted
    assert read.scope("features").share == 0.5
    assert read.scope("predictions").share is None
    plain = summary.to_dict()
    del plain["variances"], plain["recent_variances"]
    old = DriftSummary.from_dict(plain)
    assert old.variances == old.recent_variances == (), "runs kept before it was measured"


def test_a_mapping_that_is_no_summary_is_refused():
    with pytest.raises(InvalidInput, match="must be complete"):
        DriftSummary.from_dict({"measured_at": "today"})
