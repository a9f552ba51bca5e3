"""`python -m benchmarks.honesty`: run every experiment and write the page docs/honesty.md."""

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks import results
from benchmarks.honesty import page
from benchmarks.honesty.experiment import Experiment, Outcome, Size, Workers

NAMES: Final = (
    "data_faults",
    "leakage",
    "coverage",
    "conditional_coverage",
    "served_coverage",
    "significance",
    "rank_correlation",
    "promotion",
    "lifetime",
    "variance_promotion",
    "backtest",
    "drift",
    "reproducibility",
    "real_prices",
    "width_yardsticks",
    "cost",
)


def main(
    *,
    only: Annotated[str, typer.Option(help="Run these, by comma; other sections stay.")] = "",
    small: Annotated[
        bool, typer.Option("--small", help="As few repetitions as the tests; no page.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes; default: one a core.")] = 0,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Top folder of what is written; `.` replaces the record.")
    ] = results.DRAFTS,
) -> None:
    """Count how often each gate is wrong; exit code 1 if a promise was not kept."""
    console = Console()
    workers = Workers(jobs or os.cpu_count() or 1, console)
    size: Size = "small" if small else "full"
    chosen = [name.strip() for name in only.split(",")] if only else list(NAMES)
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise typer.BadParameter(
            f"no such experiment: {', '.join(unknown)}; there are {', '.join(NAMES)}"
        )
    ran: dict[str, tuple[Experiment, Outcome, float]] = {}
    every: dict[str, Experiment] = {
        name: import_module(f"benchmarks.honesty.{name}").EXPERIMENT for name in NAMES
    }
    for name in chosen:
        experiment = every[name]
        console.rule(experiment.title)
        begun = time.perf_counter()
        outcome = experiment.run(size, workers, seed)
        ran[name] = (experiment, outcome, time.perf_counter() - begun)
        console.print(page.promises(outcome), markup=False)
    if not small:
        console.print(f"written: {page.write(ran, every, out)}", markup=False)
    broken = [
        f"{name}: {finding.what}"
        for name, (_, outcome, _) in ran.items()
        for finding in outcome.broken
    ]
    if broken:
        console.print("promises not kept:\n  " + "\n  ".join(broken), style="red", markup=False)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
