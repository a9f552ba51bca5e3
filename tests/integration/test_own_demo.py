"""A demo on its user's own files and own MLflow: what it trains on, again, and what it leaves alone."""

import signal
import uuid
from pathlib import Path

import httpx
import pytest

from forecasting.adapters.registry.reader import RegistryReader
from tests.integration.test_demo import Demo
from tests.releases import ROOT
from tests.servers import answers
from tests.time_limits import seconds, wait_until

QUICK = ("--candidates", "random_walk,ridge", "--folds", "3")
PRICES = ROOT / "examples" / "acme.csv"


@pytest.fixture(scope="module")
def demo(tmp_path_factory, mlflow_url):
    running = Demo(
        tmp_path_factory.mktemp("demo"),
        *("--source", "files", "--files", str(PRICES)),
        BELLWETHER_REGISTRY_URL=mlflow_url,
        BELLWETHER_REGISTERED_MODEL=f"own-{uuid.uuid4().hex[:8]}",
        BELLWETHER_RELOAD_SECONDS="0.5",
        BELLWETHER_REFUSE_AFTER_SECONDS="1e9",  # the file ends when it ends
    )
    try:
        running.wait()
        yield running
    finally:
        running.server.stop(signal.SIGINT, limit=60)


@pytest.fixture(scope="module")
def registry(demo, mlflow_url):
    with RegistryReader(mlflow_url, demo.env["BELLWETHER_REGISTERED_MODEL"]) as reader:
        yield reader


def test_the_registry_that_the_settings_name_is_used_and_none_is_started(demo, mlflow_url):
    said = " ".join(demo.said().split())
    assert f"MLflow answers at {mlflow_url}: BELLWETHER_REGISTRY_URL names it" in said
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in demo.children()]
    assert commands
    assert not any(b"mlflow\0server" in command for command in commands)
    assert not (demo.state / "mlflow").exists()


def test_a_retraining_starts_from_the_demos_own_files(demo, registry):
    before = {record.version for record in registry.versions()}
    done = demo.run("train", *QUICK, "--seed", "8")
    assert done.returncode in {0, 10}, done.stderr
    assert f"files {PRICES}" in done.stdout.replace("\n", " ").replace("  ", " ")
    made = [record for record in registry.versions() if record.version not in before]
    assert made
    assert {record.dataset for record in registry.versions()} == {"files-1d"}
    assert {registry.specification(record).symbols for record in made} == {("ACME",)}


def test_a_challenger_of_another_data_set_is_refused_before_anything_is_trained(demo, registry):
    before = [record.version for record in registry.versions()]
    done = demo.run("train", "--source", "sample", *QUICK)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "a challenger learns from the champion's data set" in said
    assert "of 'files-1d', this training of 'sample-1d'" in said
    assert "BELLWETHER_DATASET_MAY_CHANGE" in said
    assert [record.version for record in registry.versions()] == before


def test_every_version_of_the_demo_is_listed_and_answers_by_its_number(demo, registry):
    model = f"http://127.0.0.1:{demo.http}/v2/models/{registry.model}"
    numbers = sorted(record.version for record in registry.versions())
    assert len(numbers) > 2
    wait_until(lambda: httpx.get(model).json()["versions"] == numbers, 20)
    symbols = {"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["ACME"]}
    for number in numbers:
        asked = {"json": {"inputs": [symbols]}, "timeout": seconds(20)}
        answer = httpx.post(f"{model}/versions/{number}/infer", **asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model_version"] == number


def test_ctrl_c_leaves_the_registry_alone_that_the_demo_has_not_started(demo, mlflow_url):
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(seconds(60)) == 0
    assert demo.children() == set()
    assert answers(f"{mlflow_url}/health")


def test_a_registry_that_is_named_and_away_is_said_with_the_command_that_starts_one(demo):
    done = demo.run("demo", BELLWETHER_REGISTRY_URL="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "bellwether registry" in " ".join(done.stderr.split())
