#!/bin/sh
# Ask a running model server for a forecast over the Open Inference Protocol V2, with curl alone.
#
#   make demo                                   # or any server; `bellwether serve`
#   sh examples/v2_client.sh AAPL 5             # symbol, bars ahead (1 to 30)
#   URL=http://localhost:8080 MODEL=bellwether TIMEOUT=10 sh examples/v2_client.sh AAPL 5
#
# Prints the server's JSON: price quantiles p05 p25 p50 p75 p95 for each bar, when each bar closes
# (Unix ms), and the last close. Exit code 22: the server refused, and said why.
set -eu
symbol=${1:?usage: v2_client.sh SYMBOL [BARS]}
bars=${2:-5}
url=${URL:-http://127.0.0.1:8080}
model=${MODEL:-bellwether}

curl --silent --show-error --fail-with-body --max-time "${TIMEOUT:-10}" "$url/v2/models/$model/infer" \
  --header 'Content-Type: application/json' \
  --data @- <<JSON
{
  "inputs": [
    {"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["$symbol"]},
    {"name": "horizon", "datatype": "INT64", "shape": [1], "data": [$bars]}
  ],
  "outputs": [{"name": "quantiles"}, {"name": "target_time"}, {"name": "last_close"}]
}
JSON
