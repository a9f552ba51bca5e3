"""How often does the promotion gate promote nothing, and how often does it miss something?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.honesty.experiment import (
    Experiment,
    Finding,
    Outcome,
    Plot,
    Size,
    Table,
    Workers,
    share,
)
from benchmarks.honesty.random_walks import WALKS, correlation_at, learnable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.report.plots import Dress

ALPHA: Final = 0.05
MOST_FALSE: Final = 0.08
LEAST_FOUND: Final = 0.80

REALISTIC: Final = 0.10
"""Correlation of the best one-bar forecast with the return: of what is found in daily prices the
good end, worth about half a percent of the random walk's loss at one bar."""

STRENGTHS: Final = (0.0, 0.03, 0.05, 0.07, 0.10, 0.13)
LEARNED: Final = (0.06, 0.10, 0.14, 0.18)
LEARNABLE: Final = 0.18
"""Strength by which training, too, has to find what is there four times in five."""

GATES: Final = {
    "enough_evidence": "enough evidence",
    "beats_random_walk": "beats the random walk",
    "survives_selection": "survives selection",
    "survives_trials": "survives trials",
    "no_horizon_worse": "no horizon worse",
    "not_worse_than_champion": "not worse than the champion",
    "honest_intervals": "honest intervals",
}

_MANY = 200
"""Runs from which a share is held against its limit as it is."""

_PERIODS = 1_500
_SYMBOLS = 5


@dataclass(frozen=True)
class Trained:
    """A panel on which real candidates are trained by `forecasting.models.training`.

    Attributes:
        walk: a key of `random_walks.WALKS`.
        signal: strength of the planted momentum; 0 plants none.
        kinds: candidates besides the random walk.
        symbols: number of symbols.
        bars: bars per symbol, of which the walk-forward tests about 58 %.
        search: settings that are tried for each candidate; 0 for none.
        seed: of everything.
    """

    walk: str
    signal: float
    kinds: tuple[str, ...]
    symbols: int
    bars: int
    search: int
    seed: np.random.SeedSequence


@dataclass(frozen=True)
class Planted:
    """Made-up forecasts of candidates that know the signal up to errors of their own.

    Attributes:
        signal: its strength; 0 plants none.
        near_ties: whether the benchmark carries such errors too, so that in truth no candidate is
            worse than it: the hardest case for the gate.
        searched: settings said to have been tried for each of three candidates.
        seed: of everything.
    """

    signal: float
    near_ties: bool
    searched: int
    seed: int


@dataclass(frozen=True)
class Judged:
    """What the gate said."""

    promoted: bool
    refused_by: tuple[str, ...]
    skill: float
    best: str


def judge_trained(panel: Trained) -> Judged:
    """Train on a panel, evaluate and decide."""
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples

    table, returns = learnable(
        panel.walk, symbols=panel.symbols, bars=panel.bars, signal=panel.signal, seed=panel.seed
    )
    forecasts, trials = {}, {}
    for kind in ("random_walk", *panel.kinds):
        trained = train_on_examples(
            kind,
            Examples.of(table, returns),
            TrainingConfig(seed=7, folds=4, tuning_trials=panel.search),
            threads=1,
        )
        forecasts[kind], trials[kind] = trained.out_of_sample, trained.trials
    return _judged(forecasts, trials)


def judge_planted(case: Planted) -> Judged:
    """Make forecasts up, evaluate and decide."""
    from forecasting.testing import planted_forecasts

    kinds = ("ridge", "random_forest", "xgboost")
    forecasts = planted_forecasts(
        signal=case.signal,
        candidates=(*kinds, "tie") if case.near_ties else kinds,
        symbols=_SYMBOLS,
        periods=_PERIODS,
        seed=case.seed,
    )
    if case.near_ties:
        forecasts["random_walk"] = replace(forecasts.pop("tie"), kind="random_walk")
    return _judged(forecasts, dict.fromkeys(kinds, case.searched))


def _judged(forecasts: "Mapping[str, OutOfSample]", trials: "Mapping[str, int]") -> Judged:
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import PromotionPolicy, decide

    evaluation = evaluate(forecasts, trials=trials)
    verdict = decide(evaluation, policy=PromotionPolicy(alpha=ALPHA))
    refused = tuple(gate.name for gate in verdict.gates if not gate.passed)
    return Judged(verdict.promote, refused, verdict.skill, verdict.candidate or "")


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count promotions without skill, and refusals of skill."""
    full = size == "full"
    walks, every, planted, each = (200, 8, 250, 30) if full else (6, 3, 12, 6)
    seeds = iter(np.random.SeedSequence((seed, 52)).spawn(2_000))
    numbers = iter(range(seed * 100_000, seed * 100_000 + 100_000))
    kinds = tuple(WALKS)
    trees = ("ridge", "random_forest", "xgboost")
    nothing = [
        Trained(
            kinds[place % 3], 0.0, trees if place % every == 0 else ("ridge",), 4, 1_300,
            10 if place % every == 1 else 0, next(seeds),
        )
        for place in range(walks)
    ]  # fmt: skip
    learned_at = LEARNED if full else (LEARNABLE,)
    learned = [
        Trained(kinds[place % 3], strength, ("ridge",), 6, 2_520, 0, next(seeds))
        for strength in learned_at
        for place in range(24 if full else 2)
    ]
    strengths = STRENGTHS if full else (0.0, REALISTIC)
    groups: dict[str, list[Planted]] = {
        "ties": [Planted(0.0, True, 1, next(numbers)) for _ in range(planted)],
        "none": [Planted(0.0, False, 1, next(numbers)) for _ in range(planted)],
    }
    for strength in strengths[1:]:
        for searched in (1, 20) if full else (1,):
            promised = full and (strength, searched) == (REALISTIC, 1)
            groups[f"{strength:g}/{searched}"] = [
                Planted(strength, False, searched, next(numbers))
                for _ in range(100 if promised else each)
            ]
    answers = workers.map(judge_trained, [*nothing, *learned], "trained on made-up prices")
    of_nothing, of_learned = answers[: len(nothing)], answers[len(nothing) :]
    flat = [case for cases in groups.values() for case in cases]
    judged = iter(workers.map(judge_planted, flat, "made-up forecasts"))
    told = {name: [next(judged) for _ in cases] for name, cases in groups.items()}
    realistic = told[f"{REALISTIC:g}/1"]
    findings = [
        _at_most("random walks on which candidates were trained: promoted", of_nothing, MOST_FALSE),
        _at_most("made-up forecasts without skill: promoted", told["none"], MOST_FALSE),
        _at_most(
            "made-up forecasts in truth as good as the benchmark: promoted",
            told["ties"],
            MOST_FALSE,
        ),
        Finding(
            f"made-up forecasts that know a signal of {REALISTIC:g}: promoted",
            share(_promoted(realistic), len(realistic)),
            f"at least {LEAST_FOUND:.0%}",
            holds=_promoted(realistic) >= LEAST_FOUND * len(realistic),
        ),
    ]
    by_strength = {
        strength: [
            one for panel, one in zip(learned, of_learned, strict=True) if panel.signal == strength
        ]
        for strength in learned_at
    }
    findings.append(_learnable(by_strength))
    findings += [
        Finding(
            f"ridge trained on prices with momentum of {strength:g}: promoted",
            share(_promoted(ones), len(ones)),
        )
        for strength, ones in by_strength.items()
    ]
    curves = _curves(told, strengths, by_strength)
    return Outcome(
        findings,
        [
            (f"**Nothing to find.** Real candidates were trained, walk-forward in four folds, on "
            f"{walks} panels of 4 symbols x 1,300 bars whose prices are random walks "
            f"({'; '.join(WALKS.values())}; symbols have 45 % of variance in "
            f"common): ridge on all, random forest and XGBoost as well on every {every}th, and on "
            f"another {every}th ridge after a search of 10 settings. Fitting noise makes a "
            "candidate worse than the random walk, so these are promoted less often than the "
            "level allows. The hard case is a benchmark that errs as much as the candidates: "
            f"made-up forecasts, {planted} times, {_PERIODS:,} periods x {_SYMBOLS} symbols, three "
            "candidates."),
            _by_kind(nothing, of_nothing),
            (f"**Something to find.** Made-up forecasts know a signal up to an error of their own "
            f"of 0.03 standard deviations. At a strength of {REALISTIC:g} the best one-bar "
            f"forecast correlates so much with the return. Where 20 settings were tried for each "
            "candidate the p-value is deflated by them, which costs power; without a search it "
            "costs none. Trained on prices, ridge must find the signal first (momentum over ten "
            "bars, 6 symbols x 2,520 bars, four folds), and learns less of it than is there. "
            f"{_size()} Locations are shrunk by what earlier folds bear out, and the tails of all "
            "models are calibrated alike, because a direction learned from few outcomes that "
            "overlap costs at long horizons what it brings at short ones."),
            Plot(
                "power",
                "Promoted, by strength of the signal, with exact 95 % intervals; dotted: the "
                "nominal level.",
                partial(_paint, curves),
            ),
            "**Which gate refused.** A refusal usually has several reasons.",
            _by_gate({"random walks, trained": of_nothing, "as good as the benchmark": told["ties"],
                      f"signal {REALISTIC:g}": realistic}),
        ],
        {
            "trained on random walks": _counts(of_nothing),
            "made up": {name: _counts(ones) for name, ones in told.items()},
            "trained on momentum": {f"{s:g}": _counts(ones) for s, ones in by_strength.items()},
        },
    )  # fmt: skip


def _promoted(judged: Sequence[Judged]) -> int:
    return sum(one.promoted for one in judged)


def _at_most(what: str, judged: Sequence[Judged], limit: float) -> Finding:
    """A share that is kept low; of a few runs, one whose exact interval reaches so low."""
    from scipy.stats import binomtest

    count = _promoted(judged)
    low = binomtest(count, len(judged)).proportion_ci(0.95).low
    few = len(judged) < _MANY
    return Finding(
        what,
        share(count, len(judged)),
        f"at most {limit:.0%}",
        holds=bool(low <= limit if few else count <= limit * len(judged)),
    )


def _learnable(learned: "Mapping[float, Sequence[Judged]]") -> Finding:
    """The least strength from which on training finds four signals in five."""
    found = {s: _promoted(ones) >= LEAST_FOUND * len(ones) for s, ones in learned.items()}
    least = min((s for s in found if all(found[t] for t in found if t >= s)), default=np.inf)
    return Finding(
        f"ridge trained on prices: least momentum of which {LEAST_FOUND:.0%} are promoted",
        f"{least:g}" if np.isfinite(least) else f"above {max(found):g}",
        f"at most {LEARNABLE:g}",
        holds=bool(least <= LEARNABLE),
    )


def _size() -> str:
    """What the learned strengths amount to, in words."""
    told = [f"{s:g} explains {s**2:.1%} of the variance of a bar's return and correlates "
            f"{correlation_at(s, 5):.2f} with the five-bar return" for s in (REALISTIC, LEARNABLE)]  # fmt: skip
    return (
        f"A momentum of {'; one of '.join(told)}. The former is the good end of what is found in "
        "daily prices of liquid markets, the latter is beyond it."
    )


def _counts(judged: Sequence[Judged]) -> dict[str, Any]:
    refused = Counter(name for one in judged for name in one.refused_by)
    return {"promoted": _promoted(judged), "of": len(judged), "refused by": dict(refused)}


def _by_kind(panels: Sequence[Trained], judged: Sequence[Judged]) -> Table:
    """Promotions of random walks, by how they were made and who was trained."""
    groups: dict[str, list[Judged]] = {}
    for panel, one in zip(panels, judged, strict=True):
        who = " + ".join(panel.kinds).replace("_", " ") + (", searched" if panel.search else "")
        for name in (panel.walk, who):
            groups.setdefault(name, []).append(one)
    return Table(
        ["random walks", ">promoted", ">of", ">mean skill of the best"],
        [
            [name, str(_promoted(ones)), str(len(ones)), f"{np.mean([o.skill for o in ones]):+.2%}"]
            for name, ones in groups.items()
        ],
    )


def _by_gate(groups: "Mapping[str, Sequence[Judged]]") -> Table:
    return Table(
        ["gate", *(f">{name}" for name in groups)],
        [
            [
                words,
                *(
                    f"{sum(gate in one.refused_by for one in ones)} of {len(ones)}"
                    for ones in groups.values()
                ),
            ]
            for gate, words in GATES.items()
        ],
    )


_Curve = dict[str, dict[float, tuple[int, int]]]


def _curves(
    told: "Mapping[str, Sequence[Judged]]",
    strengths: Sequence[float],
    learned: "Mapping[float, Sequence[Judged]]",
) -> _Curve:
    """Promotions and runs per strength, for each curve of the plot."""
    curves: _Curve = {}
    for searched, words in ((1, "made up, no search"), (20, "made up, 20 settings each")):
        points = {s: told.get(f"{s:g}/{searched}", ()) for s in strengths[1:]}
        if searched == 1:
            points = {0.0: told["none"], **points}
        if any(points.values()):
            curves[words] = {s: (_promoted(o), len(o)) for s, o in points.items() if o}
    curves["ridge, trained on prices"] = {s: (_promoted(o), len(o)) for s, o in learned.items()}
    return curves


def _paint(curves: _Curve, figure: Any, dress: "Dress") -> None:
    from scipy.stats import binomtest

    from forecasting.report.plots import MARKERS, styled_axes, styled_legend

    axes = styled_axes(
        figure, dress, "signal: correlation of the best one-bar forecast with the return",
        "promoted (%)",
    )  # fmt: skip
    axes.axhline(100 * ALPHA, color=dress.ink, linewidth=0.9, linestyle=(0, (1, 2)))
    for place, (words, points) in enumerate(curves.items()):
        shares, low, high = [], [], []
        for count, total in points.values():
            interval = binomtest(count, total).proportion_ci(0.95)
            shares.append(100 * count / total)
            low.append(shares[-1] - 100 * interval.low)
            high.append(100 * interval.high - shares[-1])
        axes.errorbar(np.array([*points]) + 0.001 * (place - 1), shares, [low, high],
                      color=dress.hues[place], marker=MARKERS[place], markersize=4, linewidth=1.4,
                      capsize=2, label=words)  # fmt: skip
    axes.set_ylim(0, 102)
    styled_legend(axes, dress, loc="upper left")


EXPERIMENT: Final = Experiment(
    name="promotion",
    title="Promotion gate",
    question=(
        "The gate promotes a candidate that beats the random walk at 5 %, survives having been "
        "picked and the settings that were tried, is at no horizon worse, no worse than the "
        "champion, and whose intervals hold. How often does it promote on prices that nobody can "
        "forecast, how often does it find a signal that is there, and which rule refused?"
    ),
    run=run,
)
