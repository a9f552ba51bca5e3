"""Features of a large panel: ours against pandas groupby-apply and polars, in one run.

`python -m benchmarks.features` builds the same synthetic panel in a fresh process per
contestant, times the features, checks that they agree, and writes results/features.md and .json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import results

ROOT = Path(__file__).resolve().parent.parent
POLARS = ROOT / "benchmarks" / ".peers" / "polars"
POLARS_PACKAGES = ("polars==2.1.0", "numpy==2.4.6")
CONTESTANTS = ("bellwether", "pandas groupby-apply", "polars lazy")
SAMPLE_BARS = (600, 1_500, -1)


def main() -> None:
    """Run all contestants, or be one of them (--measure)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=2_520)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of ours; peers: 1")
    results.add_option(parser)
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--sample", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.symbols <= 32 or options.bars <= max(SAMPLE_BARS):
        parser.error(
            f"take more than 32 symbols (no column of which symbol it is) and {max(SAMPLE_BARS)} bars"
        )
    if options.measure:
        measured = measure(
            options.measure, options.symbols, options.bars, options.repeat, options.sample
        )
        print(json.dumps(measured))
    else:
        compare(options.symbols, options.bars, options.repeat, options.out)


def measure(name: str, symbols: int, bars: int, repeat: int, sample: Path) -> dict[str, Any]:
    """Time one contestant in this process, and keep some of its rows for the parity check."""
    import numpy as np

    describe, look = {
        "bellwether": _bellwether,
        "pandas groupby-apply": _pandas,
        "polars lazy": _polars,
    }[name](symbols, bars)
    before = _resident_mb()
    walls, cpus = [], []
    table: Any = None
    for _ in range(repeat):
        table = None  # before the clock starts: the last run's memory is free again
        wall, cpu = time.perf_counter(), time.process_time()
        table = describe()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = _peak_mb()
    rows = [
        symbol * bars + bar % bars
        for symbol in (0, symbols // 2, symbols - 1)
        for bar in SAMPLE_BARS
    ]
    np.savez(sample, **look(table, rows))
    return {
        "name": name,
        "first_seconds": walls[0],
        "seconds": min(walls),
        "cpu_seconds": min(cpus),
        "runs": repeat,
        "peak_mb": peak,
        "before_mb": before,
    }


def _bellwether(symbols: int, bars: int) -> tuple[Callable[[], Any], Callable[..., Any]]:
    from forecasting.features.build import FeatureSpec, build_features

    prices = _frame(symbols, bars)
    spec = FeatureSpec(symbols=tuple(prices["symbol"].unique()))
    build_features(prices[:bars], spec)  # imports TA-Lib

    def look(table: Any, rows: list[int]) -> dict[str, Any]:
        matrix = table.values
        values = {name: matrix[rows, place] for place, name in enumerate(table.names)}
        return values | {"scale": table.scale[rows], "usable": table.usable[rows]}

    return lambda: build_features(prices, spec), look


def _pandas(symbols: int, bars: int) -> tuple[Callable[[], Any], Callable[..., Any]]:
    from benchmarks.peers.pandas_features import describe

    prices = _frame(symbols, bars)

    def look(table: Any, rows: list[int]) -> dict[str, Any]:
        return {name: table[name].to_numpy()[rows] for name in table.columns}

    return lambda: describe(prices), look


def _polars(symbols: int, bars: int) -> tuple[Callable[[], Any], Callable[..., Any]]:
    import polars as pl

    from benchmarks.panel import columns, names
    from benchmarks.peers.polars_features import describe

    table = columns(symbols, bars)
    labels = pl.Series(names(symbols), dtype=pl.String).gather(table.pop("symbol"))
    times = pl.Series(table.pop("timestamp")).cast(pl.Datetime("ns", "UTC"))
    sessions = pl.Series(table.pop("session")).cast(pl.Datetime("ns"))
    prices = pl.DataFrame({"symbol": labels, "timestamp": times, "session": sessions, **table})
    del table

    def look(result: Any, rows: list[int]) -> dict[str, Any]:
        return {name: result[name].gather(rows).to_numpy() for name in result.columns[2:]}

    return lambda: describe(prices), look


def _frame(symbols: int, bars: int) -> Any:
    import numpy as np
    import pandas as pd

    from benchmarks.panel import columns, names

    table = columns(symbols, bars)
    times = pd.DatetimeIndex(table.pop("timestamp").view("datetime64[ns]")).tz_localize("UTC")
    labels = np.array(names(symbols), dtype=object)[table.pop("symbol")]
    sessions = table.pop("session").view("datetime64[ns]")
    named = {"symbol": labels, "timestamp": times, "session": sessions, **table}
    return pd.DataFrame(named, copy=False)


def compare(symbols: int, bars: int, repeat: int, out: Path) -> None:
    """Run every contestant in a fresh process, check parity, write the table."""
    python = dict.fromkeys(CONTESTANTS, sys.executable) | {"polars lazy": _polars_python()}
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        samples = {name: Path(folder) / f"{name.split()[0]}.npz" for name in CONTESTANTS}
        for name in CONTESTANTS:
            command = [python[name], "-m", "benchmarks.features", "--measure", name]
            command += ["--symbols", str(symbols), "--bars", str(bars)]
            command += ["--repeat", str(repeat if name == "bellwether" else 1)]
            command += ["--sample", str(samples[name])]
            answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            measured.append(json.loads(answer.stdout))
            print(f"{name}: {measured[-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
        gaps = {name: _largest_gap(samples["bellwether"], samples[name]) for name in samples}
    own = measured[0]
    rows = [
        [
            result["name"],
            f"{result['first_seconds']:.2f} s",
            f"{result['seconds']:.2f} s ({result['runs']})",
            f"{result['cpu_seconds']:.2f} s",
            f"{result['first_seconds'] / own['first_seconds']:.1f}x",
            f"{result['peak_mb']:.0f} MB",
            f"{result['peak_mb'] - result['before_mb']:.0f} MB",
            f"{result['peak_mb'] / own['peak_mb']:.1f}x",
            f"{gaps[result['name']]:.1e}",
        ]
        for result in measured
    ]
    heads = ["", ">first run", ">best (runs)", ">best CPU", ">first run / ours", ">peak RSS"]
    heads += [">of it added", ">peak / ours", ">largest gap to ours"]
    notes = (
        f"{results.machine()} Every contestant makes the same columns of the same panel in a "
        "process of its own; imports and the panel are made before the clock starts. The first "
        "run also pays for memory that the system hands out for the first time. Peak RSS is the "
        "whole process, input included; the added part is that above what was resident before "
        "the clock started. The gap is the largest of |a - b| / (1 + |b|) over sampled rows of "
        "all columns. Ours ends in one row-major float32 matrix, the peers in float32 columns."
    )
    title = f"# Features of {symbols} symbols x {bars:,} bars"
    text = "\n\n".join([title, notes, results.markdown(heads, rows)])
    data = {"symbols": symbols, "bars": bars, "rows": measured}
    results.write("features", text, data, out)
    if max(gaps.values()) > 1e-4:
        sys.exit("the contestants do not agree: see the last column")


def _largest_gap(own_sample: Path, peer_sample: Path) -> float:
    import numpy as np

    with np.load(own_sample) as first, np.load(peer_sample) as second:
        if set(first) != set(second):
            sys.exit(f"columns differ: {sorted(set(first) ^ set(second))}")
        gap = 0.0
        for name in first:
            a, b = first[name].astype(float), second[name].astype(float)
            if not (np.isfinite(a).all() and np.isfinite(b).all()):
                sys.exit(f"{name} is not finite in a sampled row")
            gap = max(gap, float((np.abs(a - b) / (1.0 + np.abs(a))).max()))
        return gap


def _polars_python() -> str:
    """The interpreter of polars' own environment, made on first use."""
    python = POLARS / "bin" / "python"
    if not python.exists():
        beside = Path(sys.executable).with_name("uv")  # where the Makefile puts it
        uv = [str(beside) if beside.exists() else "uv"]
        subprocess.run([*uv, "venv", "-q", "-p", sys.executable, str(POLARS)], check=True)
        install = [*uv, "pip", "install", "-q", "-p", str(python), *POLARS_PACKAGES]
        subprocess.run(install, check=True)
    return str(python)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
