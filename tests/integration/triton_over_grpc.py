"""Asks a server through Triton's gRPC client and prints what came back as JSON.

A program of its own: Triton's and KServe's generated messages have the same names and cannot live
in one process.

    python triton_over_grpc.py PORT < own_bars.json
"""

import json
import sys

import numpy as np
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException


def tensor(name, datatype, values):
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def numbers(answer):
    names = [output.name for output in answer.get_response().outputs]
    arrays = {name: answer.as_numpy(name) for name in names}
    return {name: array.tolist() for name, array in arrays.items() if array.dtype != object}


def refusal(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def main():
    bars = json.load(sys.stdin)
    with triton.InferenceServerClient(f"127.0.0.1:{sys.argv[1]}") as client:

        def ask(*symbols, **options):
            named = tensor("symbols", "BYTES", np.array(symbols, dtype=object))
            return client.infer("bellwether", [named], **options)

        own = [
            tensor("bars", "FP64", np.array(bars["bars"])),
            tensor("timestamps", "INT64", np.array(bars["timestamps"])),
        ]
        found = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready() and client.is_model_ready("bellwether", "3"),
            "metadata": client.get_model_metadata("bellwether", as_json=True),
            "forecast": numbers(ask("AAPL", "MSFT")),
            "version": ask("AAPL", model_version="3").get_response().model_version,
            "own": numbers(client.infer("bellwether", own)),
            "unknown_symbol": refusal(lambda: ask("XXXX")),
            "unknown_version": refusal(lambda: ask("AAPL", model_version="7")),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
