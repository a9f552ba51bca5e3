"""Real prices experiment: skill of every candidate on the bundled data, and the gate's decision."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers

NULLS: Final = ("random_walk", "random_walk_drift")
KINDS: Final = ("random_walk", "ridge", "xgboost", "har_combination")
WIDTH: Final = "har"
"""Width of the candidates that learn a location."""
SEED: Final = 7
"""The pipeline's own default, as are the candidates, the folds and all parameters."""

ALPHA: Final = 0.05
PATHS_OF: Final = "ridge"
"""The candidate that is also tried on combinatorial paths: fifteen fits are cheap for it alone."""


@dataclass(frozen=True)
class Row:
    """One candidate's figures; Sharpe ratios a year, after costs, with one bar's delay."""

    kind: str
    skill: float
    width: float
    direction: float
    p_value: float
    skill_at: dict[int, float]
    coverage: float
    sharpe: float
    sharpe_error: float

    @property
    def has_skill(self) -> bool:
        """Less loss than the random walk, and too much less to be luck."""
        return self.skill > 0 and self.p_value < ALPHA


@dataclass(frozen=True)
class Weighed:
    """What came of one data set."""

    universe: str
    description: str
    first: str
    last: str
    forecasts: int
    rows: tuple[Row, ...]
    buy_and_hold: float
    spa: float
    verdict: str
    gates: tuple[tuple[str, bool, str, str], ...]
    paths: tuple[float, ...]

    @property
    def skilled(self) -> tuple[str, ...]:
        """Names of the candidates that have skill."""
        return tuple(row.kind for row in self.rows if row.kind not in NULLS and row.has_skill)


def weigh(item: tuple[str, tuple[str, ...], int]) -> Weighed:
    """Train, weigh and judge the candidates on one data set, as the pipeline does by default."""
    from forecasting.evaluation.combinatorial_cv import skill_over_paths
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import GateResult, PromotionPolicy, decide
    from forecasting.features.variance import DECAYS, WINDOWS
    from forecasting.models.candidates import DRIFT_MODEL
    from forecasting.models.parts import takes_width
    from forecasting.models.training import TrainingConfig, train_on_examples

    universe, kinds, seed = item
    examples = bundled.examples_of(universe, variance=WINDOWS, decays=DECAYS)
    trained = {
        kind: train_on_examples(
            kind,
            examples,
            TrainingConfig(seed=seed, params={"width": WIDTH} if takes_width(kind) else {}),
            threads=1,
        )
        for kind in (*kinds, DRIFT_MODEL)
    }
    evaluation = evaluate(
        {kind: candidate.out_of_sample for kind, candidate in trained.items()},
        alpha=ALPHA,
        trials={kind: candidate.trials for kind, candidate in trained.items()},
        seed=seed,
    )
    chosen = bundled.survivorship_finding(universe)
    bars_directions = GateResult(
        chosen.check, not chosen.hindsight, chosen.rule, chosen.found, of_direction=True
    )
    decided = decide(evaluation, None, PromotionPolicy(alpha=ALPHA), further=[bars_directions])
    rows = []
    for kind in (*evaluation.challengers, *reversed(NULLS)):
        candidate = evaluation.candidates[kind]
        account = candidate.backtests[1]
        rows.append(
            Row(
                kind=kind,
                skill=candidate.overall.skill,
                width=candidate.split.overall.width,
                direction=candidate.split.overall.direction,
                p_value=candidate.overall.p_value,
                skill_at={h: candidate.by_horizon[h].skill for h in evaluation.horizons},
                coverage=candidate.overall.coverage_90,
                sharpe=account.sharpe,
                sharpe_error=account.sharpe_error,
            )
        )
    days = evaluation.instants.astype("datetime64[ns]").astype("datetime64[D]")
    return Weighed(
        universe=universe,
        description=bundled.description(universe),
        first=str(days[0]),
        last=str(days[-1]),
        forecasts=len(trained["random_walk"].out_of_sample),
        rows=tuple(rows),
        buy_and_hold=evaluation.buy_and_hold.sharpe,
        spa=evaluation.spa_p_value,
        verdict=decided.sentence,
        gates=tuple((gate.name, gate.passed, gate.rule, gate.found) for gate in decided.gates),
        paths=tuple(skill_over_paths(PATHS_OF, examples, seed=seed, threads=1).skills.tolist()),
    )


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Weigh every bundled data set; small: one of them, with two candidates."""
    items: list[tuple[str, tuple[str, ...], int]] = [
        (universe, KINDS, SEED + seed) for universe in bundled.universes()
    ]
    if size == "small":
        items = [("fx-hourly", ("random_walk", "ridge"), SEED + seed)]
    weighed = workers.map(weigh, items, "training and weighing")
    story: list[str | Table | Plot] = [
        (
            "Each data set goes through the pipeline's defaults: six folds, walk forward, no search, "
            f"seed {SEED + seed}; ridge and XGBoost learn the location of the return and take the width that "
            f"{WIDTH} learns. The registry is left out, so that there is no champion but the random walk, and "
            "of the leak checks all but that of the universe. *Skill* is 1 - pinball loss over the random walk's on the same forecasts, over all "
            "horizons with weights 1/h; *p* is Diebold and Mariano's, one-sided. A model has skill "
            f"here if its skill is above 0 with p below {ALPHA:g}; to be promoted it must pass every "
            "gate. Its skill is that of its width and that of its direction."
        ),
    ]
    for data_set in weighed:
        story += [
            f"### {data_set.universe}",
            sentences(data_set),
            _table(data_set),
            _gates(data_set),
        ]
    if size == "full":
        story.append(Plot("skill", _CAPTION, lambda figure, theme: _paint(figure, theme, weighed)))
    return Outcome(
        findings=[
            Finding(
                f"{data_set.universe}: models with skill against the random walk",
                f"{', '.join(_name(kind) for kind in data_set.skilled) or 'none'}; "
                f"{data_set.verdict.partition(',')[0]}",
                "promote",
                data_set.verdict.startswith("promote"),
            )
            for data_set in weighed
        ],
        story=story,
        data={
            data_set.universe: {
                "candidates": {
                    row.kind: {
                        "skill": _finite(row.skill),
                        "width": _finite(row.width),
                        "direction": _finite(row.direction),
                        "p": _finite(row.p_value),
                        "coverage_90": _finite(row.coverage),
                        "sharpe": _finite(row.sharpe),
                    }
                    for row in data_set.rows
                },
                "spa_p": _finite(data_set.spa),
                "verdict": data_set.verdict,
                "paths": [round(skill, 5) for skill in data_set.paths],
            }
            for data_set in weighed
        },
    )


def sentences(data_set: Weighed) -> str:
    """What the figures mean, plainly."""
    span = f"{data_set.first} to {data_set.last}"
    lines = [
        f"{data_set.description}; {data_set.forecasts:,} forecasts from each model, made {span}."
    ]
    for row in data_set.rows:
        if row.kind in NULLS:
            continue
        figures = f"skill {row.skill:+.2%}, p {row.p_value:.3f}"
        if row.has_skill:
            lines.append(f"**{_opening(row.kind)} has skill** ({figures}).")
        elif row.skill > 0:
            lines.append(
                f"{_opening(row.kind)} has no skill that could be told from luck ({figures})."
            )
        else:
            lines.append(
                f"{_opening(row.kind)} has no skill: it lost more than the random walk ({figures})."
            )
    lines.append(
        "That one of several models looks best by luck is what Hansen's test counts: "
        f"p {data_set.spa:.3f}."
    )
    low, middle, high = min(data_set.paths), float(np.median(data_set.paths)), max(data_set.paths)
    lines.append(
        f"On {len(data_set.paths)} combinatorial paths, whose models learn from later bars too, "
        f"{_name(PATHS_OF)} has skill {low:+.2%} to {high:+.2%}, median {middle:+.2%}."
    )
    lines.append(f"The gate: {data_set.verdict}.")
    return " ".join(lines)


def _name(kind: str) -> str:
    return kind.replace("_", " ").replace("xgboost", "XGBoost").replace("har ", "HAR ")


def _opening(kind: str) -> str:
    name = _name(kind)
    return name[0].upper() + name[1:]


def _finite(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _table(data_set: Weighed) -> Table:
    horizons = sorted(data_set.rows[0].skill_at)
    rows = []
    for row in data_set.rows:
        null = row.kind == "random_walk"
        sharpe = "no trades" if not np.isfinite(row.sharpe) else (
            f"{row.sharpe:.2f} ± {1.96 * row.sharpe_error:.2f}"
        )  # fmt: skip
        rows.append(
            [
                _name(row.kind),
                "-" if null else f"{row.skill:+.2%}",
                "-" if null else f"{row.width:+.2%}",
                "-" if null else f"{row.direction:+.2%}",
                "-" if null else f"{row.p_value:.3f}",
                "-" if null else ("yes" if row.has_skill else "no"),
                *("-" if null else f"{row.skill_at[h]:+.2%}" for h in horizons),
                f"{row.coverage:.1%}",
                sharpe,
            ]
        )
    rows.append(["buy and hold", *["-"] * (5 + len(horizons)), "-", f"{data_set.buy_and_hold:.2f}"])
    heads = [
        "model", ">skill", ">of width", ">of direction", ">p", "has skill", *(f">at {h}" for h in horizons),
        ">90 % interval held", ">Sharpe after costs (95 %)",
    ]  # fmt: skip
    return Table(heads, rows)


def _gates(data_set: Weighed) -> Table:
    return Table(
        ["gate", "passed", "rule", "found"],
        [
            [name.replace("_", " "), "yes" if passed else "**no**", rule, found]
            for name, passed, rule, found in data_set.gates
        ],
    )


_CAPTION: Final = (
    "Skill against the random walk over all horizons: filled where it cannot be explained by luck "
    "(p below 5 %), hollow where it can; the grey bar spans the combinatorial paths of ridge."
)


def _paint(figure: Any, theme: Any, weighed: list[Weighed]) -> None:
    axes = figure.add_subplot(facecolor=theme.paper)
    axes.axhline(0, color=theme.ink, linewidth=1.2)
    for place, data_set in enumerate(weighed):
        axes.plot(
            [place - 0.2, place - 0.2], [100 * min(data_set.paths), 100 * max(data_set.paths)],
            color=theme.faint, linewidth=7, solid_capstyle="butt",
        )  # fmt: skip
        for number, kind in enumerate(KINDS[1:]):
            row = next(row for row in data_set.rows if row.kind == kind)
            axes.plot(
                place + 0.2 * (number - 1), 100 * row.skill, "os^"[number], markersize=7,
                color=theme.hues[number],
                markerfacecolor=theme.hues[number] if row.has_skill else theme.paper,
                label="" if place else _name(kind),
            )  # fmt: skip
    axes.set_xticks(range(len(weighed)), [data_set.universe for data_set in weighed])
    axes.set_ylabel("skill (%)", color=theme.ink, fontsize=9)
    axes.tick_params(colors=theme.ink, labelsize=8)
    axes.grid(visible=True, axis="y", color=theme.faint, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    axes.legend(fontsize=8, labelcolor=theme.ink, frameon=False)


EXPERIMENT: Final = Experiment(
    name="real_prices",
    title="Real prices",
    question="Which models have skill against the random walk on the real prices that are bundled, "
    "which do not, and what did the gate decide?",
    run=run,
)
