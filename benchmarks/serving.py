"""Serving: ours against MLServer, MLflow, BentoML, FastAPI and KServe's defaults, on one model.

Every server holds the same XGBoost model (300 trees, 8 outputs). The peers get the
row of features in the request and answer the model's 8 numbers. Ours gets a symbol, looks its
features up, and answers 30 days x 5 price quantiles, probabilities, a signal and dates: more work.
It keeps a symbol's forecast until the version or the features change, and is measured with that
switched off, too. Every answer is offered to the prediction log in SQLite meanwhile, which is in
our cost; past about 5,000 rows a second the log drops rows and counts them.
The ceilings are the bare model call behind uvloop and httptools, and an HTTP echo.
"""

import argparse
import shutil
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import load
from benchmarks.contenders import GRPC_PORT, Contender, Model, contenders, install
from benchmarks.processes import Server, launch
from benchmarks.results import add_option, machine, markdown, write

CONNECTIONS = (1, 16, 64)
TREES = 300


def prepare(folder: Path) -> Model:
    """Train one XGBoost candidate on synthetic prices; return the model and a row."""
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.open import open_source
    from forecasting.bundle.bundle import write_bundle
    from forecasting.features.build import build_features
    from forecasting.features.online import serve_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import SignalRule, horizon_returns
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples
    from forecasting.prices.calendar import horizon_times
    from forecasting.prices.quality.judge import judge
    from forecasting.settings import Settings

    settings = Settings(state_dir=folder)
    symbols = [f"SYN{number}" for number in range(1, 7)]
    bars = open_source("synthetic", settings).fetch(symbols, None, None, "1d").bars
    now = datetime.now(UTC)
    judged = judge(bars, now=now)
    lake = Lake(settings.lake)
    snapshot = lake.append(
        "bench",
        judged,
        source="synthetic",
        replay=False,
        synthetic=True,
        interval="1d",
        fetched_at=now,
    )
    prices = lake.read(snapshot)
    spec = FeatureSpec(symbols=snapshot.symbols)
    table = build_features(prices, spec)
    trained = train_on_examples(
        "xgboost",
        Examples.of(table, horizon_returns(prices, range(1, 31))),
        TrainingConfig(params={"n_estimators": TREES}, folds=3),
    )
    training = {"dataset": "bench", "source": "synthetic", "synthetic": True, "replay": False}
    bundle = folder / "bundle"
    write_bundle(bundle, trained, spec, training=training, signal=SignalRule())
    served = serve_features(
        table,
        spec,
        snapshot_id=snapshot.id,
        dataset="bench",
        source="synthetic",
        replay=False,
        synthetic=True,
        fetched_at=now,
        created_at=now,
        horizon_times=lambda symbol, last: horizon_times(symbol, last, "1d"),
    )
    lake.publish_features("bench", served)
    return Model(folder, bundle, table.values[-1])


def measure(contender: Contender, folder: Path, seconds: float) -> tuple[Server, list[load.Row]]:
    """Start, warm up, load with 1, 16 and 64 connections, stop."""
    server = launch(
        contender.name.replace(" ", "-"),
        contender.command,
        contender.ready,
        cwd=folder,
        env=contender.env,
    )
    server.name = contender.name
    try:
        load.rest(server, contender.infer, contender.body, 4, 1, folder)
        rows = [
            load.rest(server, contender.infer, contender.body, connections, seconds, folder)
            for connections in CONNECTIONS
        ]
        if contender.grpc:
            address = f"127.0.0.1:{GRPC_PORT}"
            rows += [
                load.grpc(server, address, contender.grpc(), connections, seconds)
                for connections in CONNECTIONS
            ]
    finally:
        server.stop()
    return server, rows


def main() -> None:
    """Measure all, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="load per measurement")
    parser.add_argument("--only", default="", help="names that contain this")
    add_option(parser)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("The serving benchmark needs wrk on PATH: apt-get install wrk")
    install()
    measured: list[tuple[Server, list[load.Row]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for contender in contenders(prepare(folder)):
            if arguments.only.lower() in contender.name.lower():
                print(f"Measuring {contender.name} ...", flush=True)
                measured.append(measure(contender, folder, arguments.seconds))
    report(measured, arguments.out)


def report(measured: list[tuple[Server, list[load.Row]]], out: Path) -> None:
    """Write serving.md and serving.json."""
    own_rows = next((rows for server, rows in measured if server.name == "Bellwether"), None)
    base = {(row.protocol, row.connections): row.cpu_us for row in own_rows or []}
    start = [
        (server.name, f"{server.ready_wall:.2f}", f"{server.ready_cpu:.2f}")
        for server, _ in measured
    ]
    lines = []
    for _, rows in measured:
        for row in rows:
            reference = base.get((row.protocol, row.connections))
            lines.append(
                (
                    row.server,
                    row.protocol,
                    str(row.connections),
                    f"{row.per_second:,.0f}",
                    f"{row.p50_ms:.2f}",
                    f"{row.p99_ms:.2f}",
                    f"{row.cpu_us:,.0f}",
                    f"{row.cpu_us / reference:.2f}" if reference else "",
                    f"{row.memory_mb:,.0f}",
                    str(row.failed),
                )
            )
    heads = (
        *("server", "protocol", ">connections", ">requests/s", ">p50 ms", ">p99 ms"),
        *(">CPU us/request", ">ratio to ours", ">memory MB", ">failed"),
    )
    text = "\n\n".join(
        [
            "# Serving one row",
            machine(),
            __doc__ or "",
            markdown(heads, lines),
            "## From start to ready",
            markdown(("server", ">seconds", ">CPU seconds"), start),
        ]
    )
    write(
        "serving",
        text,
        {
            "start": [
                {"server": s.name, "wall": s.ready_wall, "cpu": s.ready_cpu} for s, _ in measured
            ],
            "load": [asdict(row) for _, rows in measured for row in rows],
        },
        out,
    )


if __name__ == "__main__":
    main()
