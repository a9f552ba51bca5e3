"""Real servers of others for the tests: each is started once a run, by whichever test needs it first."""

import contextlib
import json
import os
import pwd
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests import failure_artifacts
from tests.ports import free_port
from tests.processes import running, start
from tests.programs import program
from tests.run_folder import once
from tests.time_limits import seconds, wait_until


def answers(url: str) -> bool:
    """Whether GET url answers 200 right now."""
    try:
        with urllib.request.urlopen(url, timeout=seconds(2)) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def serving(command: Sequence[str], url: str, log: Path) -> Iterator[str]:
    """Run a Prometheus-like server as long as the block lasts; yields its address when ready."""
    with running(command, log) as server:
        wait_until(lambda: server.up() and answers(f"{url}/-/ready"), 30, server.said)
        yield url


def shared(name: str, launch: Callable[[Path], str]) -> str:
    """Address of a server that all test processes use; the end of the run ends it.

    Args:
        name: of its folder.
        launch: starts it with a log in the file `log` of its folder, waits, returns its address.
    """

    def make(folder: Path) -> None:
        (folder / "address.json").write_text(json.dumps(launch(folder)))

    folder = once(name, make)
    failure_artifacts.watch(folder / "log")
    return str(json.loads((folder / "address.json").read_text()))


@pytest.fixture(scope="session")
def mlflow_url() -> str:
    """Address of a real `mlflow server`: SQLite and local artifacts."""
    return shared("mlflow", _mlflow)


def _mlflow(folder: Path) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = start(
        [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.sqlite'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        folder / "log",
        {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    wait_until(lambda: server.up() and answers(f"{url}/health"), 90, server.said)
    return url


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """SQLAlchemy URL of a real PostgreSQL server."""
    return shared("postgres", _postgres)


def _postgres(folder: Path) -> str:
    initdb = program("initdb")
    postgres = program("postgres")
    as_user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data, port = str(folder / "data"), free_port()
    subprocess.run(
        [initdb, "-D", data, "-U", "bellwether", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        timeout=seconds(90),
        **as_user,
    )
    server = start(
        [
            *(postgres, "-D", data, "-h", "127.0.0.1", "-p", str(port)),
            *("-c", "fsync=off", "-c", "unix_socket_directories="),
        ],
        folder / "log",
        cwd=folder,
        **as_user,
    )
    url = f"postgresql+psycopg://bellwether@127.0.0.1:{port}/postgres"
    wait_until(lambda: server.up() and _connects(url), 60, server.said)
    return url


def _connects(url: str) -> bool:
    engine = create_engine(url, poolclass=NullPool)
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def pytest_configure() -> None:
    """Give MLflow's client the time this machine needs; steps in other processes inherit it."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", f"{seconds(20):.0f}")
