"""Loads one server over loopback and reports rate, latency and the server's own CPU cost."""

import asyncio
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Server, cpu_seconds, memory_mb


@dataclass(frozen=True)
class Row:
    """One server under one load."""

    server: str
    protocol: str
    connections: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    memory_mb: float
    failed: int


def rest(
    server: Server, url: str, body: bytes, connections: int, seconds: float, folder: Path
) -> Row:
    """Post `body` over HTTP/1.1 with wrk for a bounded time."""
    script = folder / f"{server.name}.lua"
    text = body.decode().replace("]]", "] ]")
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [[{text}]]\n"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency"]
    before = cpu_seconds(server.process.pid)
    output = subprocess.run(
        [*command, "-s", str(script), url], check=True, capture_output=True, text=True
    ).stdout
    spent = cpu_seconds(server.process.pid) - before
    requests = int(_figure(r"(\d+) requests in", output))
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Row(
        server.name,
        "REST",
        connections,
        requests,
        float(_figure(r"Requests/sec:\s+([\d.]+)", output)),
        _milliseconds(_figure(r"(?m)^\s+50%\s+(\S+)", output)),
        _milliseconds(_figure(r"(?m)^\s+99%\s+(\S+)", output)),
        spent / max(requests, 1) * 1e6,
        memory_mb(server.process.pid),
        int(errors[1]) if errors else 0,
    )


def grpc(server: Server, address: str, request: object, connections: int, seconds: float) -> Row:
    """Send one ModelInferRequest over and over on `connections` channels.

    The client is Python and shares the machine, so requests per second are bounded by it;
    the server's CPU cost per request is not.
    """
    return asyncio.run(_grpc(server, address, request, connections, seconds))


async def _grpc(
    server: Server, address: str, request: object, connections: int, seconds: float
) -> Row:
    from grpc import aio
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs

    latencies: list[float] = []
    failed = 0
    before, began = cpu_seconds(server.process.pid), time.perf_counter()

    async def one(number: int) -> None:
        nonlocal failed
        # channels with different options do not share a connection
        options = (("grpc.client_channel_number", number), ("grpc.use_local_subchannel_pool", 1))
        async with aio.insecure_channel(address, options=options) as channel:
            stub = stubs.GRPCInferenceServiceStub(channel)
            while (now := time.perf_counter()) - began < seconds:
                try:
                    await stub.ModelInfer(request)
                except aio.AioRpcError:
                    failed += 1
                latencies.append(time.perf_counter() - now)

    await asyncio.gather(*(one(number) for number in range(connections)))
    took = time.perf_counter() - began
    spent = cpu_seconds(server.process.pid) - before
    ordered = sorted(latencies)
    return Row(
        server.name,
        "gRPC",
        connections,
        len(ordered),
        len(ordered) / took,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        spent / max(len(ordered), 1) * 1e6,
        memory_mb(server.process.pid),
        failed,
    )


def _figure(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise SystemExit(f"wrk printed no {pattern!r}: {output[-400:]}")
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)
