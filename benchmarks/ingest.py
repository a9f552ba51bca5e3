"""Fetching 500 symbols x 10 years in one shard and in eight: CPU, memory and bytes of every step.

Every shard, and the step that judges and freezes what they brought, runs in a process of its own,
one after the other, as pods of a cluster would side by side. Prices are synthetic, so a fetch costs
their making and their Parquet; a provider's answers and its rate limit come on top, and they are
what shards are for. The steps after it are one process each, whatever the shards. CPU counts from
the step's first line: an interpreter that has imported the step, which a pod pays too, is the
column "start". The snapshot must be the same.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.results import add_option, machine, markdown, write

BARS = 2_520
LATER = ("features", "train")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def step(shard: str, symbols: int, folder: Path) -> dict[str, object]:
    """Run one step in this process: a shard's fetch, or for "" the ingest of all parts."""
    import os

    os.environ["BELLWETHER_LAKE_URL"] = str(folder / "lake")
    options: dict[str, Any] = {
        "symbols": ",".join(f"SYN{number:05d}" for number in range(1, symbols + 1)),
        "source": "synthetic",
        "source_options": json.dumps({"bars": BARS}),
        "interval": "1d",
        "dataset": "default",
    }
    import pyarrow.parquet  # noqa: F401 - part of every step's start

    from components.fetch.step import run as fetch
    from components.ingest.step import run as ingest

    started, began = cpu(), time.perf_counter()
    if shard in {"features", "train"}:
        later(shard, folder)
        size, snapshot = 0, ""
    elif shard:
        name = f"part-{shard.partition('/')[0]}"
        fetch(shard=shard, bars=SimpleNamespace(path=str(folder / name), metadata={}), **options)
        size = sum(file.stat().st_size for file in (folder / name).iterdir())
        snapshot = ""
    else:
        parts = [
            SimpleNamespace(path=str(part), metadata={}) for part in sorted(folder.glob("part-*"))
        ]
        prices = SimpleNamespace(path=str(folder / "prices"), metadata={})
        quality = SimpleNamespace(path=str(folder / "quality"), metadata={})
        snapshot = ingest(fetched=parts, prices=prices, quality=quality, **options)
        lake = (folder / "lake").rglob("*.parquet")
        size = sum(file.stat().st_size for file in lake)
    return {
        "start": started,
        "cpu": cpu() - started,
        "seconds": time.perf_counter() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "mb": size / 1e6,
        "snapshot": snapshot,
    }


def later(name: str, folder: Path) -> None:
    """Run a step after the ingest in this process: features, or train with ridge."""
    table = SimpleNamespace(path=str(folder / "table"), metadata={})
    if name == "features":
        from components.features.step import run as features
        from forecasting.adapters.lake.lake import Lake

        features(
            snapshot=Lake(str(folder / "lake")).latest("default").id,
            dataset="default",
            symbols="",
            train_until="",
            candidates=["ridge"],
            width="ewma",
            table=table,
            reference=SimpleNamespace(path=str(folder / "reference"), metadata={}),
        )
        return
    from components.train.step import run as train

    train(
        candidate="ridge",
        table=table,
        seed=7,
        width="ewma",
        folds=6,
        tuning_trials=0,
        select_features=False,
        combinatorial=0,
        bundle=SimpleNamespace(path=str(folder / "bundle"), metadata={}),
        out_of_sample=SimpleNamespace(path=str(folder / "walk"), metadata={}),
        metrics=SimpleNamespace(path=str(folder / "metrics"), log_metric=lambda *_: None),
    )


def measured(shard: str, symbols: int, folder: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.ingest", "--step", shard or "join"]
    command += ["--symbols", str(symbols), "--folder", str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, object] = json.loads(answer.splitlines()[-1])
    print(f"  {symbols} symbols, {shard or 'join'}: {result}", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Measure one shard and eight, and one join of more symbols, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--shards", default="1,8")
    add_option(parser)
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        shard = "" if arguments.step == "join" else arguments.step
        print(json.dumps(step(shard, arguments.symbols, arguments.folder)))
        return
    runs: list[dict[str, object]] = []
    rows = []
    after: list[dict[str, object]] = []
    counts = [int(count) for count in arguments.shards.split(",")]
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            fetched = [
                measured(f"{number}/{count}", arguments.symbols, folder)
                for number in range(1, count + 1)
            ]
            joined = measured("", arguments.symbols, folder)
            again = measured("", arguments.symbols, folder)
            if count == counts[-1]:
                after = [measured(name, arguments.symbols, folder) for name in LATER]
        slowest = max(fetched, key=lambda shard: float(str(shard["cpu"])))
        steps = [("fetch, dearest shard", slowest), ("ingest", joined), ("ingest again", again)]
        steps += zip(("features", "train ridge"), after, strict=False)
        for name, measurement in steps:
            figures = [measurement[key] for key in ("start", "cpu", "seconds", "peak_mb", "mb")]
            start, used, seconds, peak, size = (float(str(figure)) for figure in figures)
            rows.append(
                [
                    str(count),
                    name,
                    f"{start:.1f}",
                    f"{used:.1f}",
                    f"{seconds:.1f}",
                    f"{peak:,.0f}",
                    f"{size:.1f}",
                    str(measurement["snapshot"]),
                ]
            )
        runs.append({"shards": count, "fetch": fetched, "ingest": joined, "again": again})
    snapshots = {str(run["ingest"]["snapshot"]) for run in runs}  # type: ignore[index]
    if len(snapshots) != 1:
        raise SystemExit(f"the snapshots differ: {', '.join(sorted(snapshots))}")
    heads = ["shards", "step", ">start CPU s", ">CPU s", ">seconds", ">peak MB", ">MB written"]
    table = markdown([*heads, "snapshot"], rows)
    text = "\n\n".join(["# Ingest in shards", machine(), str(__doc__), table])
    at = datetime.now(UTC).isoformat(timespec="seconds")
    data = {"at": at, "symbols": arguments.symbols, "measured": runs, "later": after}
    write("ingest", text, data, arguments.out)


if __name__ == "__main__":
    main()
