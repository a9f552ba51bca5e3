"""The servers of the serving benchmark: how each is installed, started and asked for a forecast."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

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
SERVERS = ROOT / "benchmarks" / "peers"
BASE = f"http://127.0.0.1:{PORT}"
READY, INFER = f"{BASE}/v2/health/ready", f"{BASE}/v2/models/model/infer"


@dataclass(frozen=True)
class Model:
    """The trained model that every server holds, and the row it is asked about.

    Attributes:
        state: state folder of our server, with its lake.
        bundle: our bundle's folder.
        row: features of one symbol [n].
    """

    state: Path
    bundle: Path
    row: np.ndarray

    @property
    def ubj(self) -> Path:
        """XGBoost's own file."""
        return self.bundle / "model.ubj"

    @property
    def variables(self) -> dict[str, str]:
        """Environment of the servers in `benchmarks.peers`."""
        return {"MODEL": str(self.ubj), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def v2(self) -> bytes:
        """The row as a request of the V2 protocol."""
        tensor = {
            "name": "input-0",
            "shape": [1, len(self.row)],
            "datatype": "FP32",
            "data": self.row.tolist(),
        }
        return json.dumps({"inputs": [tensor]}).encode()


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


def install() -> None:
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
    environment = PEERS / "bellwether"
    subprocess.run(
        [*uv, "venv", "-q", "--allow-existing", "-p", sys.executable, str(environment)], check=True
    )
    into = [
        *uv,
        "pip",
        "install",
        "-q",
        "--compile-bytecode",
        "-p",
        str(environment / "bin/python"),
    ]
    subprocess.run([*into, "--no-deps", "--require-hashes", "-r", "locks/serving.txt"], check=True)


def contenders(model: Model) -> list[Contender]:
    """Every server of the comparison, weakest assumptions first."""
    return [
        _bare("echo (ceiling)", model),
        _bare("bare model call (ceiling)", model, str(model.bundle / "model.onnx")),
        bellwether("Bellwether", model),
        bellwether("Bellwether, model called each time", model, BELLWETHER_KEEP_FORECASTS="false"),
        _fastapi(model),
        _kserve(model),
        _mlserver(model),
        _mlflow(model),
        _bentoml(model),
    ]


def _python(environment: str) -> str:
    return str(PEERS / environment / "bin" / "python")


def _bare(name: str, model: Model, *onnx: str) -> Contender:
    command = [_python("fastapi"), str(SERVERS / "bare.py"), str(PORT), *onnx]
    return Contender(name, command, {}, BASE, f"{BASE}/", model.v2())


def bellwether(name: str, model: Model, **changes: str) -> Contender:
    """Our server."""
    symbols = {"name": "symbols", "shape": [1], "datatype": "BYTES", "data": ["SYN1"]}
    return Contender(
        name,
        [_python("bellwether"), "-m", "serving.server"],
        {
            "BELLWETHER_STATE_DIR": str(model.state),
            "BELLWETHER_BUNDLE_URL": str(model.bundle),
            "BELLWETHER_MODEL_VERSION": "1",
            "BELLWETHER_HTTP_PORT": str(PORT),
            "BELLWETHER_GRPC_PORT": str(GRPC_PORT),
            "PYTHONPATH": str(ROOT),
            **changes,
        },
        READY,
        f"{BASE}/v2/models/bellwether/infer",
        json.dumps({"inputs": [symbols]}).encode(),
        _symbol_request,
    )


def _fastapi(model: Model) -> Contender:
    command = [_python("fastapi"), "-m", "uvicorn", "benchmarks.peers.fastapi_app:app"]
    command += ["--port", str(PORT), "--no-access-log"]
    return Contender("FastAPI by hand", command, model.variables, READY, INFER, model.v2())


def _kserve(model: Model) -> Contender:
    command = [_python("kserve"), str(SERVERS / "kserve_default.py")]
    command += ["--http_port", str(PORT), "--grpc_port", str(GRPC_PORT)]
    grpc = partial(_row_request, model.row)
    return Contender(
        "KServe SDK, defaults", command, model.variables, READY, INFER, model.v2(), grpc
    )


def _mlserver(model: Model) -> Contender:
    folder = model.state / "mlserver"
    folder.mkdir()
    shutil.copy(model.ubj, folder / "model.ubj")
    settings = {
        "http_port": PORT,
        "grpc_port": GRPC_PORT,
        "metrics_port": PORT + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model_settings = {
        "name": "model",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": "./model.ubj"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model_settings))
    command = [str(PEERS / "mlserver" / "bin" / "mlserver"), "start", str(folder)]
    grpc = partial(_row_request, model.row)
    return Contender("MLServer", command, {"OMP_NUM_THREADS": "1"}, READY, INFER, model.v2(), grpc)


def _mlflow(model: Model) -> Contender:
    saved = str(model.state / "mlflow")
    save = (
        "import sys, xgboost, mlflow; m = xgboost.XGBRegressor(); m.load_model(sys.argv[1]); "
        "mlflow.xgboost.save_model(m, sys.argv[2], model_format='ubj')"
    )
    subprocess.run(
        [_python("mlflow"), "-c", save, str(model.ubj), saved],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    command = [_python("mlflow"), "-m", "mlflow", "models", "serve", "-m", saved]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(PORT)]
    variables = {
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{PEERS / 'mlflow' / 'bin'}:/usr/bin:/bin",
    }
    body = json.dumps({"inputs": [model.row.tolist()]}).encode()
    return Contender(
        "mlflow models serve", command, variables, f"{BASE}/ping", f"{BASE}/invocations", body
    )


def _bentoml(model: Model) -> Contender:
    command = [_python("bentoml"), "-m", "bentoml", "serve"]
    command += ["benchmarks.peers.bento_service:Forecaster", "--port", str(PORT)]
    command += ["--working-dir", str(ROOT)]
    variables = {
        **model.variables,
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(model.state / "bento"),
    }
    body = json.dumps({"rows": [model.row.tolist()]}).encode()
    return Contender("BentoML", command, variables, f"{BASE}/readyz", f"{BASE}/predict", body)


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
