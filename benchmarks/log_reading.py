"""Reads the realised forecasts out of a prediction log: what repeats of them cost, in seconds and memory.

A year of daily forecasts of a few symbols is written, then repeated as users repeat their questions.
Every log is read by a process of its own, as by the drift job: each forecast once, laid out by horizon.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from benchmarks import results

SYMBOLS: Final = 6
BARS: Final = 250
HORIZON: Final = 30
DAY: Final = 86_400_000
ORIGIN: Final = 1_700_000_000_000
PER_FORECAST: Final = (1, 100, 1_000)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    results.add_option(parser)
    parser.add_argument("--postgresql", default="", help="URL of an empty PostgreSQL database")
    parser.add_argument("--repeats", type=int, nargs="+", default=list(PER_FORECAST))
    parser.add_argument("--read", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(*_read(options.read))
        return
    found = []
    with TemporaryDirectory(prefix="bellwether-log-") as folder:
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'log.sqlite'}"}
        if options.postgresql:
            urls["PostgreSQL"] = options.postgresql
        for name, url in urls.items():
            _write_each_once(url)
            there = 1
            for repeats in sorted(options.repeats):
                _repeat(url, there, repeats)
                there = repeats
                found.append(
                    {"database": name, "answers": repeats * SYMBOLS * BARS} | _measured(url)
                )
                print(found[-1], flush=True)
    heads = ("database", ">answers logged", ">forecasts read", ">seconds", ">MB in memory")
    rows = [
        (
            one["database"],
            f"{one['answers']:,}",
            f"{one['forecasts']:,}",
            f"{one['seconds']:.1f}",
            f"{one['megabytes']:.0f}",
        )
        for one in found
    ]
    text = f"# Reading the prediction log\n\n{results.machine()}\n\n{__doc__.strip()}\n\n{results.markdown(heads, rows)}"
    results.write("log_reading", text, found, options.out)


def _measured(url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.log_reading", "--read", url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    forecasts, seconds, kilobytes = done.stdout.split()
    return {
        "forecasts": int(forecasts),
        "seconds": float(seconds),
        "megabytes": int(kilobytes) / 1_024,
    }


def _read(url: str) -> tuple[int, float, int]:
    """Forecasts, seconds, and the most kilobytes this process ever had in memory."""
    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.adapters.prediction_log.rows import for_outcomes
    from forecasting.live.outcomes import forecast_rows

    begun = time.perf_counter()
    rows, _ = forecast_rows(map(for_outcomes, PredictionLog(url).each_once()))
    spent = time.perf_counter() - begun
    count = int((rows.horizons == 1).sum())
    return count, spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _write_each_once(url: str) -> None:
    from forecasting.adapters.prediction_log.log import PredictionLog

    log = PredictionLog(url, capacity=SYMBOLS * BARS)
    for answer in _answers():
        log.offer(answer)
    log.start()
    log.close(60)
    if log.count() != SYMBOLS * BARS:
        raise SystemExit("the database is not empty, or did not take all rows")


def _answers() -> Iterator[Any]:
    from forecasting.adapters.prediction_log.log import Answered

    chance = np.random.default_rng(1)
    steps = np.arange(1, HORIZON + 1)
    for bar in range(BARS):
        as_of = ORIGIN + DAY * bar
        widths = np.sqrt(steps)[:, None] * np.array([-0.03, -0.01, 0.0, 0.01, 0.03])
        close = np.exp(chance.normal(4, 1, SYMBOLS))
        yield Answered(
            request_id="",
            symbols=[f"SYN{number}" for number in range(SYMBOLS)],
            as_of=np.full(SYMBOLS, as_of),
            made_at=as_of / 1_000 + 60,
            model_version="3",
            model_kind="ridge",
            last_close=close,
            quantiles=close[:, None, None] * np.exp(widths),
            target_times=np.tile(as_of + DAY * steps, (SYMBOLS, 1)),
            probability_of_rise=chance.uniform(0.4, 0.6, (SYMBOLS, HORIZON)),
            signal=["hold"] * SYMBOLS,
            stale=np.zeros(SYMBOLS, dtype=np.bool_),
            source="bench",
            replay=False,
            processing_seconds=0.001,
            protocol="rest",
            own_bars=False,
        )


def _repeat(url: str, there: int, repeats: int) -> None:
    """Have every forecast so many times, where it is there some times, made a second apart."""
    from sqlalchemy import create_engine, text

    from forecasting.adapters.prediction_log.rows import table

    engine = create_engine(url)
    sqlite = engine.dialect.name == "sqlite"
    numbers = (
        "(WITH RECURSIVE n(i) AS (SELECT {0} UNION ALL SELECT i + 1 FROM n WHERE i < {1} - 1)"
        " SELECT i FROM n)"
        if sqlite
        else "(SELECT i FROM generate_series({0}, {1} - 1) AS i)"
    ).format(there, repeats)
    new_id = "lower(hex(randomblob(16)))" if sqlite else "CAST(gen_random_uuid() AS text)"
    changed = {"id": new_id, "made_at": "made_at + 1000 * i"}
    names = [column.name for column in table().columns]
    values = ", ".join(changed.get(name, name) for name in names)
    last = ORIGIN + 60_000 + DAY * BARS
    # The originals alone are repeated: their seconds end in those that were written.
    original = f"made_at % {DAY} = {(ORIGIN + 60_000) % DAY} AND made_at < {last}"
    with engine.begin() as connection:
        if repeats > there:
            connection.execute(
                text(
                    f"INSERT INTO predictions ({', '.join(names)}) "
                    f"SELECT {values} FROM predictions, {numbers} AS repeated WHERE {original}"
                )
            )
    engine.dispose()


if __name__ == "__main__":
    main()
