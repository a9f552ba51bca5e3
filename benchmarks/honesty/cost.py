"""Cost experiment: time and memory of an evaluation of 50 symbols x 10 years."""

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample

SIZES: Final = {"small": (4, 1_100), "full": (50, 2_520)}
"""Symbols and bars."""

ALPHAS: Final = {"ridge": 1.0, "ridge_light": 0.1, "ridge_heavy": 10.0}
"""Challengers: what is weighed has the same shape whatever model it came from."""

SHOWN: Final = 8
"""Parts of an evaluation in the table, the dearest."""

TOP: Final = Path(__file__).resolve().parent.parent.parent
PRODUCT: Final = TOP / "forecasting"
MB: Final = 2**20


def forecasts_of(
    symbols: int, bars: int, seed: int
) -> tuple[dict[str, "OutOfSample"], dict[str, float]]:
    """Walk-forward forecasts on synthetic prices; number of recalibrations and their CPU seconds."""
    from forecasting.adapters.market.providers.synthetic import SyntheticSource
    from forecasting.features.build import build_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import horizon_returns
    from forecasting.models.conformal import Schedule, recalibrate
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.quantiles import KNOTS
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples
    from forecasting.schema import MAX_HORIZON

    prices = SyntheticSource(count=symbols, bars=bars, seed=seed).fetch([], None, None, "1d").bars
    names = tuple(str(symbol) for symbol in prices["symbol"].unique())
    table = build_features(prices, FeatureSpec(symbols=names))
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1)).astype("float32")
    examples = Examples.of(table, returns)
    del prices, table, returns
    forecasts = {"random_walk": train_on_examples("random_walk", examples).out_of_sample}
    for name, alpha in ALPHAS.items():
        trained = train_on_examples(
            "ridge", examples, TrainingConfig(params={"alpha": alpha}), threads=1
        )
        forecasts[name] = trained.out_of_sample
    steps = walk_forward(examples.timestamps, examples.codes)
    z = examples.standardised()
    began = time.process_time()
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    recalibrate(z, np.zeros((len(z), len(KNOTS))), steps, schedule)
    spent = time.process_time() - began
    return forecasts, {"renewals": len(schedule.recalibrations), "cpu": spent}


def measure(symbols: int, bars: int, seed: int) -> dict[str, Any]:
    """Weigh forecasts once cold, once warm, once traced for memory; in a process of its own."""
    import cProfile
    import pstats

    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import decide
    from forecasting.evaluation.loss_sums import sum_losses

    forecasts, recalibration = forecasts_of(symbols, bars, seed)
    shared = {id(array): array for candidate in forecasts.values() for array in _arrays(candidate)}

    def weigh() -> Any:
        weighed = evaluate(forecasts)
        decide(weighed)
        return weighed

    cold, _ = _timed(weigh)
    warm, weighed = _timed(weigh)
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    profiled, _ = _timed(weigh)
    profile.disable()
    plain_time, plain = _timed(lambda: plain_scores(forecasts))
    scores = {
        name: (candidate.overall.pinball, candidate.overall.coverage_90)
        for name, candidate in weighed.candidates.items()
    }
    return {
        "symbols": symbols,
        "bars": bars,
        "rows": len(forecasts["random_walk"]),
        "forecasts_mb": sum(array.nbytes for array in shared.values()) / MB,
        "recalibration": recalibration,
        "cold": cold,
        "warm": warm,
        "memory_mb": _peak_mb(weigh),
        "profiled": profiled,
        "scoring": _seconds_in(pstats.Stats(profile), sum_losses),
        "parts": _parts(pstats.Stats(profile), evaluate),
        "plain": plain_time,
        "plain_mb": _peak_mb(lambda: plain_scores(forecasts)),
        "difference": max(
            abs(scores[name][place] - plain[name][place]) for name in plain for place in (0, 1)
        ),
    }


def plain_scores(forecasts: Mapping[str, "OutOfSample"]) -> dict[str, tuple[float, float]]:
    """Scaled pinball loss and coverage of every candidate, as they would first be written.

    Whole arrays in float64, one expression after the other: an independent check of the blocks of
    `forecasting.evaluation.loss_sums`, and what they are held against.
    """
    scores = {}
    for name, candidate in forecasts.items():
        levels = np.array(candidate.levels)
        floor = np.array(
            [
                np.median(candidate.scale[candidate.codes == c])
                for c in range(len(candidate.symbols))
            ]
        )
        scale = np.maximum(candidate.scale, 0.1 * floor[candidate.codes])
        realised = candidate.realised.astype(np.float64)
        quantiles = candidate.quantiles.astype(np.float64)
        error = realised[:, :, None] - quantiles
        loss = np.where(error >= 0, levels * error, (levels - 1) * error).mean(axis=2)
        horizons = np.arange(1, realised.shape[1] + 1)
        loss = loss / (scale[:, None] * np.sqrt(horizons))
        weight = np.isfinite(realised) / horizons
        inside = (realised >= quantiles[:, :, 0]) & (realised <= quantiles[:, :, -1])
        scores[name] = (
            float(np.nansum(loss * weight) / weight.sum()),
            float(inside.sum() / np.isfinite(realised).sum()),
        )
    return scores


def _arrays(candidate: "OutOfSample") -> list[NDArray[Any]]:
    return [value for value in vars(candidate).values() if isinstance(value, np.ndarray)]


def _timed(function: Any) -> tuple[dict[str, float], Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}, result


def _peak_mb(function: Any) -> float:
    """Most memory held at once beyond what was there before (NumPy's arrays are traced)."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / MB
    finally:
        tracemalloc.stop()


def _seconds_in(stats: Any, function: Any) -> float:
    """CPU seconds of a function and what it calls."""
    code = function.__code__
    return float(stats.stats[code.co_filename, code.co_firstlineno, code.co_name][3])


def _parts(stats: Any, caller: Any) -> dict[str, float]:
    """Seconds of the product's functions that a function's module calls, dearest first."""
    module = caller.__code__.co_filename
    spent: dict[str, float] = {}
    for (path, _, name), (*_, callers) in stats.stats.items():
        if PRODUCT not in Path(path).parents or path == module or name.startswith("<"):
            continue
        within = sum(row[3] for (source, _, _), row in callers.items() if source == module)
        if within:
            key = f"{Path(path).stem}.{name}"
            spent[key] = spent.get(key, 0.0) + within
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def in_a_process(item: tuple[int, int, int]) -> dict[str, Any]:
    """`measure` in a fresh process, so that nothing of this one counts."""
    command = [sys.executable, "-m", "benchmarks.honesty.cost", *map(str, item)]
    completed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=TOP)
    measured: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return measured


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Measure one panel."""
    (cost,) = workers.map(in_a_process, [(*SIZES[size], seed)], "training, then weighing")
    what = f"{cost['symbols']} symbols x {cost['bars']:,} bars, {1 + len(ALPHAS)} candidates"
    parts = [
        [f"`{name}`", f"{seconds:.2f}", f"{seconds / cost['profiled']['cpu']:.0%}"]
        for name, seconds in list(cost["parts"].items())[:SHOWN]
    ]
    scores = [
        ["whole arrays in float64", f"{cost['plain']['cpu']:.2f}", f"{cost['plain_mb']:,.0f}"],
        ["in blocks and float32, with every other sum", f"{cost['scoring']:.2f}", ""],
        ["all of the evaluation", f"{cost['warm']['cpu']:.2f}", f"{cost['memory_mb']:,.0f}"],
    ]
    return Outcome(
        findings=[
            Finding(
                f"evaluation, verdict and backtests of {what}",
                f"{cost['warm']['cpu']:.1f} CPU s, {cost['memory_mb']:,.0f} MB beside the "
                f"{cost['forecasts_mb']:,.0f} MB of forecasts",
            ),
            Finding(
                "the first in a process, with imports",
                f"{cost['cold']['cpu']:.1f} CPU s",
            ),
            Finding(
                f"recalibration of one candidate, {cost['recalibration']['renewals']} recalibrations",
                f"{cost['recalibration']['cpu']:.1f} CPU s",
            ),
            Finding(
                "loss and coverage against plain expressions in float64, largest difference",
                f"{cost['difference']:.1g}",
                "at most 1e-6",
                cost["difference"] <= 1e-6,
            ),
        ],
        story=[
            (
                f"{cost['rows']:,} forecasts of 30 horizons and 5 quantiles from each candidate. Where "
                "the CPU time of a warm evaluation goes (one thread, under a profiler, which slows it):"
            ),
            Table(["part", ">seconds", ">of all"], parts),
            (
                "Losses are added up in blocks of 4,096 rows that stay in the processor's cache, in "
                "float32 with float64 sums, straight into periods and symbols; candidates share "
                "their rows, and nothing is copied. Beside it loss and coverage alone, written as "
                "whole-array expressions:"
            ),
            Table(["", ">CPU s", ">peak MB"], scores),
            (
                f"The intervals are recalibrated {cost['recalibration']['renewals']} times along the walk. "
                "Residuals are ranked only once a fold; between folds feedback moves one factor per "
                "tail and horizon."
            ),
        ],
        data=cost,
    )


EXPERIMENT: Final = Experiment(
    name="cost",
    title="What the evaluation costs",
    question="How long does it take, and how much memory, to weigh four candidates on 50 symbols "
    "x 10 years, after training?",
    run=run,
)

if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:4]))))
