"""A real server under callers who would hold it up: it keeps its memory, and answers the others.

The load is bounded, on the loopback, and against a server of the test's own. How long answers take
meanwhile is measured by benchmarks/held_up.py.
"""

import threading
import time

import pytest

from benchmarks.held_up import LOADS
from tests.integration.test_server import Load, running
from tests.served_models import make_bundle, make_features, publish
from tests.time_limits import wait_until

pytestmark = pytest.mark.integration

MEMORY_MB = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held-up")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    with running(folder, HTTP_CONNECTIONS=128) as server:
        server.wait()
        with Load(server.url) as load:
            wait_until(lambda: load.asked > 200, 20)
        yield server


class Health:
    """Asks whether the server lives, on new connections, until it is stopped."""

    def __init__(self, server):
        self.server, self.answers = server, []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.wait(0.02):
            self.answers.append(self.server.get("/v2/health/live")[0])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


@pytest.mark.parametrize("load", LOADS)
def test_whoever_would_hold_the_server_up_costs_little_memory_and_no_answer(server, load):
    before = server.resident_mb()
    most = 0
    with Health(server) as health, Load(server.url, threads=2) as others:
        callers = [threading.Thread(target=load, args=(server.http_port,)) for _ in range(2)]
        for caller in callers:
            caller.start()
        while any(caller.is_alive() for caller in callers):
            most = max(most, server.resident_mb())
            time.sleep(0.02)
        asked = others.asked
        wait_until(lambda: others.asked > asked and health.answers, 20)
    assert set(health.answers) == {200}
    assert others.failed == []
    assert max(most, server.resident_mb()) - before < MEMORY_MB
