"""Asks a server for a forecast through Triton's client, HTTP or gRPC; prints JSON.

A program of its own: Triton's and KServe's generated messages have the same names and cannot live
in one process.

    python triton_forecast.py http|grpc PORT SYMBOL...
"""

import importlib
import json
import sys

import numpy as np

protocol, port, symbols = sys.argv[1], sys.argv[2], sys.argv[3:]
triton = importlib.import_module(f"tritonclient.{protocol}")
with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
    named = triton.InferInput("symbols", [len(symbols)], "BYTES")
    named.set_data_from_numpy(np.array([s.encode() for s in symbols], dtype=np.object_))
    horizon = triton.InferInput("horizon", [1], "INT64")
    horizon.set_data_from_numpy(np.array([7], dtype=np.int64))
    options = {"as_json": True} if protocol == "grpc" else {}
    metadata = client.get_model_metadata("bellwether", **options)
    answer = client.infer("bellwether", [named, horizon])
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready() and client.is_model_ready("bellwether"),
        "inputs": [tensor["name"] for tensor in metadata["inputs"]],
        "outputs": [tensor["name"] for tensor in metadata["outputs"]],
        "quantiles": answer.as_numpy("quantiles").tolist(),
        "last_close": answer.as_numpy("last_close").tolist(),
        "signal": [signal.decode() for signal in answer.as_numpy("signal")],
    }
sys.stdout.write(json.dumps(found))
