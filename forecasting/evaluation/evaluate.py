"""Evaluates candidates against the random walk on the same walk-forward forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidInput
from forecasting.evaluation.backtest import Backtest, buy_and_hold, run_backtest
from forecasting.evaluation.conditional_coverage import (
    ConditionalCoverage,
    conditional_coverage,
    scale_thirds,
    sum_coverage,
)
from forecasting.evaluation.directional import (
    HitRate,
    RankCorrelation,
    direction_of,
    ranks_of,
)
from forecasting.evaluation.lifetime import Lifetime
from forecasting.evaluation.loss_sums import LossSums, panel_of, sum_losses
from forecasting.evaluation.multiple_testing import (
    deflated_accounts,
    deflated_p_value,
    effective_trials,
    settings_tried,
)
from forecasting.evaluation.pit_histogram import PitHistogram, pit_histograms, sum_ranks
from forecasting.evaluation.scores import Score, ratio, scores_of
from forecasting.evaluation.skill_split import SkillSplit, split_skills
from forecasting.evaluation.value_at_risk import TailTest, tail_tests
from forecasting.evaluation.variance_forecasts import (
    VarianceScore,
    sum_variances,
    variance_scores,
)
from forecasting.models.candidates import NULL_MODEL, NULLS
from forecasting.models.out_of_sample import OutOfSample
from forecasting.stats.significance import (
    DRAWS,
    DieboldMariano,
    diebold_mariano,
    model_confidence_set,
    picked_p_values,
)

DELAYS = (0, 1, 2)
"""Bars between signal and execution that are backtested; 1 is the result, the others show why."""

SLIPPAGE = 0.0002
"""Share of the value that a trade loses beside fees: two basis points, for liquid daily closes."""


@dataclass(frozen=True)
class CandidateEvaluation:
    """One candidate's evidence.

    Attributes:
        kind: the candidate's name.
        params: its parameters.
        trials: configurations tried to arrive at it.
        overall: over all symbols and all horizons.
        by_horizon: over all symbols, for every horizon 1..H.
        by_symbol: over all horizons.
        split: its skill in two parts, of the width and of the direction.
        skill_by_fold: overall skill in each walk-forward fold.
        coverage_by_fold: coverage of the 90 % interval in each fold.
        conditional_coverage: the same per third of the volatility and reported horizon.
        variance: scores of the forecast variance per reported horizon that is a knot.
        pit: where outcomes fell in the forecast distribution, per such horizon.
        value_at_risk: backtests of each symbol's lowest quantiles one bar ahead, per level.
        levels: quantile levels.
        below: share of outcomes at or below each quantile, shape [H, Q]; `levels` if honest.
        hit_rate: directional accuracy per reported horizon and the signal's.
        information_coefficient: rank correlation per reported horizon and the signal's.
        symbol_hit_rate: directional accuracy of each symbol at the signal's horizon.
        symbol_information_coefficient: rank correlation of each symbol over time, there as well.
        brier: Brier score of P(rise) at the signal horizon; one half always scores 0.25.
        brier_skill: 1 - brier / the random walk's.
        confusion: signals said (rows) and come (columns): sell, hold, buy; shape [3, 3].
        signal_accuracy: share of signals that came true, net of costs.
        signal_base_rate: share of the commonest outcome: what always saying it would score.
        confidence_set_p: p-value of the model's place in the model confidence set.
        picked_p: `overall.p_value`, counting that one of all challengers is picked; the least of
            them is `Evaluation.spa_p_value`. NaN for one that is no challenger.
        anytime_p: `overall.p_value` over all trainings of the data set; see `lifetime`.
        deflated_p: `anytime_p` deflated by what was tried; see `forecasting.evaluation.multiple_testing`.
        backtests: account after costs per delay in `DELAYS`.
        series: mean scaled pinball loss per period, NaN where unknown, shape [T].
    """

    kind: str
    params: dict[str, Any]
    trials: int
    overall: Score
    by_horizon: dict[int, Score]
    by_symbol: dict[str, Score]
    split: SkillSplit
    skill_by_fold: dict[int, float]
    coverage_by_fold: dict[int, float]
    conditional_coverage: ConditionalCoverage
    variance: tuple[VarianceScore, ...]
    pit: tuple[PitHistogram, ...]
    value_at_risk: dict[str, tuple[TailTest, ...]]
    levels: tuple[float, ...]
    below: Floats
    hit_rate: dict[int, HitRate]
    information_coefficient: dict[int, RankCorrelation]
    symbol_hit_rate: dict[str, HitRate]
    symbol_information_coefficient: dict[str, RankCorrelation]
    brier: float
    brier_skill: float
    confusion: NDArray[np.int64]
    signal_accuracy: float
    signal_base_rate: float
    confidence_set_p: float
    picked_p: float
    anytime_p: float
    deflated_p: float
    backtests: dict[int, Backtest]
    series: Floats


@dataclass(frozen=True)
class Evaluation:
    """All candidates' evidence on one set of walk-forward forecasts.

    Attributes:
        candidates: by name, the random walk among them.
        alpha: significance level of one test.
        horizons: horizons that are reported, bars.
        signal_horizon: horizon of the trading signal, bars.
        cost: its round-trip cost, log return.
        slippage: what a trade loses beside it in the backtests, as a share of its value.
        threshold: probability a signal's side needs.
        symbols: names.
        instants: periods, int64 ns UTC, shape [T].
        periods: periods with a known outcome.
        overlap: periods the longest forecast spans.
        spa_p_value: Hansen's test that no challenger beats the random walk.
        effective_trials: independent trials that searches and earlier trainings are worth, at least 1.
        lifetime: the trainings of the data set before.
        buy_and_hold: the account that never trades again.
        seed: of the tests' random numbers.
        incumbent: a candidate that is only compared with, never a challenger; "" for none.
    """

    candidates: dict[str, CandidateEvaluation]
    alpha: float
    horizons: tuple[int, ...]
    signal_horizon: int
    cost: float
    slippage: float
    threshold: float
    symbols: tuple[str, ...]
    instants: NDArray[np.int64]
    periods: int
    overlap: int
    spa_p_value: float
    effective_trials: float
    lifetime: Lifetime
    buy_and_hold: Backtest
    seed: int
    incumbent: str = ""

    @property
    def benchmark(self) -> CandidateEvaluation:
        """The random walk."""
        return self.candidates[NULL_MODEL]

    @property
    def challengers(self) -> tuple[str, ...]:
        """Names of the candidates that may be promoted, least loss first."""
        names = [name for name in self.candidates if name not in {*NULLS, self.incumbent}]
        return tuple(sorted(names, key=lambda n: (self.candidates[n].overall.pinball, n)))

    @property
    def best(self) -> str | None:
        """The challenger with the least overall scaled pinball loss; None if there is none."""
        return self.challengers[0] if self.challengers else None

    @property
    def trials(self) -> int:
        """Configurations tried over all challengers."""
        return sum(self.candidates[name].trials for name in self.challengers)

    def compare(self, challenger: str, other: str) -> DieboldMariano:
        """Test whether `challenger` loses less than `other`, over all horizons and symbols."""
        differential = self.candidates[other].series - self.candidates[challenger].series
        return diebold_mariano(differential, horizon=self.overlap)


def evaluate(
    candidates: Mapping[str, OutOfSample],
    *,
    alpha: float = 0.05,
    horizons: Sequence[int] = (1, 5, 10, 20, 30),
    threshold: float = 0.55,
    slippage: float = SLIPPAGE,
    trials: Mapping[str, int] | None = None,
    lifetime: Lifetime | None = None,
    incumbent: str = "",
    repetitions: int = DRAWS,
    seed: int = 0,
) -> Evaluation:
    """Score every candidate and test the differences.

    Skill, Diebold-Mariano, SPA and the confidence set all rest on the mean pinball loss divided
    by the volatility known at the forecast's origin times sqrt(h), averaged over the symbols of
    a period. The overall figures average all horizons 1..H with weights 1/h (the evidence they
    carry); the longest overlap H - 1 bars, which the tests know.

    Args:
        candidates: name -> walk-forward forecasts on identical rows; the random walk among them.
            Without the random walk with drift no claim of a direction can be proved.
        alpha: significance level, recorded for the reader.
        horizons: horizons to report, bars; those beyond the forecasts' longest are left out.
        threshold: probability a signal's side needs.
        slippage: what a trade loses beside the signal's cost, as a share of its value.
        trials: configurations tried per candidate; 1 where it does not say.
        lifetime: the trainings of this data set before; none if it is None.
        incumbent: name of a candidate that is there to be compared with only, such as a champion
            of a kind that was not trained as a challenger; "" for none.
        repetitions: simulated values behind the p-values of SPA and the confidence set.
        seed: of the tests' random numbers.

    Raises:
        InvalidInput: the random walk or the incumbent is not among the candidates, or their
            rows differ.
        ShortHistory: no outcome is known yet.
    """
    _check_names(candidates, incumbent)
    panel = panel_of(candidates)
    reported = tuple(h for h in horizons if 1 <= h <= panel.horizon)
    null_forecasts = candidates[NULL_MODEL]
    ranks = ranks_of(panel, sorted({*reported, min(null_forecasts.signal_horizon, panel.horizon)}))
    sums = {name: sum_losses(candidate, panel) for name, candidate in candidates.items()}
    challengers = [name for name in candidates if name not in {*NULLS, incumbent}]
    trial_counts = {name: int((trials or {}).get(name, 1)) for name in candidates}
    overlap = panel.lags(panel.horizon) + 1
    lifetime = lifetime or Lifetime()
    how = {"overlap": overlap, "draws": repetitions, "seed": seed}
    tests = _test(sums, challengers, trial_counts, lifetime, **how)
    accounts = _accounts(
        candidates, challengers, trial_counts, threshold=threshold, slippage=slippage
    )
    thirds = scale_thirds(null_forecasts.scale, panel.codes, null_forecasts.timestamps)
    variances = {name: sum_variances(one, panel, reported) for name, one in candidates.items()}
    null_direction = direction_of(null_forecasts, panel, ranks, threshold)
    splits = split_skills(
        candidates,
        sums,
        panel,
        horizons=reported,
        challengers=challengers,
        draws=repetitions,
        seed=seed,
    )
    evaluated: dict[str, CandidateEvaluation] = {}
    for name, forecasts in candidates.items():
        is_null = name == NULL_MODEL
        rival = None if is_null else sums[NULL_MODEL]
        scores = scores_of(sums[name], rival, sums[NULL_MODEL], panel, forecasts.levels)
        direction = null_direction if is_null else direction_of(forecasts, panel, ranks, threshold)
        evaluated[name] = CandidateEvaluation(
            kind=forecasts.kind,
            params=dict(forecasts.params),
            trials=trial_counts[name],
            levels=tuple(forecasts.levels),
            **vars(scores),
            split=splits[name],
            conditional_coverage=conditional_coverage(
                sum_coverage(forecasts, panel, thirds, reported), panel
            ),
            **vars(direction),
            variance=variance_scores(
                variances[name], None if is_null else variances[NULL_MODEL], panel
            ),
            pit=pit_histograms(sum_ranks(forecasts, panel, reported), panel),
            value_at_risk=tail_tests(forecasts, panel),
            brier_skill=1 - ratio(direction.brier, null_direction.brier),
            confidence_set_p=tests.confidence_set_p[name],
            picked_p=tests.picked_p.get(name, float("nan")),
            anytime_p=(anytime_p := lifetime.p_value(scores.overall.p_value, tests.periods)),
            deflated_p=deflated_p_value(anytime_p, tests.effective_trials),
            backtests=accounts[name],
            series=sums[name].series,
        )
    return Evaluation(
        candidates=evaluated,
        alpha=alpha,
        horizons=reported,
        signal_horizon=null_forecasts.signal_horizon,
        cost=null_forecasts.cost,
        slippage=slippage,
        threshold=threshold,
        symbols=panel.symbols,
        instants=panel.instants,
        periods=tests.periods,
        overlap=overlap,
        spa_p_value=tests.spa_p_value,
        effective_trials=tests.effective_trials,
        lifetime=lifetime,
        buy_and_hold=buy_and_hold(null_forecasts, slippage=slippage),
        seed=seed,
        incumbent=incumbent,
    )


def require_random_walk(candidates: Mapping[str, OutOfSample]) -> None:
    """Refuse candidates without the random walk.

    Raises:
        InvalidInput: it is not among them.
    """
    if NULL_MODEL not in candidates:
        raise InvalidInput(
            "every evaluation has the random walk to beat",
            f"candidates are {', '.join(candidates) or 'none'}",
            f"Train the candidate {NULL_MODEL} as well",
        )


def _check_names(candidates: Mapping[str, OutOfSample], incumbent: str) -> None:
    require_random_walk(candidates)
    if incumbent and incumbent not in candidates:
        raise InvalidInput(
            "an incumbent is compared on the same forecasts",
            f"{incumbent} is not among {', '.join(candidates)}",
            "Forecast the same rows with it (forecasting.models.training)",
        )


@dataclass(frozen=True)
class _Tests:
    """Tests over all candidates at once; see `Evaluation` and `CandidateEvaluation`."""

    periods: int
    spa_p_value: float
    effective_trials: float
    confidence_set_p: dict[str, float]
    picked_p: dict[str, float]


def _test(
    sums: Mapping[str, LossSums],
    challengers: Sequence[str],
    trial_counts: Mapping[str, int],
    lifetime: Lifetime,
    *,
    overlap: int,
    draws: int,
    seed: int,
) -> _Tests:
    """Test the differences of the candidates' loss series over the periods with outcomes."""
    known = np.isfinite(sums[NULL_MODEL].series)
    names = list(sums)
    losses = np.stack([sums[name].series[known] for name in names], axis=1)
    null_losses = losses[:, names.index(NULL_MODEL)]
    rivals = losses[:, [names.index(name) for name in challengers]]
    in_set = model_confidence_set(losses, overlap=overlap, draws=draws, seed=seed)
    picked_p: dict[str, float] = {}
    if challengers:
        gains = null_losses[:, None] - rivals
        picked = picked_p_values(gains, overlap=overlap, draws=draws, seed=seed)
        picked_p = dict(zip(challengers, picked.tolist(), strict=True))
    searched = settings_tried({name: trial_counts[name] for name in challengers}) + lifetime.trials
    return _Tests(
        periods=int(known.sum()),
        spa_p_value=min(picked_p.values(), default=float("nan")),
        effective_trials=effective_trials(searched, null_losses[:, None] - rivals),
        confidence_set_p={name: float(p) for name, p in zip(names, in_set, strict=True)},
        picked_p=picked_p,
    )


def _accounts(
    candidates: Mapping[str, OutOfSample],
    challengers: Sequence[str],
    trial_counts: Mapping[str, int],
    *,
    threshold: float,
    slippage: float,
) -> dict[str, dict[int, Backtest]]:
    """Backtests per candidate and delay; the challengers' Sharpe ratios deflated by all trials."""
    accounts = {
        name: {
            delay: run_backtest(forecasts, threshold=threshold, delay=delay, slippage=slippage)
            for delay in DELAYS
        }
        for name, forecasts in candidates.items()
    }
    searched = sum(trial_counts[name] for name in challengers)
    return accounts | deflated_accounts({name: accounts[name] for name in challengers}, searched)
