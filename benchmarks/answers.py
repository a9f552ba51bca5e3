"""What one answer costs on this tree and on another one, such as a worktree at an earlier commit.

Kept: the forecast is kept, and only written out. Computed: the model runs for every request. Both are
measured for a model that learns where the return lies (XGBoost) and for one that learns how wide the
interval is (har_combination), each trained with default parameters by the tree that answers.
A request goes through the whole of the application, from bytes to bytes, without a socket. What
counts is the CPU time of the thread that answers, in short rounds that alternate. What else the
machine does falls on all of them and can only add, by cold caches and shared cores; so beside the
median of the rounds' ratios stands the ratio of the lowest tenths, which holds on a busy machine.

    git worktree add ../before 2cfd5b1
    python -m benchmarks.answers ../before
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.results import TOP, add_option, machine, markdown, write

PATHS: Final = ("kept", "computed")
LOCATION, WIDTH = "xgboost", "har_combination"
REQUESTS: Final = 50
"""Requests of a round: 2 to 20 ms, in which little else comes in between."""

COMPARED: Final = (
    ("kept", LOCATION, LOCATION),
    ("computed", LOCATION, LOCATION),
    ("kept", WIDTH, LOCATION),
    ("computed", WIDTH, LOCATION),
    ("computed", WIDTH, WIDTH),
)
"""Path, kind on this tree, kind on the other: the ratios that are told."""


# what runs in either tree, by its own code


def prepare(folder: Path, kind: str) -> None:
    """Train a candidate on six years of made-up prices; publish it and its features."""
    from datetime import UTC, datetime, timedelta

    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.open import open_source
    from forecasting.bundle.bundle import write_bundle
    from forecasting.features.build import build_features
    from forecasting.features.online import serve_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import SignalRule, horizon_returns
    from forecasting.features.variance import WINDOWS
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples
    from forecasting.prices.calendar import horizon_times
    from forecasting.prices.quality.judge import judge
    from forecasting.settings import Settings

    now = datetime.now(UTC)
    symbols = ["SYN1", "SYN2", "SYN3", "SYN4"]
    source = open_source("synthetic", Settings(state_dir=folder))
    start = (now - timedelta(days=6 * 365)).date()
    judged = judge(source.fetch(symbols, start, None, "1d").bars, now=now)
    about: dict[str, Any] = {"source": "synthetic", "replay": False, "synthetic": True}
    lake = Lake(Settings(state_dir=folder).lake)
    snapshot = lake.append("default", judged, interval="1d", fetched_at=now, **about)
    prices = lake.read(snapshot)
    spec = FeatureSpec(symbols=snapshot.symbols, variance=WINDOWS if kind == WIDTH else ())
    table = build_features(prices, spec)
    examples = Examples.of(table, horizon_returns(prices, range(1, 31)))
    trained = train_on_examples(kind, examples, TrainingConfig(folds=2))
    write_bundle(folder / "bundle", trained, spec, training={}, signal=SignalRule())
    served = serve_features(
        table,
        spec,
        snapshot_id=snapshot.id,
        dataset="default",
        fetched_at=now,
        created_at=now,
        horizon_times=lambda symbol, last: horizon_times(symbol, last, "1d"),
        **about,
    )
    lake.publish_features("default", served)


def work(folder: Path) -> None:
    """Answer rounds: for each line, kept or computed, the microseconds of CPU a request took."""
    import asyncio

    applications = {path: _application(folder, keep=path == "kept") for path in PATHS}
    for path in PATHS:
        asyncio.run(_round(applications[path]))  # the first answer is computed, and imports
    print("ready", flush=True)
    for line in sys.stdin:
        print(asyncio.run(_round(applications[line.strip()])), flush=True)


def _application(folder: Path, *, keep: bool) -> Any:
    from prometheus_client import CollectorRegistry

    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.settings import Settings
    from serving.loader import Loader
    from serving.predictor import Predictor
    from serving.telemetry import Telemetry
    from serving.v2_rest import V2Application

    settings = Settings(
        state_dir=folder,
        bundle_url=str(folder / "bundle"),
        keep_forecasts=keep,
        stale_after_seconds=1e10,
        refuse_after_seconds=1e10,
    )
    log = PredictionLog(settings.prediction_log)
    predictor = Predictor(settings, Telemetry(CollectorRegistry()), log)
    predictor.reload(Loader(settings, lambda *_: None))
    return V2Application(predictor, "0", _nothing)


async def _nothing(*_: Any) -> None:
    raise SystemExit("every path of this benchmark is one of /v2")


async def _round(application: Any) -> float:
    """CPU of this thread a request, in microseconds; what answers runs in it."""
    import time

    body = b'{"inputs": [{"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["SYN2"]}]}'
    path = "/v2/models/bellwether/infer"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"headers": headers, "query_string": b""}
    statuses = set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.add(message.get("status", 200))

    begun = time.thread_time()
    for _ in range(REQUESTS):
        await application(scope, receive, send)
    spent = time.thread_time() - begun
    if statuses != {200}:
        raise SystemExit(f"not every request was answered: {statuses}")
    return spent / REQUESTS * 1e6


# what compares them


@dataclass
class Worker:
    """A process of one tree that holds one model.

    Attributes:
        process: it.
    """

    process: "subprocess.Popen[str]"

    @classmethod
    def start(cls, tree: Path, folder: Path, kind: str) -> "Worker":
        """Train, then hold the model ready."""
        folder.mkdir()
        command = [sys.executable, "-P", str(Path(__file__)), "--folder", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--prepare", kind], cwd=tree, env=environment, check=True)
        process = subprocess.Popen(
            [*command, "--work"],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        made = cls(process)
        made._line()
        return made

    def ask(self, path: str) -> float:
        """Microseconds a request of one round."""
        questions: IO[str] | None = self.process.stdin
        assert questions is not None
        questions.write(path + "\n")
        questions.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker ended before it answered")
        return line.strip()


def rounds_of(workers: dict[tuple[str, str], Worker], rounds: int) -> list[dict[str, Any]]:
    """Every round's cost by tree, kind and path; who goes first changes with the round."""
    found = []
    for number in range(rounds):
        for path in PATHS:
            items = list(workers.items())
            for (tree, kind), worker in items if number % 2 else items[::-1]:
                cost = worker.ask(path)
                found.append(
                    {"round": number, "tree": tree, "kind": kind, "path": path, "us": cost}
                )
    return found


def table(found: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each of COMPARED: costs of the lowest tenth of rounds, and both ratios."""
    cost: dict[tuple[str, str, str], list[float]] = {}
    for one in found:
        cost.setdefault((one["tree"], one["kind"], one["path"]), []).append(one["us"])
    lines = []
    for path, ours, theirs in COMPARED:
        here, there = cost["this tree", ours, path], cost["the other", theirs, path]
        ratios = [mine / other for mine, other in zip(here, there, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        mine, other = (statistics.quantiles(costs, n=10)[0] for costs in (here, there))
        lines.append(
            [
                *(path, ours, theirs, f"{mine:.1f}", f"{other:.1f}", f"{mine / other:.3f}"),
                f"{middle:.3f} ({low:.3f} to {high:.3f})",
            ]
        )
    return lines


def compare(other: Path, rounds: int, out: Path) -> None:
    """Measure both trees, print and write the table."""
    with tempfile.TemporaryDirectory() as name:
        workers = {
            (tree, kind): Worker.start(folder, Path(name) / f"{place}-{kind}", kind)
            for place, (tree, folder) in enumerate((("this tree", TOP), ("the other", other)))
            for kind in (LOCATION, WIDTH)
        }
        try:
            found = rounds_of(workers, rounds)
        finally:
            for worker in workers.values():
                worker.process.kill()
    heads = (
        *("path", "this tree", "the other", ">this tree, CPU us", ">the other, CPU us"),
        *(">ratio of lowest tenths", ">median of ratios (quartiles)"),
    )
    text = "\n\n".join(["# One answer", machine(), __doc__ or "", markdown(heads, table(found))])
    write("answers", text, found, out)


def main() -> None:
    """Compare, or be one of the workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", type=Path, nargs="?", help="folder of the other tree")
    parser.add_argument("--rounds", type=int, default=201, help="default: %(default)s")
    for option in ("--folder", "--prepare"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    add_option(parser)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(Path(arguments.folder), arguments.prepare)
    elif arguments.work:
        del sys.argv[1:]  # KServe would read them as its own
        work(Path(arguments.folder))
    elif arguments.tree is None:
        parser.error("name the folder of the other tree")
    else:
        compare(arguments.tree.resolve(), arguments.rounds, arguments.out)


if __name__ == "__main__":
    main()
