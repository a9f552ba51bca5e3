#!/usr/bin/env bash
# KServe 0.21.0's Python model server against tritonclient 2.73.0 over HTTP. Both speak the V2
# inference protocol. tritonclient sends tensors as plain JSON (binary_data=False) without a
# Content-Type and without Inference-Header-Content-Length, which the protocol asks for with binary
# tensors only; the server takes a body that is not called JSON for a binary one and answers 400. The
# same body with Content-Type: application/json is answered.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    kserve==0.21.0 "tritonclient[http]==2.73.0" numpy
cat > "$work/server.py" <<'PYTHON'
from kserve import InferOutput, InferResponse, Model, ModelServer


class One(Model):
    """Answers one number, whatever it is asked."""

    def __init__(self):
        super().__init__("one")
        self.ready = True

    async def predict(self, payload, headers=None):
        output = InferOutput("y", [1], "FP32", data=[1.0])
        return InferResponse(response_id="1", model_name="one", infer_outputs=[output])


ModelServer(enable_grpc=False, workers=1).start([One()])
PYTHON
port=$("$work/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/venv/bin/python" "$work/server.py" --http_port "$port" > "$work/log" 2>&1 &
server=$!
"$work/venv/bin/python" - "$port" <<'PYTHON'
import json
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version

import numpy as np
import tritonclient.http as triton

print("kserve", version("kserve"), "tritonclient", version("tritonclient"))
address = f"127.0.0.1:{sys.argv[1]}"
for _ in range(300):
    try:
        urllib.request.urlopen(f"http://{address}/v2/health/live")
        break
    except OSError:
        time.sleep(0.2)
tensor = triton.InferInput("x", [1], "FP32")
tensor.set_data_from_numpy(np.ones(1, np.float32), binary_data=False)
client = triton.InferenceServerClient(address)
try:
    client.infer("one", [tensor])
except triton.InferenceServerException as error:
    print("tritonclient:", error)
    assert error.status() == "400", error.status()
    assert "inference-header-content-length" in str(error)
else:
    raise AssertionError("it is answered now")
body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
request = urllib.request.Request(
    f"http://{address}/v2/models/one/infer",
    json.dumps(body).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    print("with Content-Type:", answer.status)
PYTHON
