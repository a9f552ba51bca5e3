"""Promotion gates: pure decisions on an evaluation, each rule readable beside what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasting.errors import InvalidSettings
from forecasting.evaluation.coverage_band import outside_band
from forecasting.evaluation.evaluate import Evaluation
from forecasting.models.candidates import DRIFT_MODEL, NULL_MODEL
from forecasting.schema import COVERAGE_BAND
from forecasting.settings import MOST_ALPHA
from forecasting.stats.significance import holm


@dataclass(frozen=True)
class PromotionPolicy:
    """What a challenger has to show.

    Attributes:
        alpha: significance level of the tests against the random walk, one-sided; at most
            `MOST_ALPHA`.
        champion_alpha: level at which being worse than the champion, or than the random walk
            at one of the reported horizons, refuses; `conditional_intervals` tests at it, too.
        coverage: band the pooled coverage of the 90 % interval must lie in, ends included, and
            that of no third of the volatility may be significantly outside of.
        min_periods: fewest out-of-sample periods (dates, for daily bars).
        min_spans: fewest stretches as long as the longest horizon that these periods must hold;
            with fewer, overlapping forecasts are too few independent ones for any test.

    Raises:
        InvalidSettings: a level or the band makes no sense.
    """

    alpha: float = MOST_ALPHA
    champion_alpha: float = 0.05
    coverage: tuple[float, float] = COVERAGE_BAND
    min_periods: int = 250
    min_spans: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= MOST_ALPHA:
            raise InvalidSettings(
                f"the significance level of a promotion lies above 0 and is at most {MOST_ALPHA}",
                f"{self.alpha}",
                f"Give {MOST_ALPHA} or less",
            )
        if not 0 < self.champion_alpha < 1:
            raise InvalidSettings(
                "a significance level lies between 0 and 1",
                f"champion_alpha {self.champion_alpha}",
                "0.05 is the default",
            )
        if not 0 <= self.coverage[0] < self.coverage[1] <= 1:
            raise InvalidSettings(
                "a coverage band rises within 0 to 1", f"{self.coverage}", f"Give {COVERAGE_BAND}"
            )


@dataclass(frozen=True)
class GateResult:
    """One rule, and whether it held.

    Attributes:
        name: short name, e.g. "beats_random_walk".
        passed: whether the rule held.
        rule: what has to hold, in words.
        found: what was there.
        of_direction: whether it bars claims of a direction only: a candidate that claims none may
            be promoted though the rule did not hold.
    """

    name: str
    passed: bool
    rule: str
    found: str
    of_direction: bool = False


@dataclass(frozen=True)
class Decision:
    """The decision on one evaluation.

    Attributes:
        promote: whether the challenger may replace the champion.
        candidate: the challenger judged; None when there was none but the random walk.
        champion: name of the champion it was compared with.
        gates: every rule, in the order they were asked.
        skill: the challenger's overall skill against the random walk; NaN without one.
        trials: configurations tried over all candidates.
        alpha: significance level.
    """

    promote: bool
    candidate: str | None
    champion: str
    gates: tuple[GateResult, ...]
    skill: float
    trials: int
    alpha: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """The rules that failed; when all held, what was found by each."""
        gates = [gate for gate in self.gates if not gate.passed] or list(self.gates)
        return tuple(f"{gate.rule}: {gate.found}" for gate in gates)

    @property
    def word(self) -> str:
        """`promote` or `refuse`."""
        return "promote" if self.promote else "refuse"

    @property
    def sentence(self) -> str:
        """The decision in one sentence: "refuse ridge, because ..."."""
        who = f" {self.candidate}" if self.candidate else ""
        return f"{self.word}{who}, because {'; '.join(self.reasons)}"

    def to_dict(self) -> dict[str, object]:
        """Ready for JSON; null for a skill that is not finite."""
        return {
            "promote": self.promote,
            "candidate": self.candidate,
            "champion": self.champion,
            "sentence": self.sentence,
            "skill": self.skill if np.isfinite(self.skill) else None,
            "trials": self.trials,
            "alpha": self.alpha,
            "gates": [
                {"name": g.name, "passed": g.passed, "rule": g.rule, "found": g.found}
                for g in self.gates
            ],
        }


def decide(
    evaluation: Evaluation,
    champion: str | None = None,
    policy: PromotionPolicy | None = None,
    *,
    absence: str = "",
    further: Sequence[GateResult] = (),
) -> Decision:
    """Judge the best challenger.

    The challenger is the candidate, other than the random walks, with the least mean scaled
    pinball loss over all horizons (weighted 1/h), symbols and folds, among those that claim no
    direction or have proved theirs; where there is none of these, the best of all. It was picked,
    so its own Diebold-Mariano test is not enough: Hansen's SPA test over all candidates must reject
    "none beats the random walk" as well, and that test counts the picking; where it is not the
    best of all, its own lead must be beyond what the largest of all leads would be by luck.
    Settings that a search tried leave no losses for that test, so the Diebold-Mariano p-value must
    also hold deflated by their number, as if they had been picked on the test spans; see
    `forecasting.evaluation.multiple_testing`.

    Args:
        evaluation: all candidates on the same forecasts.
        champion: the champion's name among the candidates, as a challenger or as the incumbent;
            None, or the random walk, when nothing better was ever promoted.
        policy: what has to be shown; the defaults of `PromotionPolicy` otherwise.
        absence: why the champion is not among the candidates, and what can be done, in words.
        further: gates judged elsewhere (e.g. leak checks) that must hold as well; those of
            direction for a candidate that claims one.
    """
    policy = policy or PromotionPolicy()
    champion = champion or NULL_MODEL
    may_claim = all(gate.passed for gate in further if gate.of_direction)
    name = _judged(evaluation, policy, may_claim=may_claim)
    if name is None:
        alone = GateResult(
            "has_challenger", False, "there must be a candidate besides the random walk", "none"
        )
        return Decision(
            False, None, champion, (alone,), float("nan"), evaluation.trials, policy.alpha
        )
    gates = (
        _enough_evidence(evaluation, policy),
        _beats_random_walk(evaluation, name, policy),
        _direction_proved(evaluation, name, policy),
        _survives_selection(evaluation, name, policy),
        _survives_trials(evaluation, name, policy),
        _no_horizon_worse(evaluation, name, policy),
        _not_worse_than(evaluation, name, champion, policy, absence),
        _honest_intervals(evaluation, name, policy),
        conditional_intervals(evaluation, name, policy),
        *(_for_candidate(evaluation, name, gate) for gate in further),
    )
    return Decision(
        promote=all(gate.passed for gate in gates),
        candidate=name,
        champion=champion,
        gates=gates,
        skill=evaluation.candidates[name].overall.skill,
        trials=evaluation.trials,
        alpha=policy.alpha,
    )


def _judged(evaluation: Evaluation, policy: PromotionPolicy, *, may_claim: bool) -> str | None:
    """The best challenger whose claim of a direction holds, or that claims none; else the best."""
    for name in evaluation.challengers:
        claims = evaluation.candidates[name].split.claims_direction
        if not claims or (may_claim and _direction_proved(evaluation, name, policy).passed):
            return name
    return evaluation.best


def _for_candidate(evaluation: Evaluation, name: str, gate: GateResult) -> GateResult:
    """A gate judged elsewhere; one of direction holds for a candidate that claims none."""
    if gate.passed or not gate.of_direction or evaluation.candidates[name].split.claims_direction:
        return gate
    return replace(gate, passed=True, found=f"{gate.found}; {name} claims no direction")


def _enough_evidence(evaluation: Evaluation, policy: PromotionPolicy) -> GateResult:
    spans = evaluation.periods / evaluation.overlap
    return GateResult(
        "enough_evidence",
        evaluation.periods >= policy.min_periods and spans >= policy.min_spans,
        f"at least {policy.min_periods} out-of-sample periods that hold the longest forecast "
        f"{policy.min_spans:g} times",
        f"{evaluation.periods} periods, {spans:.1f} times",
    )


def _beats_random_walk(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    score = evaluation.candidates[name].overall
    over_all = _over_all(evaluation, score.p_value)
    return GateResult(
        "beats_random_walk",
        score.skill > 0 and over_all < policy.alpha,
        "must beat the random walk over all trainings of the data set (Diebold-Mariano, one-sided; "
        f"the p that may be looked at after each of them below {policy.alpha:g})",
        f"{name} has skill {_percent(score.skill)}, p {_p(over_all)} over all trainings, "
        f"{_p(score.p_value)} in this one alone",
    )


def _direction_proved(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    split = evaluation.candidates[name].split
    against_none = _over_all(evaluation, split.overall.direction_p)
    against_drift = _over_all(evaluation, split.overall.drift_p)
    picked = split.picked_direction_p, split.picked_drift_p
    proved = all(p_value < policy.alpha for p_value in (against_none, against_drift, *picked))
    if not split.claims_direction:
        found = f"{name} claims none"
    elif DRIFT_MODEL not in evaluation.candidates:
        found = f"{DRIFT_MODEL} was not forecast on these folds, so no direction can be proved"
    else:
        found = (
            f"{name}'s direction has skill {_percent(split.overall.direction)}, p "
            f"{_p(picked[0])} against none, {_p(picked[1])} against a drift; over all trainings "
            f"{_p(against_none)} and {_p(against_drift)}"
        )
    return GateResult(
        "direction_proved",
        not split.claims_direction or proved,
        "a direction that is claimed must beat none and the drift of the past, all else equal "
        f"(Diebold-Mariano, counting that one was picked, and over all trainings, p below {policy.alpha:g})",
        found,
        of_direction=True,
    )


def _survives_selection(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    challengers = len(evaluation.challengers)
    best = name == evaluation.best
    picked_p = evaluation.spa_p_value if best else evaluation.candidates[name].picked_p
    p_value = _over_all(evaluation, picked_p)
    return GateResult(
        "survives_selection",
        p_value < policy.alpha,
        "must still beat it after counting that the best was picked "
        f"(Hansen's SPA, p over all trainings below {policy.alpha:g})",
        f"p {_p(picked_p)} over {challengers} {'candidate' if challengers == 1 else 'candidates'}, "
        f"{_p(p_value)} over all trainings",
    )


def _survives_trials(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    deflated, trials = evaluation.candidates[name].deflated_p, evaluation.trials
    searched, before = trials > len(evaluation.challengers), evaluation.lifetime
    worth = f"worth {evaluation.effective_trials:.1f} independent ones"
    counted = worth if searched or before.trials else "none of them by a search"
    return GateResult(
        "survives_trials",
        deflated < policy.alpha,
        "must still beat it after counting the settings that were tried, in earlier trainings too "
        f"(p over all trainings, deflated by Sidak's formula, below {policy.alpha:g})",
        f"p {_p(deflated)} after {trials} {'trial' if trials == 1 else 'trials'} and "
        f"{before.words}, {counted}",
    )


def _no_horizon_worse(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    scores = evaluation.candidates[name].by_horizon
    worse = holm([1 - scores[horizon].p_value for horizon in evaluation.horizons])
    bad = [
        f"{horizon} bars (skill {_percent(scores[horizon].skill)}, p {_p(p_value)})"
        for horizon, p_value in zip(evaluation.horizons, worse, strict=True)
        if p_value < policy.champion_alpha
    ]
    return GateResult(
        "no_horizon_worse",
        not bad,
        "no reported horizon may be worse than the random walk "
        f"(Diebold-Mariano with Holm's correction, p not below {policy.champion_alpha:g})",
        f"worse at {', '.join(bad)}" if bad else "none is",
    )


def _not_worse_than(
    evaluation: Evaluation, name: str, champion: str, policy: PromotionPolicy, absence: str
) -> GateResult:
    rule = (
        "must not be worse than the champion on the same folds "
        f"(Diebold-Mariano, one-sided p of being worse not below {policy.champion_alpha:g})"
    )
    if champion == NULL_MODEL:
        found = "the champion is the random walk; see above"
        return GateResult("not_worse_than_champion", True, rule, found)
    if champion not in evaluation.candidates:
        found = f"the champion {champion} was not forecast on these folds" + (
            f": {absence}" if absence else ""
        )
        return GateResult("not_worse_than_champion", False, rule, found)
    if champion == name:
        found = f"{name} is the champion's own method, of the same parameters and features, trained anew"
        return GateResult("not_worse_than_champion", True, rule, found)
    worse = evaluation.compare(champion, name)
    passed = bool(np.isfinite(worse.p_value) and worse.p_value >= policy.champion_alpha)
    own = evaluation.candidates[name].overall.skill
    other = evaluation.candidates[champion].overall.skill
    return GateResult(
        "not_worse_than_champion",
        passed,
        rule,
        f"skill {_percent(own)} against {champion}'s {_percent(other)}, p {_p(worse.p_value)}",
    )


def _honest_intervals(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    low, high = policy.coverage
    coverage = evaluation.candidates[name].overall.coverage_90
    return GateResult(
        "honest_intervals",
        bool(low <= coverage <= high),
        f"the 90 % interval must hold {low:.0%} to {high:.0%} of outcomes",
        f"it held {coverage:.1%}",
    )


def conditional_intervals(evaluation: Evaluation, name: str, policy: PromotionPolicy) -> GateResult:
    """Whether the 90 % interval is honest whatever the volatility is; see `coverage_band`.

    Args:
        evaluation: all candidates on the same forecasts.
        name: the candidate judged.
        policy: its `coverage` is the band, its `champion_alpha` the level of the test.
    """
    found = evaluation.candidates[name].conditional_coverage
    cells, gaps = outside_band(found, policy.coverage)
    bad = [
        f"{cell.coverage:.1%} in {cell.third} at {_bars(cell.horizon)} (p {_p(p_value)})"
        for cell, p_value in zip(found.cells, cells, strict=True)
        if p_value < policy.champion_alpha
    ] + [
        f"{100 * gap.gap:+.1f} points in storm over calm at {_bars(gap.horizon)} (p {_p(p_value)})"
        for gap, p_value in zip(found.gaps, gaps, strict=True)
        if p_value < policy.champion_alpha
    ]
    p_values = (*cells, *gaps)
    asked = int(np.isfinite(p_values).sum())
    low, high = policy.coverage
    return GateResult(
        "conditional_intervals",
        not bad,
        f"in every third of its symbol's volatility over a year the 90 % interval must hold {low:.0%} to "
        f"{high:.0%} of outcomes at every reported horizon, and storm no more than "
        f"{100 * (high - low):.0f} points from calm (t test of each with Holm's correction, p not "
        f"below {policy.champion_alpha:g})",
        f"it held {', '.join(bad)}"
        if bad
        else f"nothing is surely outside in {asked} tests, {len(p_values) - asked} are too short to say",
    )


def _over_all(evaluation: Evaluation, p_value: float) -> float:
    return evaluation.lifetime.p_value(p_value, evaluation.periods)


def _bars(horizon: int) -> str:
    return "1 bar" if horizon == 1 else f"{horizon} bars"


def _percent(share: float) -> str:
    return f"{share:+.2%}" if np.isfinite(share) else "unknown"


def _p(value: float) -> str:
    if not np.isfinite(value):
        return "unknown"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
