#!/usr/bin/env bash
# grpcio 1.85.1, asyncio server: a handler that ends with asyncio.CancelledError, because something that it
# awaited was cancelled, sends its caller no status. The call stays open until the caller's own deadline,
# and without one for as long as the connection lives; nothing is logged at the usual level. Any other
# exception ends the call at once with UNKNOWN. Here one handler awaits a future that is cancelled, and
# the other one raises TimeoutError; the caller waits 3 s at most.
# Remedy: catch CancelledError in the handler where the cancelled thing is one's own, and abort the call.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
cat > "$work/program.py" <<'PYTHON'
import asyncio
import time

import grpc


async def awaits_a_cancelled_future(request, context):
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future
    return b""


async def raises_timeout(request, context):
    raise TimeoutError


async def main():
    methods = {
        method.__name__: grpc.unary_unary_rpc_method_handler(method)
        for method in (raises_timeout, awaits_a_cancelled_future)
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("example", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in methods:
            begun = time.monotonic()
            try:
                await channel.unary_unary(f"/example/{name}")(b"", timeout=3)
            except grpc.aio.AioRpcError as error:
                waited = "at once" if time.monotonic() - begun < 2 else "after 3 s"
                print("SEEN", name, error.code().name, waited)
    await server.stop(0)


asyncio.run(main())
PYTHON
"$work/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep '^grpcio '
"$work/venv/bin/python" "$work/program.py" 2> "$work/log" | tee "$work/said"
grep -q 'SEEN raises_timeout UNKNOWN at once' "$work/said"
grep -q 'SEEN awaits_a_cancelled_future DEADLINE_EXCEEDED after 3 s' "$work/said"
