import json
from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import InvalidSettings
from forecasting.evaluation.conditional_coverage import (
    ConditionalCoverage,
    CoverageCell,
    CoverageGap,
)
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import (
    GateResult,
    PromotionPolicy,
    decide,
)
from forecasting.evaluation.lifetime import Lifetime
from forecasting.testing import planted_forecasts

DRIFT = "random_walk_drift"


def judged(signal, seed, *, candidates=("ridge",), **options):
    forecasts = planted_forecasts(
        signal=signal, seed=seed, candidates=(*candidates, DRIFT), **options
    )
    return evaluate(forecasts, repetitions=200, seed=seed)


@pytest.fixture(scope="module")
def skilled():
    return judged(0.2, 1, candidates=("ridge", "xgboost"), periods=600)


def gate(verdict, name):
    return next(gate for gate in verdict.gates if gate.name == name)


def changed(evaluation, name, **scores):
    candidate = evaluation.candidates[name]
    mended = replace(candidate, overall=replace(candidate.overall, **scores))
    return replace(evaluation, candidates={**evaluation.candidates, name: mended})


def test_candidates_without_skill_are_refused_on_random_walks():
    small = {"symbols": 3, "periods": 400, "candidates": ("ridge", "random_forest", "xgboost")}
    promoted = [decide(judged(0.0, seed, **small)).promote for seed in range(25)]
    assert sum(promoted) <= 2


def test_a_planted_signal_is_promoted():
    small = {"symbols": 4, "periods": 1_000, "candidates": ("ridge", "xgboost")}
    promoted = [decide(judged(0.15, seed, **small)).promote for seed in range(12)]
    assert sum(promoted) >= 10


def test_the_challenger_is_the_candidate_with_the_least_loss(skilled):
    losses = {n: skilled.candidates[n].overall.pinball for n in ("ridge", "xgboost")}
    verdict = decide(skilled)
    assert verdict.promote
    assert verdict.candidate == min(losses, key=lambda name: losses[name])
    assert verdict.champion == "random_walk"


def test_a_refusal_says_why_in_words():
    verdict = decide(judged(0.0, 3, periods=400, candidates=("ridge",)))
    assert not verdict.promote
    assert verdict.sentence.startswith("refuse ridge, because must beat the random walk")
    assert "skill -" in verdict.sentence
    assert verdict.reasons == tuple(f"{g.rule}: {g.found}" for g in verdict.gates if not g.passed)


def test_the_random_walks_are_never_challengers(skilled):
    walks = ("random_walk", DRIFT)
    alone = replace(skilled, candidates={name: skilled.candidates[name] for name in walks})
    assert alone.challengers == ()
    verdict = decide(alone)
    assert verdict.candidate is None
    assert verdict.sentence == (
        "refuse, because there must be a candidate besides the random walk: none"
    )
    assert verdict.to_dict()["skill"] is None


def test_luck_in_picking_the_best_is_refused_by_spa_alone(skilled):
    verdict = decide(replace(skilled, spa_p_value=0.2))
    assert [g.name for g in verdict.gates if not g.passed] == ["survives_selection"]
    assert "p 0.200 over 2 candidates" in verdict.sentence


@pytest.mark.parametrize("unknown", ["spa", "diebold_mariano"])
def test_an_unknown_p_value_is_no_evidence(skilled, unknown):
    if unknown == "spa":
        verdict = decide(replace(skilled, spa_p_value=float("nan")))
    else:
        verdict = decide(changed(skilled, skilled.best, p_value=float("nan")))
    assert not verdict.promote
    assert "unknown" in verdict.sentence


@pytest.mark.parametrize(
    ("found", "passed"), [(0.86, False), (0.87, True), (0.93, True), (0.94, False)]
)
def test_intervals_out_of_band_are_refused(skilled, found, passed):
    verdict = decide(changed(skilled, skilled.best, coverage_90=found))
    assert gate(verdict, "honest_intervals").passed is passed
    assert verdict.promote is passed


def cell(third, coverage, error):
    return CoverageCell(third, 5, coverage, 900, 0.0, 0.0, error, 20)


def gap(value, error):
    return CoverageGap(1, value, 0.0, 0.0, error, 20)


@pytest.mark.parametrize(
    ("cells", "gaps", "passed", "found"),
    [
        # Surely not 90 %, and yet within the band; outside of it, and yet not surely.
        (
            [cell("calm", 0.872, 0.002), cell("middle", 0.80, 0.05)],
            [gap(0.058, 0.002)],
            True,
            "nothing is surely outside in 3 tests, 0 are too short",
        ),
        (
            [cell("calm", 0.84, 0.008), cell("storm", 0.96, 0.008)],
            [gap(0.0, 0.01)],
            False,
            "it held 84.0% in calm at 5 bars (p 0.003), 96.0% in storm at 5 bars (p below 0.001)",
        ),
        ([cell("calm", 0.9, 0.01)], [gap(-0.1, 0.01)], False, "it held -10.0 points in storm over"),
        (
            [cell("calm", 0.9, 0.01), cell("storm", 0.5, np.nan)],
            [gap(np.nan, np.nan)],
            True,
            "nothing is surely outside in 1 tests, 2 are too short",
        ),
        (
            [cell("calm", np.nan, np.nan)],
            [gap(np.nan, np.nan)],
            True,
            "nothing is surely outside in 0 tests, 2 are too short",
        ),
    ],
)
def test_coverage_in_calm_or_storm_refuses_if_it_is_surely_outside_the_band(
    skilled, cells, gaps, passed, found
):
    coverage = ConditionalCoverage(tuple(cells), tuple(gaps))
    candidate = replace(skilled.candidates[skilled.best], conditional_coverage=coverage)
    verdict = decide(replace(skilled, candidates={**skilled.candidates, skilled.best: candidate}))
    judged = gate(verdict, "conditional_intervals")
    assert judged.found.startswith(found)
    assert judged.passed is verdict.promote is passed


def test_too_few_periods_are_refused_whatever_they_show(skilled):
    verdict = decide(skilled, policy=PromotionPolicy(min_periods=601))
    assert not gate(verdict, "enough_evidence").passed
    spans = decide(skilled, policy=PromotionPolicy(min_spans=21))
    assert gate(spans, "enough_evidence").found == "600 periods, 20.0 times"
    assert not spans.promote


def test_a_challenger_worse_than_the_champion_is_refused(skilled):
    best = skilled.best
    strong = skilled.candidates[best]
    better = replace(strong, series=strong.series - 0.01 * (1 + np.arange(600) % 2))
    evaluation = replace(skilled, candidates={**skilled.candidates, "champion": better})
    # The champion's own score is left behind the challenger's, so that the test must catch it.
    behind = changed(evaluation, "champion", pinball=9.0)
    verdict = decide(behind, "champion")
    assert verdict.candidate == best
    assert [g.name for g in verdict.gates if not g.passed] == ["not_worse_than_champion"]


def test_a_challenger_as_good_as_the_champion_passes_that_gate(skilled):
    other = next(name for name in skilled.challengers if name != skilled.best)
    assert gate(decide(skilled, other), "not_worse_than_champion").passed
    own = gate(decide(skilled, skilled.best), "not_worse_than_champion")
    assert own.passed
    assert "trained anew" in own.found


def test_a_champion_that_was_not_evaluated_on_the_same_folds_refuses(skilled):
    verdict = decide(skilled, "last_year")
    assert not verdict.promote
    assert "last_year was not forecast on these folds" in verdict.sentence
    told = decide(skilled, "last_year", absence="a feature is gone; make it again")
    found = gate(told, "not_worse_than_champion").found
    assert found.endswith("not forecast on these folds: a feature is gone; make it again")


def test_a_horizon_worse_than_the_random_walk_refuses(skilled):
    candidate = skilled.candidates[skilled.best]
    bad = replace(candidate.by_horizon[30], p_value=0.9999, skill=-0.02)
    mended = replace(candidate, by_horizon={**candidate.by_horizon, 30: bad})
    evaluation = replace(skilled, candidates={**skilled.candidates, skilled.best: mended})
    verdict = decide(evaluation)
    assert [g.name for g in verdict.gates if not g.passed] == ["no_horizon_worse"]
    assert "worse at 30 bars (skill -2.00%, p below 0.001)" in verdict.sentence


def test_a_search_long_enough_to_have_found_its_luck_is_refused():
    forecasts = planted_forecasts(
        signal=0.2, seed=1, candidates=("ridge", "xgboost", DRIFT), periods=600, noise=0.12
    )
    # SPA's p is 0.005: of 50 draws one more or less beyond would decide at 5 %, of 500 none does.
    plain = evaluate(forecasts, repetitions=500)
    searched = evaluate(forecasts, trials={"ridge": 200, "xgboost": 200}, repetitions=500)
    before, after = (one.candidates[one.best] for one in (plain, searched))
    assert before.overall.p_value == after.overall.p_value < before.anytime_p == before.deflated_p
    assert after.deflated_p > 10 * before.deflated_p
    assert decide(plain).promote
    verdict = decide(searched)
    assert [g.name for g in verdict.gates if not g.passed] == ["survives_trials"]
    assert (
        "after 400 trials and none weighed before, worth 54.4 independent ones" in verdict.sentence
    )


def test_a_champion_of_a_kind_nobody_trained_is_an_incumbent_that_is_never_promoted():
    forecasts = planted_forecasts(
        signal=0.2, seed=1, candidates=("ridge", "lightgbm", DRIFT), periods=600, noise=0.0
    )
    blunt = replace(
        forecasts["ridge"],
        quantiles=(forecasts["ridge"].quantiles + forecasts["random_walk"].quantiles) / 2,
    )
    evaluation = evaluate({**forecasts, "ridge": blunt}, incumbent="lightgbm", repetitions=50)
    alone = {name: forecasts[name] for name in ("random_walk", DRIFT)} | {"ridge": blunt}
    without = evaluate(alone, repetitions=50)
    assert evaluation.best == "ridge"
    assert evaluation.trials == 1
    assert evaluation.spa_p_value == without.spa_p_value
    verdict = decide(evaluation, "lightgbm")
    assert [g.name for g in verdict.gates if not g.passed] == ["not_worse_than_champion"]
    assert "against lightgbm's" in verdict.sentence
    assert decide(without).promote


def test_the_significance_level_can_be_made_stricter_and_not_looser(skilled):
    assert decide(skilled, policy=PromotionPolicy(alpha=0.04)).promote
    assert not decide(skilled, policy=PromotionPolicy(alpha=1e-12)).promote
    with pytest.raises(InvalidSettings, match=r"at most 0.05: 0.06"):
        PromotionPolicy(alpha=0.06)


def after(**lifetime):
    """The same evidence after earlier trainings."""
    forecasts = planted_forecasts(
        signal=0.2, seed=1, candidates=("ridge", "xgboost", DRIFT), periods=600, noise=0.12
    )
    return evaluate(forecasts, lifetime=Lifetime(**lifetime), repetitions=2_000)


def test_what_passes_at_the_first_training_does_not_after_as_many_as_make_it_luck():
    first = decide(after())
    again = decide(after(first_periods=600, since="2026-01-05"))
    later = decide(after(first_periods=200, since="2026-01-05"))
    assert first.promote
    assert again.promote
    assert "and no other trial in trainings since 2026-01-05" in again.sentence
    assert not gate(later, "beats_random_walk").passed
    assert not gate(later, "survives_selection").passed
    assert "over all trainings, 0.00" in gate(later, "beats_random_walk").found


def test_other_configurations_weighed_before_count_as_trials():
    verdict = decide(after(first_periods=600, trials=400, since="2026-01-05"))
    assert [g.name for g in verdict.gates if not g.passed] == ["survives_trials"]
    assert "after 2 trials and 400 other trials in trainings since 2026-01-05" in verdict.sentence


def with_split(evaluation, name, *, claims=True, **p_values):
    split = replace(evaluation.candidates[name].split, claims_direction=claims, **p_values)
    mended = replace(evaluation.candidates[name], split=split)
    return replace(evaluation, candidates={**evaluation.candidates, name: mended})


@pytest.mark.parametrize(
    ("direction_p", "drift_p", "proved", "found"),
    [
        (0.01, 0.049, True, "p 0.010 against none, 0.049 against a drift"),
        (0.051, 0.01, False, "p 0.051 against none"),
        (0.01, 0.051, False, "0.051 against a drift"),
        (0.01, np.nan, False, "unknown against a drift"),
        (np.nan, 0.01, False, "p unknown against none"),
    ],
)
def test_a_direction_must_beat_none_and_a_drift(skilled, direction_p, drift_p, proved, found):
    alone = {name: skilled.candidates[name] for name in ("random_walk", DRIFT, skilled.best)}
    evaluation = with_split(
        replace(skilled, candidates=alone),
        skilled.best,
        picked_direction_p=direction_p,
        picked_drift_p=drift_p,
    )
    verdict = decide(evaluation)
    assert gate(verdict, "direction_proved").passed is verdict.promote is proved
    assert found in gate(verdict, "direction_proved").found


def test_without_a_random_walk_with_drift_no_direction_is_proved():
    forecasts = planted_forecasts(signal=0.2, seed=1, candidates=("ridge",), periods=600)
    verdict = decide(evaluate(forecasts, repetitions=200))
    assert [g.name for g in verdict.gates if not g.passed] == ["direction_proved"]
    assert "random_walk_drift was not forecast on these folds" in verdict.sentence


HINDSIGHT = GateResult(
    "survivorship_free", False, "no survivors", "chosen afterwards", of_direction=True
)


def test_hindsight_bars_a_direction_and_not_a_width(skilled):
    refused = decide(skilled, further=(HINDSIGHT,))
    assert refused.candidate == skilled.best
    assert refused.reasons == ("no survivors: chosen afterwards",)
    evaluation = skilled
    for name in skilled.challengers:
        evaluation = with_split(evaluation, name, claims=False)
    promoted = decide(evaluation, further=(HINDSIGHT,))
    assert promoted.promote
    assert gate(promoted, "direction_proved").found == f"{skilled.best} claims none"
    assert gate(promoted, "survivorship_free").found == (
        f"chosen afterwards; {skilled.best} claims no direction"
    )


def test_where_the_best_may_claim_no_direction_the_second_best_is_judged(skilled):
    first, second = skilled.challengers
    evaluation = with_split(skilled, second, claims=False)
    assert decide(evaluation).candidate == first
    fallback = decide(evaluation, further=(HINDSIGHT,))
    assert fallback.candidate == second
    assert fallback.promote
    assert fallback.skill == skilled.candidates[second].overall.skill
    unproved = with_split(evaluation, first, picked_drift_p=0.2)
    assert decide(unproved).candidate == second
    neither = with_split(with_split(skilled, first, picked_drift_p=0.2), second, picked_drift_p=0.3)
    assert decide(neither).candidate == first
    assert [g.name for g in decide(neither).gates if not g.passed] == ["direction_proved"]


def test_the_second_best_needs_a_lead_of_its_own_beyond_the_largest_by_luck(skilled):
    first, second = skilled.challengers
    evaluation = with_split(with_split(skilled, first, picked_drift_p=0.2), second, claims=False)
    lucky = replace(evaluation.candidates[second], picked_p=0.06)
    evaluation = replace(evaluation, candidates={**evaluation.candidates, second: lucky})
    verdict = decide(evaluation)
    assert evaluation.spa_p_value < 0.05
    assert [g.name for g in verdict.gates if not g.passed] == ["survives_selection"]
    assert (
        gate(verdict, "survives_selection").found
        == "p 0.060 over 2 candidates, 0.094 over all trainings"
    )


def test_a_leak_counts_for_a_width_as_well(skilled):
    leak = GateResult("no_leak", False, "no feature may know the future", "rsi_14 does")
    assert not decide(with_split(skilled, skilled.best, claims=False), further=(leak,)).promote


def test_gates_judged_elsewhere_count(skilled):
    leak = GateResult("no_leak", False, "no feature may know the future", "rsi_14 does")
    verdict = decide(skilled, further=(leak,))
    assert not verdict.promote
    assert verdict.reasons == ("no feature may know the future: rsi_14 does",)


def test_a_verdict_is_json(skilled):
    record = json.loads(json.dumps(decide(skilled).to_dict(), allow_nan=False))
    assert record["promote"] is True
    assert len(record["gates"]) == 9
    assert all(set(one) == {"name", "passed", "rule", "found"} for one in record["gates"])


@pytest.mark.parametrize("policy", [{"alpha": 0}, {"champion_alpha": 1}, {"coverage": (0.9, 0.8)}])
def test_a_policy_that_makes_no_sense_is_refused(policy):
    with pytest.raises(InvalidSettings):
        PromotionPolicy(**policy)
