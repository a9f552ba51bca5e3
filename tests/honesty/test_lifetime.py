"""The weekly gate of the lifetime experiment decides as the product's gate, and keeps its promises."""

import numpy as np
import pytest

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.lifetime import EXPERIMENT
from benchmarks.honesty.lifetime_trials import KINDS, Gains, Week, World, first_promotions
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.evaluation.lifetime import Lifetime
from forecasting.models.candidates import DRIFT_MODEL
from forecasting.testing import planted_forecasts


def test_weekly_trainings_promote_what_is_there_and_nothing_else():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    assert outcome.data["nothing to find"]["over_all"] == [-1, -1]


@pytest.mark.parametrize(("signal", "first"), [(0.0, 600), (0.2, 600), (0.2, 100), (0.12, 600)])
def test_a_week_is_judged_as_the_gate_would(signal, first):
    periods, seed = 600, 3
    forecasts = planted_forecasts(
        signal=signal, candidates=(*KINDS, DRIFT_MODEL), symbols=5, periods=periods, seed=seed
    )
    lifetime = Lifetime(first, 0, "2026-01-05")
    verdict = decide(evaluate(forecasts, lifetime=lifetime, seed=seed, repetitions=1_000))
    week = Week(Gains(World(signal, False, 0, periods, seed)), slice(0, periods), seed)
    refused = {gate.name for gate in verdict.gates if not gate.passed}
    by_losses = refused - {"enough_evidence", "honest_intervals", "conditional_intervals"}
    assert week.promotes(lifetime) is not bool(by_losses)


def test_judging_each_training_alone_never_promotes_later():
    found = first_promotions(World(0.2, False, 20, 900, 4))
    assert 0 <= found.each_alone <= found.over_all or found.over_all == -1
    assert np.all(np.asarray([found.each_alone, found.over_all]) <= 20)
