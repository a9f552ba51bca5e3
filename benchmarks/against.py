"""Serving of this tree against another one's, such as a worktree at an earlier commit, in one run.

Both servers run at once and hold the same model and features, which the other tree has made. Rounds
of load alternate between them, so that what else the machine does falls on both. What counts is the
server's own CPU time a request: requests a second are the load's as much as the server's.

    git worktree add ../before 78929e3
    python -m benchmarks.against ../before
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.contenders import GRPC_PORT, PORT, ROOT, Contender, Model, bellwether
from benchmarks.processes import Server, launch
from benchmarks.results import add_option, machine, markdown, write

CONNECTIONS: Final = (1, 16)
OURS, OTHER = "this tree", "the other"

_PREPARE: Final = "import pathlib, sys; from benchmarks.serving import prepare; prepare(pathlib.Path(sys.argv[1]))"


def servers(other: Path, folder: Path) -> list[tuple[Contender, int, int]]:
    """Both servers, with their ports for REST and gRPC."""
    state = folder / "state"
    state.mkdir()
    environment = {"PYTHONPATH": str(other), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", _PREPARE, str(state)]
    subprocess.run(command, cwd=other, env=environment, check=True)
    model = Model(state, state / "bundle", row=None)  # type: ignore[arg-type]
    made = []
    for place, (name, tree) in enumerate(((OURS, ROOT), (OTHER, other))):
        rest, grpc = PORT + 10 * place, GRPC_PORT + 10 * place
        ports = {"BELLWETHER_HTTP_PORT": str(rest), "BELLWETHER_GRPC_PORT": str(grpc)}
        one = bellwether(name, model, PYTHONPATH=str(tree), **ports)
        paths = {
            field: getattr(one, field).replace(str(PORT), str(rest)) for field in ("ready", "infer")
        }
        made.append((replace(one, command=[sys.executable, *one.command[1:]], **paths), rest, grpc))
    return made


def measure(
    contenders: list[tuple[Contender, int, int]], folder: Path, rounds: int, seconds: float
) -> list[load.Row]:
    """Every row of every round; the server that goes first changes with the round."""
    running: list[tuple[Server, Contender, int]] = []
    rows = []
    try:
        for one, _, grpc in contenders:
            server = launch(
                one.name.replace(" ", "-"), one.command, one.ready, cwd=folder, env=one.env
            )
            server.name = one.name
            running.append((server, one, grpc))
            load.rest(server, one.infer, one.body, 4, 1, folder)
        for number in range(rounds):
            for connections in CONNECTIONS:
                for server, one, grpc in running if number % 2 else running[::-1]:
                    rows.append(
                        load.rest(server, one.infer, one.body, connections, seconds, folder)
                    )
                    assert one.grpc is not None
                    address = f"127.0.0.1:{grpc}"
                    rows.append(load.grpc(server, address, one.grpc(), connections, seconds))
            print(f"round {number + 1} of {rounds}", flush=True)
    finally:
        for server, _, _ in running:
            server.stop()
    return rows


def table(rows: list[load.Row]) -> list[list[str]]:
    """Per protocol and connections: CPU a request of either, and the ratio of each round."""
    lines = []
    for protocol in ("REST", "gRPC"):
        for connections in CONNECTIONS:
            cost = {
                name: [
                    row.cpu_us
                    for row in rows
                    if (row.server, row.protocol, row.connections) == (name, protocol, connections)
                ]
                for name in (OURS, OTHER)
            }
            ratios = [ours / other for ours, other in zip(cost[OURS], cost[OTHER], strict=True)]
            lines.append(
                [
                    f"{protocol}, {connections}",
                    f"{statistics.median(cost[OURS]):.0f}",
                    f"{statistics.median(cost[OTHER]):.0f}",
                    f"{min(ratios):.2f}",
                    f"{statistics.median(ratios):.2f}",
                    f"{max(ratios):.2f}",
                ]
            )
    return lines


def main() -> None:
    """Measure both, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", type=Path, help="folder of the other tree")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="load per measurement")
    add_option(parser)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark needs wrk on PATH: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        both = servers(arguments.tree.resolve(), folder)
        rows = measure(both, folder, arguments.rounds, arguments.seconds)
    heads = (
        *("protocol, connections", ">this tree, CPU us", ">the other, CPU us"),
        *(">ratio, least", ">median", ">most"),
    )
    text = "\n\n".join(
        ["# This tree against another", machine(), __doc__ or "", markdown(heads, table(rows))]
    )
    write("against", text, [vars(row) for row in rows], arguments.out)


if __name__ == "__main__":
    main()
