"""Everything at work, watched from inside: the first training, refresh, drift, load, readers."""

import json
import time
from dataclasses import dataclass

import httpx

from tests.e2e.cluster import DOMAIN, GATEWAY_PORT, Cluster, eventually
from tests.e2e.connections import Report, Watch
from tests.e2e.figures import Figures
from tests.e2e.grpc_calls import server_ready
from tests.e2e.load import Load
from tests.e2e.load import Report as Answers
from tests.e2e.stage import TRAINING_JOB, Versions, train, trained
from tests.time_limits import seconds

JOBS = ("refresh", "drift")
RATE = 10
"""Requests a second, too few for the autoscaler: pods it would start take the CPU that the jobs need."""


@dataclass(frozen=True)
class AtWork:
    """What came of it.

    Attributes:
        versions: what the training has made.
        seen: containers and connections.
        answers: forecasts meanwhile.
    """

    versions: Versions
    seen: Report
    answers: Answers


def watched(cluster: Cluster, figures: Figures) -> AtWork:
    """Train, roll out, refresh, measure drift and read the page, and see who speaks to whom."""
    jobs = {f"e2e-watched-{job}": f"bellwether-{job}" for job in JOBS}
    with Watch(cluster) as watch:
        if len(cluster.versions()) >= 2:
            # Trained in an earlier run on this cluster: what trains is to be seen all the same.
            cluster.delete("job", TRAINING_JOB)
            train(cluster, figures)
        versions = trained(cluster, figures)
        with Load(cluster.forecasts, rate=RATE) as load:
            assert server_ready()
            for name, cronjob in jobs.items():
                cluster.start_job(cronjob, name)
            for name in jobs:
                cluster.finish_job(name, seconds=240)
            read_the_page(cluster, versions.stable)
    for name in jobs:
        cluster.delete("job", name)
    return AtWork(versions, watch.report, load.report)


PRESSED: dict[str, list[object]] = {
    "_forecast_or_last": ["AAPL", 5, "champion", ""],
    "_feed": [None],
}
"""Handlers of the page, as gradio names them, and their inputs; test_app.py holds them to the page."""


def read_the_page(cluster: Cluster, version: int) -> None:
    """What a reader of the page makes it ask of the others."""
    for path in ("/", "/reports/drift/features", f"/reports/walk-forward/{version}"):
        # While jobs keep both cores busy, the page may say in words that it waited too long.
        eventually(
            f"the page answers {path}",
            lambda path=path: cluster.page_request(path).status_code == httpx.codes.OK,
            seconds=60,
            every=2,
        )
    known = {
        one["api_name"]: one["id"] for one in cluster.page_request("/config").json()["dependencies"]
    }
    for name, data in PRESSED.items():
        press(known[name], data)


def press(number: int, data: list[object]) -> None:
    """What a browser does when its reader presses something; waits for what the page then shows."""
    session = f"e2e{time.monotonic_ns()}"
    address, host = f"http://127.0.0.1:{GATEWAY_PORT}/gradio_api/queue", {"host": DOMAIN}
    asked = {"data": data, "fn_index": number, "session_hash": session}
    with httpx.Client(headers=host, timeout=seconds(30)) as client:
        assert client.post(f"{address}/join", json=asked).status_code == 200
        with client.stream("GET", f"{address}/data", params={"session_hash": session}) as events:
            done = next(line for line in events.iter_lines() if "process_completed" in line)
    assert json.loads(done.removeprefix("data:"))["success"], done
