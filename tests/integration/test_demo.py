"""The whole platform as a new user meets it: the demo, its command line, and its end."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from forecasting.bundle.signature import TrustedKeys
from tests.ports import free_port
from tests.processes import start
from tests.servers import answers
from tests.time_limits import seconds, wait_until

SYMBOLS = "AAPL,NFLX"


class Demo:
    """A running demo, started as a user starts it."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.http, self.grpc, self.page = free_port(), free_port(), free_port()
        self.state = folder / "state"
        self.env = {
            **os.environ,
            "BELLWETHER_STATE_DIR": str(self.state),
            "BELLWETHER_HTTP_PORT": str(self.http),
            "BELLWETHER_GRPC_PORT": str(self.grpc),
            "BELLWETHER_PAGE_PORT": str(self.page),
            "BELLWETHER_INFERENCE_URL": f"http://127.0.0.1:{self.http}",
            "BELLWETHER_INFERENCE_TIMEOUT_SECONDS": str(seconds(10)),
            **settings,
        }
        self.folder = folder
        self.server = start(
            self.command("demo", *options),
            folder / "output.txt",
            self.env,
            cwd=folder,
            # Where the tests run in the background, Ctrl-C is ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.process, self.said = self.server.process, self.server.said

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "bellwether", *words]

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env={**self.env, "COLUMNS": "140", **env},
            capture_output=True,
            text=True,
            timeout=seconds(120),
            check=False,
        )

    def wait(self) -> None:
        """Until it says that it is ready."""
        wait_until(lambda: self.server.up() and "Ready after" in self.said(), 240, self.said)

    def children(self) -> set[int]:
        listing = subprocess.run(
            ["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True
        ).stdout
        mine = str(self.state)
        return {
            pid
            for line in listing.splitlines()
            if (pid := int(line.split()[0])) != self.process.pid and _belongs(pid, mine)
        }


def _belongs(pid: int, state: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return f"BELLWETHER_STATE_DIR={state}" in environment


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    running = Demo(tmp_path_factory.mktemp("demo"), "--symbols", SYMBOLS)
    try:
        running.wait()
        yield running
    finally:
        running.server.stop(signal.SIGINT, limit=60)


def test_the_page_and_every_printed_address_answer(demo):
    assert answers(f"http://127.0.0.1:{demo.page}/")
    assert answers(f"http://127.0.0.1:{demo.http}/v2/health/ready")
    with urlopen(f"http://127.0.0.1:{demo.http}/metrics") as metrics:
        assert "bellwether_model_info" in metrics.read().decode()


def test_every_step_was_told_and_the_replay_is_called_one(demo):
    said = demo.said()
    for step in ("ingest", "features", "train xgboost", "evaluate", "register", "publish"):
        assert step in said
    assert "historical prices" in said
    assert "Promoted har_combination is champion" in " ".join(said.split())


def test_the_command_prints_a_forecast_and_draws_its_fan_chart(demo, tmp_path):
    picture = tmp_path / "aapl.png"
    done = demo.run("forecast", "AAPL", "--days", "5", "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "historical replay" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_symbol_is_named_with_those_there_are(demo):
    done = demo.run("forecast", "NOPE")
    assert done.returncode == 2
    assert "NOPE" in done.stderr
    assert "AAPL" in done.stderr


def test_the_doctor_finds_every_connection_in_order(demo):
    registry = next(line for line in demo.said().splitlines() if "MLflow answers at" in line)
    done = demo.run("doctor", BELLWETHER_REGISTRY_URL=registry.split()[-1])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_foreign_client_gets_metadata_and_forecasts(demo, protocol):
    port = demo.http if protocol == "http" else demo.grpc
    program = Path(__file__).with_name("triton_forecast.py")
    done = subprocess.run(
        [sys.executable, str(program), protocol, str(port), "NFLX", "AAPL"],
        capture_output=True,
        text=True,
        timeout=seconds(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["live"]
    assert found["ready"]
    assert {"symbols", "horizon"} <= set(found["inputs"])
    assert "quantiles" in found["outputs"]
    assert set(found["signal"]) <= {"buy", "hold", "sell"}
    quantiles, last = np.array(found["quantiles"]), np.array(found["last_close"])
    assert quantiles.shape == (2, 7, 5)
    assert (np.diff(quantiles, axis=2) > 0).all()
    assert (quantiles[:, 0, 0] < last).all()
    assert (last < quantiles[:, 0, 4]).all()


def test_past_forecasts_are_logged_and_judged_out_of_sample(demo):
    log = sqlite3.connect(f"file:{demo.state / 'predictions.sqlite'}?mode=ro", uri=True)
    rows = log.execute("select count(*), count(distinct as_of) from predictions").fetchone()
    log.close()
    assert rows[0] >= 2 * 59
    assert rows[1] >= 59
    metrics = (demo.state / "metrics" / "drift.prom").read_text()
    assert "bellwether_realised_coverage" in metrics
    assert "bellwether_job_last_success_timestamp_seconds" in metrics


def test_a_second_demo_in_the_same_folder_is_refused(demo):
    done = demo.run("demo")
    assert done.returncode == 2
    assert "one demo at a time" in done.stderr


def test_the_served_version_is_the_champion_that_the_gates_promoted(demo):
    with contextlib.closing(sqlite3.connect(demo.state / "predictions.sqlite")) as ledger:
        promotions = ledger.execute(
            "SELECT from_version, to_version FROM promotions ORDER BY number"
        )
        assert promotions.fetchall() == [("", "1"), ("1", "2")]
    with urlopen(f"http://127.0.0.1:{demo.http}/v2/models/bellwether/ready") as answer:
        assert json.load(answer)["version"] == "2"


def test_every_version_is_signed_by_a_key_of_the_state_folder_and_the_ledger_names_it(demo):
    done = demo.run("key")
    assert "signing.pem is there" in done.stdout.replace("\n", "")
    (trusted,) = TrustedKeys((demo.state / "keys" / "trusted.pem").read_bytes()).ids
    with contextlib.closing(sqlite3.connect(demo.state / "predictions.sqlite")) as ledger:
        assert ledger.execute("SELECT DISTINCT signer FROM promotions").fetchall() == [(trusted,)]


def test_a_page_that_is_killed_comes_back_and_it_is_said(demo):
    (page,) = (
        pid
        for pid in demo.children()
        if b"bellwether\0page" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(page, signal.SIGKILL)
    wait_until(lambda: "The page is started again: it ended by SIGKILL" in demo.said(), 30)
    wait_until(lambda: answers(f"http://127.0.0.1:{demo.page}/"), 60, demo.said)


def test_ctrl_c_stops_everything_and_leaves_no_process(demo):
    assert demo.children()
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(seconds(60)) == 0
    assert "Everything is stopped" in demo.said()
    assert demo.children() == set()
    assert not answers(f"http://127.0.0.1:{demo.http}/v2/health/live")


def test_afterwards_the_registry_alone_is_one_command_which_the_error_names(demo, tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    lonely = demo.run("drift", BELLWETHER_REGISTRY_URL=url)
    assert lonely.returncode == 3
    assert "bellwether registry" in lonely.stderr.replace("\n", " ")
    registry = start(
        demo.command("registry"),
        tmp_path / "registry.txt",
        {**demo.env, "BELLWETHER_REGISTRY_URL": url},
        cwd=demo.folder,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: "Ctrl-C stops it" in registry.said(), 90, registry.said)
        assert answers(f"{url}/health")
    finally:
        registry.stop(signal.SIGINT, limit=60)
    assert "MLflow is stopped" in registry.said()
    assert not answers(f"{url}/health")
