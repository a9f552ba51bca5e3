"""Information coefficient experiment: its level on related symbols and overlapping returns."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.shares import exact_interval, share

Reals = NDArray[np.float64]

ALPHA: Final = 0.05
PERIODS: Final = 1_250
SYMBOLS: Final = (1, 2, 4, 7, 8, 50)
AHEAD: Final = (1, 5, 30)
LASTING: Final = 0.97
"""AR(1) coefficient of the forecasts."""

COMMON: Final = 0.8
"""Share of the shocks' variance that all symbols have in common."""
_BURN: Final = 100


@dataclass(frozen=True)
class Worlds:
    """Panels of one size whose forecasts say nothing.

    Attributes:
        symbols: in each panel.
        ahead: bars that the returns span.
        runs: how many panels.
        seed: of everything.
    """

    symbols: int
    ahead: int
    runs: int
    seed: np.random.SeedSequence


def rank_p_values(worlds: Worlds) -> list[tuple[float, float]]:
    """P-value of each panel's information coefficient, and one that takes its rows as independent.

    The other takes every h-th row of every symbol as an observation of its own; it is NaN from
    eight symbols on, where the coefficient is the mean of one correlation a period.
    """
    from scipy.special import stdtr

    from forecasting.evaluation.directional import outcome_ranks, rank_correlation

    rng = np.random.default_rng(worlds.seed)
    at = np.repeat(np.arange(PERIODS), worlds.symbols)
    p_values = []
    for _ in range(worlds.runs):
        moves = _related(rng, worlds.symbols, PERIODS + worlds.ahead)
        path = np.cumsum(moves, axis=0)
        realised = (path[worlds.ahead :] - path[: -worlds.ahead]).ravel()
        forecast = _related(rng, worlds.symbols, PERIODS + _BURN)
        for step in range(1, len(forecast)):
            forecast[step] += LASTING * forecast[step - 1]
        found = rank_correlation(
            forecast[_BURN:].ravel(),
            outcome_ranks(realised, at, symbols=worlds.symbols),
            at,
            horizon=worlds.ahead,
            symbols=worlds.symbols,
        )
        worth = realised.size / worlds.ahead - 2
        ratio = abs(found.value) * np.sqrt(worth / (1 - found.value**2))
        naive = float("nan") if found.dates else float(2 * stdtr(worth, -ratio))
        p_values.append((found.p_value, naive))
    return p_values


def _related(rng: np.random.Generator, symbols: int, steps: int) -> Reals:
    """Student t shocks with 5 degrees of freedom, partly common to all symbols [steps, symbols]."""
    return np.asarray(
        np.sqrt(COMMON) * rng.standard_t(5, (steps, 1))
        + np.sqrt(1 - COMMON) * rng.standard_t(5, (steps, symbols))
    )


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count information coefficients that look like skill where no forecast says anything."""
    runs = 17 if size == "full" else 2
    shapes = [(symbols, ahead) for symbols in SYMBOLS for ahead in AHEAD]
    seeds = np.random.SeedSequence((seed, 57)).spawn(len(shapes))
    worlds = [
        Worlds(symbols, ahead, runs, branch)
        for (symbols, ahead), branch in zip(shapes, seeds, strict=True)
    ]
    answers = np.array(workers.map(rank_p_values, worlds, "panels whose forecasts say nothing"))
    found = answers < ALPHA
    known = np.isfinite(answers)
    (ours, naive), (panels, pooled) = found.sum(axis=(0, 1)), known.sum(axis=(0, 1))
    low, _ = exact_interval(int(ours), int(panels))
    return Outcome(
        [
            Finding(
                "forecasts that say nothing: p-value below 5 %",
                share(int(ours), int(panels)),
                "5 %, and not surely above 6 %",
                holds=bool(low <= 0.06),
            ),
            Finding(
                "the same, symbols taken as independent (below eight symbols)",
                share(int(naive), int(pooled)),
            ),
        ],
        [
            (
                f"{panels} panels of {PERIODS:,} bars. Returns have Student t shocks with 5 degrees "
                f"of freedom and {COMMON:.0%} of their variance in common; forecasts are AR(1) with "
                f"coefficient {LASTING}, related likewise, and know nothing of the returns. Below "
                "eight symbols the coefficient is one rank correlation over all rows, from eight "
                "on the mean of one a bar."
            ),
            Table(
                ["symbols", "bars ahead", ">p below 5 %", ">symbols taken as independent"],
                [
                    [f"{one.symbols}", f"{one.ahead}", f"{hits[0]} of {runs}",
                     f"{hits[1]} of {runs}" if there[1] else "-"]
                    for one, hits, there in zip(
                        worlds, found.sum(axis=1), known.sum(axis=1), strict=True
                    )
                ],
            ),
        ],
        {"panels": int(panels), "p below 5 %": int(ours), "taken as independent": int(naive)},
    )  # fmt: skip


EXPERIMENT: Final = Experiment(
    name="rank_correlation",
    title="Information coefficient",
    question=(
        "How often does the rank correlation of forecast and outcome look like skill where there "
        "is none, for few symbols and many that move together, and returns that overlap?"
    ),
    run=run,
)
