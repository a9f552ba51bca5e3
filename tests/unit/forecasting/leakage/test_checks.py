"""The leak check: each check alone, on functions whose leak is known, and its way to the gates."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from components.evaluate.leak_gates import leak_gates
from forecasting.errors import Corrupted
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import horizon_returns
from forecasting.features.variance import DECAYS, WINDOWS
from forecasting.instants import nanoseconds
from forecasting.leakage.checks import (
    check_forecasts,
    check_known_then,
    check_labels,
)
from forecasting.leakage.findings import RULES, LeakFinding
from forecasting.leakage.probes import rows_that_differ
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON
from tests.unit.panels import panel, walk

SPEC = FeatureSpec()
PRICES = panel(bars=500)
DAY = 86_400 * 10**9


def describe(prices):
    return build_features(prices, SPEC)


def label(prices):
    return horizon_returns(prices, range(1, MAX_HORIZON + 1)).astype(np.float32)


TABLE = describe(PRICES)
LONG = panel(bars=700)
EXAMPLES = Examples.of(describe(LONG), label(LONG))
WIDE = FeatureSpec(variance=WINDOWS, decays=DECAYS)
OF_WIDTH = Examples.of(build_features(LONG, WIDE), label(LONG))


def ridge(part):
    return train_on_examples("ridge", part, TrainingConfig(folds=3)).before_shrinkage


def har(part):
    return train_on_examples("har", part, TrainingConfig(folds=3)).before_shrinkage


def garch(part):
    return train_on_examples("garch", part, TrainingConfig(folds=3)).before_shrinkage


def combination(part):
    few = TrainingConfig(folds=3, params={"n_estimators": 5})
    return train_on_examples("har_combination", part, few).before_shrinkage


def test_features_that_drop_symbols_whose_history_ends_are_caught():
    ends = pd.concat([walk("AAA", 500), walk("BBB", 300, seed=1)], ignore_index=True)

    def survivors(prices):
        last = prices.groupby("symbol")["timestamp"].transform("max")
        return describe(prices[last == prices["timestamp"].max()].reset_index(drop=True))

    before = survivors(ends)
    cut = int(nanoseconds(ends["timestamp"])[299])
    past = survivors(ends[nanoseconds(ends["timestamp"]) <= cut].reset_index(drop=True))
    assert "rows up to" in rows_that_differ(before, past, cut)


def test_honest_labels_pass_splits_and_dividends_included():
    found = check_labels(label, PRICES)
    assert not found.leaks, found.found


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(lambda r: np.roll(r, 1, axis=0), id="a bar early"),
        pytest.param(lambda r: np.roll(r, -1, axis=0), id="a bar late"),
        pytest.param(lambda r: np.roll(r, 1, axis=1), id="another horizon"),
        pytest.param(np.nan_to_num, id="unknown filled with zero"),
        pytest.param(lambda r: -r, id="the other way round"),
        pytest.param(lambda r: r / np.nanstd(r), id="scaled by the whole sample"),
    ],
)
def test_labels_that_do_not_span_their_own_bars_are_caught(leak):
    assert check_labels(lambda prices: leak(label(prices)), PRICES).leaks


def test_labels_that_look_back_are_caught_even_where_what_is_known_fits():
    def back(prices):
        known = label(prices)
        closes = np.log(prices["close"])
        past = closes - closes.groupby(prices["symbol"]).shift(1)
        return np.where(np.isfinite(known), known + np.nan_to_num(past.to_numpy())[:, None], known)

    assert check_labels(back, PRICES).leaks


def late_panel():
    """Three symbols; one bar of BBB arrives twenty bars after its close."""
    stamps = nanoseconds(PRICES["timestamp"])
    late = int(np.flatnonzero(PRICES["symbol"] == "BBB")[400])
    known = stamps.copy()
    known[late] = stamps[late + 20]
    return known, late


def test_a_table_that_uses_a_late_bar_at_once_is_caught():
    known, _ = late_panel()
    found = check_known_then(describe, TABLE, PRICES, known)
    assert found.leaks
    assert "known only later" in found.found


def test_a_table_that_hides_the_late_row_but_uses_its_price_is_caught():
    known, late = late_panel()
    usable = TABLE.usable.copy()
    usable[late] = False
    found = check_known_then(describe, replace(TABLE, usable=usable), PRICES, known)
    assert found.leaks
    assert "other values" in found.found


def test_honest_training_passes():
    found = check_forecasts(ridge, EXAMPLES)
    assert not found.leaks, found.found


@pytest.mark.parametrize(
    ("train", "examples", "name"),
    [(ridge, EXAMPLES, name) for name in ("x", "returns", "scale")]
    + [(har, OF_WIDTH, name) for name in ("x", "log_widths", "scale")],
)
def test_a_training_that_scales_by_the_whole_sample_is_caught(train, examples, name):
    def leaky(part):
        whole = getattr(part, name)
        centred = whole * np.float32(1 + np.nanstd(whole))
        return train(replace(part, **{name: centred.astype(whole.dtype)}))

    assert check_forecasts(leaky, examples).leaks


@pytest.mark.parametrize("train", [har, garch, combination])
def test_a_learned_width_ignores_the_future(train):
    for rows in (len(OF_WIDTH), 800):
        found = check_forecasts(train, OF_WIDTH, rows=rows)
        assert not found.leaks, found.found


def test_a_training_whose_labels_reach_into_the_test_span_is_caught(monkeypatch):
    from forecasting.models import training
    from forecasting.models.cross_validation import walk_forward

    def unpurged(*args, **options):
        return walk_forward(*args, **options, purge_bars=0, embargo_bars=0)

    monkeypatch.setattr(training, "walk_forward", unpurged)
    assert check_forecasts(ridge, EXAMPLES).leaks


def test_a_training_that_never_sees_the_other_future_does_not_pass_by_default():
    kept = ridge(EXAMPLES)
    found = check_forecasts(lambda _: kept, EXAMPLES)
    assert found.leaks
    assert "did not reach the walk" in found.found


def test_where_a_few_symbols_are_too_short_all_are_taken():
    found = check_forecasts(ridge, EXAMPLES, rows=10)
    assert not found.leaks
    assert f"on {len(EXAMPLES):,} rows" in found.found


@dataclass
class Held:
    metadata: dict = field(default_factory=dict)
    path: str = ""


FORECASTS = "forecasts_ignore_the_future"
CLEAN = [LeakFinding(name, False, "none do").to_dict() for name in RULES if name != FORECASTS]


def trained(kind, *, leaks=False, made=True):
    found = [LeakFinding(FORECASTS, leaks, "loc moved" if leaks else "none do").to_dict()]
    return Held({"kind": kind, **({"leaks": found} if made else {})})


def test_every_check_is_a_gate_and_all_pass_when_nothing_leaks():
    gates = leak_gates(Held({"leaks": CLEAN}), [trained("ridge"), trained("xgboost")])
    assert [gate.name for gate in gates] == list(RULES)
    assert all(gate.passed for gate in gates)


def test_one_leaking_candidate_refuses_and_is_named():
    gates = leak_gates(Held({"leaks": CLEAN}), [trained("ridge"), trained("xgboost", leaks=True)])
    (failed,) = [gate for gate in gates if not gate.passed]
    assert (failed.name, failed.found) == (FORECASTS, "xgboost: loc moved")


def test_a_check_that_was_not_made_refuses():
    gates = leak_gates(Held(), [trained("ridge"), trained("xgboost", made=False)])
    assert not any(gate.passed for gate in gates)
    assert {gate.name for gate in gates} == set(RULES)
    assert any(gate.found == "xgboost: the check was not made" for gate in gates)


def test_a_finding_that_is_none_is_refused():
    with pytest.raises(Corrupted, match="Run the pipeline again"):
        leak_gates(Held({"leaks": [{"check": "nothing", "leaks": False, "found": ""}]}), [])
