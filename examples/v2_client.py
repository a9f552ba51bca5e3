"""Ask a running model server for a forecast over the Open Inference Protocol V2.

    make demo                                              # or any server; `bellwether serve`
    python examples/v2_client.py AAPL --days 5
    python examples/v2_client.py AAPL --url http://localhost:8080 --version 3
    python examples/v2_client.py ACME --csv examples/acme.csv   # your own daily bars, sent along

It needs nothing but Python's standard library: the protocol is JSON over HTTP. Clients made for the
protocol (tritonclient, KServe's) work as well.
"""

import argparse
import csv
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

COLUMNS = ("Open", "High", "Low", "Close", "Volume")
MOST_BARS = 600  # enough for every feature; the server takes up to 5,000


@dataclass(frozen=True)
class Forecast:
    """The forecast of one symbol.

    Attributes:
        symbol: what is forecast.
        model_version: the version that answered.
        last_close: the price that the forecast starts from.
        closes: when the bar of each horizon closes [h].
        quantiles: prices at the levels p05 p25 p50 p75 p95 [h][5].
        probability_of_rise: P(price above the last close) [h].
        signal: buy, hold or sell.
        stale: whether the newest bar is older than it should be.
    """

    symbol: str
    model_version: str
    last_close: float
    closes: list[datetime]
    quantiles: list[list[float]]
    probability_of_rise: list[float]
    signal: str
    stale: bool


def ask(
    url: str,
    symbol: str,
    days: int,
    *,
    as_of: str = "",
    bars: Path | None = None,
    version: str = "",
    model: str = "bellwether",
    timeout: float = 10.0,
) -> Forecast:
    """Ask the server at `url` for the next `days` bars of one symbol.

    Args:
        url: of the server, without a path.
        symbol: one that the model was published for.
        days: bars ahead, 1 to 30.
        as_of: ISO 8601 instant with its zone: forecast from what was known then; "": from now.
        bars: CSV file of daily bars to forecast from, instead of those that the server holds.
        version: model version; "": the one that the server chooses.
        model: name of the model.
        timeout: how long to wait for the answer, in seconds.

    Raises:
        urllib.error.HTTPError: the server refuses, e.g. 404 for a symbol it does not know; the
            body says why, as {"error": "..."}.
    """
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    inputs: list[dict[str, Any]] = [
        {"name": "symbols", "datatype": "BYTES", "shape": [1], "data": [symbol]},
        {"name": "horizon", "datatype": "INT64", "shape": [1], "data": [days]},
    ]
    if as_of:
        inputs.append({"name": "as_of", "datatype": "BYTES", "shape": [1], "data": [as_of]})
    if bars:
        inputs += own_bars(bars)
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        answer: dict[str, Any] = json.load(response)
    # Tensors arrive flat, in row-major order, beside their shapes.
    data = {output["name"]: output["data"] for output in answer["outputs"]}
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    levels = shapes["quantiles"][-1]
    flat = data["quantiles"]
    return Forecast(
        symbol=data["symbol"][0],
        model_version=answer["model_version"],
        last_close=data["last_close"][0],
        closes=[datetime.fromtimestamp(ms / 1000, UTC) for ms in data["target_time"]],
        quantiles=[flat[start : start + levels] for start in range(0, len(flat), levels)],
        probability_of_rise=data["probability_of_rise"],
        signal=data["signal"][0],
        stale=data["stale"][0],
    )


def own_bars(path: Path) -> list[dict[str, Any]]:
    """The inputs for the newest daily bars of a CSV file with Date, Open, High, Low, Close, Volume.

    Splits and dividends must be worked into the prices. A bar is stamped with its close, here
    21:00 UTC: New York's in winter.
    """
    with path.open() as file:
        rows = list(csv.DictReader(file))[-MOST_BARS:]
    closes = [datetime.fromisoformat(f"{row['Date']}T21:00:00+00:00") for row in rows]
    return [
        {
            "name": "bars",
            "datatype": "FP64",
            "shape": [len(rows), len(COLUMNS)],
            "data": [float(row[column]) for row in rows for column in COLUMNS],
        },
        {
            "name": "timestamps",
            "datatype": "INT64",
            "shape": [len(rows)],
            "data": [int(close.timestamp() * 1000) for close in closes],
        },
    ]


def main() -> int:
    """Print a forecast; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbol")
    parser.add_argument("--days", type=int, default=5, help="bars ahead, 1 to 30")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--csv", type=Path, help="your own daily bars instead of the server's")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--version", default="", help="model version; default: the server's choice")
    arguments = parser.parse_args()
    try:
        forecast = ask(
            arguments.url,
            arguments.symbol,
            arguments.days,
            bars=arguments.csv,
            version=arguments.version,
            timeout=arguments.timeout,
        )
    except urllib.error.HTTPError as error:
        print(f"{error.code}: {json.load(error)['error']}", file=sys.stderr)
        return 1
    print(
        f"{forecast.symbol} at {forecast.last_close:.2f}, version {forecast.model_version}, "
        f"{forecast.signal}{', stale' if forecast.stale else ''}"
    )
    print("closes                 p05      p25      p50      p75      p95   P(rise)")
    for close, prices, rise in zip(
        forecast.closes, forecast.quantiles, forecast.probability_of_rise, strict=True
    ):
        columns = " ".join(f"{price:8.2f}" for price in prices)
        print(f"{close:%Y-%m-%d %H:%M} {columns}   {rise:7.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
