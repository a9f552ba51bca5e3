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
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks import load
from benchmarks.processes import Server, launch
from benchmarks.results import add_option, machine, markdown, write

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / ".peers"
XGBOOST = ["xgboost-cpu==3.2.0", "scikit-learn==1.9.1", "numpy==2.4.6"]
ENVIRONMENTS = {
    "fastapi": ["fastapi", "orjson", "uvicorn", "uvloop", "httptools", "onnxruntime", *XGBOOST],
    "bentoml": ["bentoml", *XGBOOST],
    "mlserver": ["mlserver==1.7.1", *XGBOOST],
    "mlflow": ["mlflow==3.17.2", *XGBOOST],
    "kserve": ["kserve==0.21.0", *XGBOOST],
}
PORT, GRPC_PORT = 18_080, 18_081
CONNECTIONS = (1, 16, 64)
TREES = 300


@dataclass(frozen=True)
class Contender:
    """How to start a server and what to send it."""

    name: str
    command: list[str]
    env: dict[str, str]
    ready: str
    infer: str
    body: bytes
    grpc: Callable[[], object] | None = None


def environments() -> None:
    """Make each peer's own environment, once."""
    uv = [sys.executable, "-m", "uv"]
    for name, packages in ENVIRONMENTS.items():
        home = PEERS / name
        if (home / "bin" / "python").exists():
            continue
        print(f"Installing {name} into {home.relative_to(ROOT)} ...", flush=True)
        subprocess.run([*uv, "venv", "-q", "-p", sys.executable, str(home)], check=True)
        into = [*uv, "pip", "install", "-q", "--compile-bytecode", "-p", str(home / "bin/python")]
        subprocess.run([*into, *packages], check=True)
        if name == "mlserver":  # its own requirement is the GPU build of XGBoost
            subprocess.run([*into, "--no-deps", "mlserver-xgboost==1.7.1"], check=True)
    ours = PEERS / "bellwether"
    subprocess.run(
        [*uv, "venv", "-q", "--allow-existing", "-p", sys.executable, str(ours)], check=True
    )
    into = [*uv, "pip", "install", "-q", "--compile-bytecode", "-p", str(ours / "bin/python")]
    subprocess.run([*into, "--no-deps", "--require-hashes", "-r", "locks/serving.txt"], check=True)


def prepare(folder: Path) -> tuple[Path, Path, np.ndarray]:
    """Train one XGBoost candidate on synthetic prices; return bundle, UBJ model and a row."""
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market import open_source
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
    return bundle, bundle / "model.ubj", table.values[-1]


def contenders(folder: Path, bundle: Path, ubj: Path, row: np.ndarray) -> list[Contender]:
    """Every server of the comparison, weakest assumptions first."""
    python = {name: str(PEERS / name / "bin" / "python") for name in ENVIRONMENTS}
    tensor = {"name": "input-0", "shape": [1, len(row)], "datatype": "FP32", "data": row.tolist()}
    v2 = json.dumps({"inputs": [tensor]}).encode()
    ask = {"name": "symbols", "shape": [1], "datatype": "BYTES", "data": ["SYN1"]}
    base = f"http://127.0.0.1:{PORT}"
    mlserver = folder / "mlserver"
    mlserver.mkdir()
    shutil.copy(ubj, mlserver / "model.ubj")
    (mlserver / "settings.json").write_text(
        json.dumps(
            {
                "http_port": PORT,
                "grpc_port": GRPC_PORT,
                "metrics_port": PORT + 2,
                "parallel_workers": 0,
                "debug": False,
            }
        )
    )
    (mlserver / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "model",
                "implementation": "mlserver_xgboost.XGBoostModel",
                "parameters": {"uri": "./model.ubj"},
            }
        )
    )
    save = (
        "import sys, xgboost, mlflow; m = xgboost.XGBRegressor(); m.load_model(sys.argv[1]); "
        "mlflow.xgboost.save_model(m, sys.argv[2], model_format='ubj')"
    )
    subprocess.run(
        [python["mlflow"], "-c", save, str(ubj), str(folder / "mlflow")],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    model = {"MODEL": str(ubj), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    peers = ROOT / "benchmarks" / "peers"

    def ours(name: str, **changes: str) -> Contender:
        return Contender(
            name,
            [str(PEERS / "bellwether" / "bin" / "python"), "-m", "serving.server"],
            {
                "BELLWETHER_STATE_DIR": str(folder),
                "BELLWETHER_BUNDLE_URL": str(bundle),
                "BELLWETHER_MODEL_VERSION": "1",
                "BELLWETHER_HTTP_PORT": str(PORT),
                "BELLWETHER_GRPC_PORT": str(GRPC_PORT),
                "PYTHONPATH": str(ROOT),
                **changes,
            },
            f"{base}/v2/health/ready",
            f"{base}/v2/models/bellwether/infer",
            json.dumps({"inputs": [ask]}).encode(),
            _symbol_request,
        )

    return [
        Contender(
            "echo (ceiling)",
            [python["fastapi"], str(peers / "bare.py"), str(PORT)],
            {},
            base,
            f"{base}/",
            v2,
        ),
        Contender(
            "bare model call (ceiling)",
            [python["fastapi"], str(peers / "bare.py"), str(PORT), str(bundle / "model.onnx")],
            {},
            base,
            f"{base}/",
            v2,
        ),
        ours("Bellwether"),
        ours("Bellwether, model called each time", BELLWETHER_KEEP_FORECASTS="false"),
        Contender(
            "FastAPI by hand",
            [
                *(python["fastapi"], "-m", "uvicorn", "benchmarks.peers.fastapi_app:app"),
                *("--port", str(PORT), "--no-access-log"),
            ],
            model,
            f"{base}/v2/health/ready",
            f"{base}/v2/models/model/infer",
            v2,
        ),
        Contender(
            "KServe SDK, defaults",
            [
                *(python["kserve"], str(peers / "kserve_default.py")),
                *("--http_port", str(PORT), "--grpc_port", str(GRPC_PORT)),
            ],
            model,
            f"{base}/v2/health/ready",
            f"{base}/v2/models/model/infer",
            v2,
            lambda: _row_request(row),
        ),
        Contender(
            "MLServer",
            [str(PEERS / "mlserver" / "bin" / "mlserver"), "start", str(mlserver)],
            {"OMP_NUM_THREADS": "1"},
            f"{base}/v2/health/ready",
            f"{base}/v2/models/model/infer",
            v2,
            lambda: _row_request(row),
        ),
        Contender(
            "mlflow models serve",
            [
                *(
                    python["mlflow"],
                    "-m",
                    "mlflow",
                    "models",
                    "serve",
                    "-m",
                    str(folder / "mlflow"),
                ),
                *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(PORT)),
            ],
            {
                "OMP_NUM_THREADS": "1",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "PATH": f"{PEERS / 'mlflow' / 'bin'}:/usr/bin:/bin",
            },
            f"{base}/ping",
            f"{base}/invocations",
            json.dumps({"inputs": [row.tolist()]}).encode(),
        ),
        Contender(
            "BentoML",
            [
                *(python["bentoml"], "-m", "bentoml", "serve"),
                *("benchmarks.peers.bento_service:Forecaster", "--port", str(PORT)),
                *("--working-dir", str(ROOT)),
            ],
            {**model, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bento")},
            f"{base}/readyz",
            f"{base}/predict",
            json.dumps({"rows": [row.tolist()]}).encode(),
        ),
    ]


def _row_request(row: np.ndarray) -> object:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    request = pb.ModelInferRequest(model_name="model")
    request.inputs.add(name="input-0", datatype="FP32", shape=[1, len(row)])
    request.raw_input_contents.append(row.astype(np.float32).tobytes())
    return request


def _symbol_request() -> object:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    request = pb.ModelInferRequest(model_name="bellwether")
    request.inputs.add(name="symbols", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(len(b"SYN1").to_bytes(4, "little") + b"SYN1")
    return request


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
    environments()
    measured: list[tuple[Server, list[load.Row]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, ubj, row = prepare(folder)
        for contender in contenders(folder, bundle, ubj, row):
            if arguments.only.lower() in contender.name.lower():
                print(f"Measuring {contender.name} ...", flush=True)
                measured.append(measure(contender, folder, arguments.seconds))
    report(measured, arguments.out)


def report(measured: list[tuple[Server, list[load.Row]]], out: Path) -> None:
    """Write serving.md and serving.json."""
    ours = next((rows for server, rows in measured if server.name == "Bellwether"), None)
    base = {(row.protocol, row.connections): row.cpu_us for row in ours or []}
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
