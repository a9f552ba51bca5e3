"""Sick canaries are withdrawn before users meet them, or soon; a rollout that is killed does no harm."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.faults import container_of, kill
from tests.e2e.figures import Figures
from tests.e2e.load import Load
from tests.e2e.stage import DESPITE, ROLLED_BACK, Versions, both, pods_of
from tests.e2e.warm_command import ROOT
from tests.time_limits import seconds

SERVER = "kserve-container"
CONFLICT = 5
SLOWLY = ("--steps", "10,100", "--minutes", "2")
"""Long enough for a judgement: a canary that is found well at its first step would get everything."""


@pytest.fixture
def canary(cluster: Cluster, versions: Versions) -> Iterator[Versions]:
    """The stable version has everything, the candidate runs beside it, before and after."""
    both(cluster, versions)
    yield versions
    both(cluster, versions)


@contextlib.contextmanager
def standing_still(cluster: Cluster, version: int) -> Iterator[None]:
    """The version's servers stand still for 900 of every 1,000 ms."""
    assert cluster.node is not None
    pods = cluster.ready_pods(pods_of(version))
    servers = [container_of(cluster, pod, SERVER)["containerID"] for pod in pods]
    with cluster.node.stalled(servers, still=0.9, moving=0.1):
        yield


@contextlib.contextmanager
def killed(cluster: Cluster, version: int) -> Iterator[None]:
    """One of the version's servers is killed once it has requests."""

    def later() -> None:
        eventually("it has requests", lambda: cluster.weights().get(version), seconds=60, every=1.0)
        kill(cluster, cluster.ready_pods(pods_of(version))[0], SERVER)

    killing = threading.Thread(target=later)
    killing.start()
    try:
        yield
    finally:
        killing.join()


@pytest.mark.parametrize(("sick", "most"), [(standing_still, 2), (killed, 12)])
def test_a_canary_that_is_sick_is_withdrawn_and_few_users_or_none_meet_it(
    cluster: Cluster,
    canary: Versions,
    figures: Figures,
    sick: Callable[[Cluster, int], contextlib.AbstractContextManager[None]],
    most: float,
) -> None:
    if cluster.node is None:
        pytest.skip("signals need the machine under the cluster; here is none")
    name = sick.__name__.replace("_", " ")
    with Load(cluster.forecasts, rate=30) as load:
        load.watch("before", 3)
        with sick(cluster, canary.candidate), load.window("rollout"):
            words = (str(canary.candidate), *SLOWLY, *DESPITE)
            ended = cluster.rollout("run", *words, seconds=400)
        load.watch("after", 5)
    met = load.report.within("rollout").share(canary.candidate)
    figures.record("canary", f"{name}: begun until withdrawn", ended.seconds, "s")
    figures.record("canary", f"{name}: answers it gave users", met, "%", wanted=f"<= {most}")
    figures.record("canary", f"{name}: failed requests", load.report.failed, wanted="0")
    assert ended.code == ROLLED_BACK, ended.output
    assert cluster.weights() == {canary.stable: 100, canary.candidate: 0}
    assert met <= most, str(load.report)
    assert load.report.failed == 0, str(load.report)
    assert load.report.within("after").share(canary.stable) == 100
    assert cluster.versions()[canary.candidate]["tags"]["rollout"] == "rolled back"


@contextlib.contextmanager
def rollout_under_way(cluster: Cluster, version: int) -> "Iterator[subprocess.Popen[str]]":
    """A rollout of the version in a session of its own, from the moment it has weight."""
    command = [
        sys.executable,
        "-m",
        "bellwether",
        "rollout",
        "run",
        str(version),
        *SLOWLY,
        *DESPITE,
    ]
    running = subprocess.Popen(
        [*command, "--namespace", cluster.namespace],
        env=cluster.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        eventually("it has its first weight", lambda: cluster.weights().get(version), seconds=90)
        time.sleep(3)  # for a first round of questions, and the connections these need
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process of this machine that has not ended."""
    listed = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,ppid=,stat=,args="],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if not row[2].startswith("Z")}


def descendants(identity: int) -> dict[int, str]:
    """Command lines of the processes that one has started, and those that these have started."""
    running = processes()
    found: dict[int, str] = {}
    parents = {identity}
    while parents:
        children = {number for number, (parent, _) in running.items() if parent in parents}
        found |= {number: running[number][1] for number in children}
        parents = children
    return found


def test_a_rollout_that_is_killed_leaves_no_process_and_the_same_command_goes_on(
    cluster: Cluster, canary: Versions
) -> None:
    with Load(cluster.forecasts, rate=30) as load:
        with rollout_under_way(cluster, canary.candidate) as running:
            started = descendants(running.pid)
            assert any("port-forward" in command for command in started.values()), started
            running.kill()
            eventually("none is left", lambda: not started.keys() & processes().keys(), seconds=10)
        assert cluster.weights() == {canary.stable: 90, canary.candidate: 10}
        again = cluster.rollout("run", str(canary.candidate), *DESPITE, seconds=400).expect()
    assert "25 %" in again.output, again.output
    assert cluster.weights() == {canary.stable: 0, canary.candidate: 100}
    assert load.report.failed == 0, str(load.report)


def test_weights_that_somebody_else_sets_end_a_rollout_and_stay(
    cluster: Cluster, canary: Versions
) -> None:
    tags = cluster.versions()[canary.candidate]["tags"].get("rollout")
    with rollout_under_way(cluster, canary.candidate) as running:
        cluster.rollout("weight", str(canary.candidate), "40", *DESPITE).expect()
        said, _ = running.communicate(timeout=seconds(90))
    assert running.returncode == CONFLICT, said
    assert "nobody else may change the weights while a rollout runs" in said
    assert cluster.weights() == {canary.stable: 60, canary.candidate: 40}
    now = cluster.versions()[canary.candidate]["tags"].get("rollout")
    assert now in {tags, "serving"}, "the canary did nothing wrong"
