"""From prices to verdict for 5, 50 and 500 symbols x 10 years: time, memory, and how they grow.

Each size runs in a process of its own: synthetic prices, judgement, features, the walk-forward of
every candidate (six folds, thirty horizons), evaluation, verdict. The trees learn from at most
100,000 rows a fold, so their cost stops growing there. KFP's own cost per step (about two seconds of
imports) does not depend on the size and is left out.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime

from benchmarks.results import add_option, machine, markdown, write

SIZES = (5, 50, 500)
STAGES = ("fetch", "judge", "features", "random_walk", "ridge", "random_forest", "xgboost", "weigh")


def run(symbols: int) -> dict[str, float]:
    """Run the chain once in this process; seconds per stage, rows, and peak memory in MB."""
    from forecasting.adapters.market.providers.synthetic import SyntheticSource
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import PromotionPolicy, decide
    from forecasting.features.build import build_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import horizon_returns
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples
    from forecasting.prices.quality.judge import judge

    spent: dict[str, float] = {}
    began = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal began
        now = time.perf_counter()
        spent[stage] = now - began
        began = now
        print(f"  {symbols} symbols, {stage}: {spent[stage]:.1f} s", file=sys.stderr, flush=True)

    bars = SyntheticSource(count=symbols, bars=2_520).fetch([], None, None, "1d").bars
    lap("fetch")
    prices = judge(bars, now=datetime.now(UTC)).clean
    del bars
    lap("judge")
    names = tuple(prices["symbol"].unique())
    table = build_features(prices, FeatureSpec(symbols=names))
    returns = horizon_returns(prices, range(1, 31)).astype("float32")
    rows = len(prices)
    del prices
    lap("features")
    forecasts = {}
    for kind in ("random_walk", "ridge", "random_forest", "xgboost"):
        forecasts[kind] = train_on_examples(
            kind, Examples.of(table, returns), TrainingConfig(seed=7)
        ).out_of_sample
        lap(kind)
    evaluation = evaluate(forecasts)
    decide(evaluation, None, PromotionPolicy())
    lap("weigh")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "symbols": symbols,
        "rows": rows,
        **spent,
        "total": sum(spent.values()),
        "peak_mb": peak,
    }


def main() -> None:
    """Measure every size and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    add_option(parser)
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments.one)))
        return
    measured = []
    for size in arguments.sizes.split(","):
        command = [sys.executable, "-m", "benchmarks.pipeline", "--one", size]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured.append(json.loads(child.stdout))
    heads = (">symbols", ">rows", *(f">{stage} s" for stage in STAGES))
    rows = [
        (
            f"{result['symbols']}",
            f"{result['rows']:,}",
            *(f"{result[stage]:.1f}" for stage in STAGES),
            f"{result['total']:.1f}",
            f"{result['total'] / result['rows'] * 1e6:.0f}",
            f"{result['peak_mb']:,.0f}",
            f"{result['peak_mb'] * 1e3 / result['rows']:.2f}",
        )
        for result in measured
    ]
    heads = (*heads, ">total s", ">us per row", ">peak MB", ">kB per row")
    text = "\n\n".join(
        ["# From prices to verdict", machine(), __doc__ or "", markdown(heads, rows)]
    )
    write("pipeline", text, measured, arguments.out)


if __name__ == "__main__":
    main()
