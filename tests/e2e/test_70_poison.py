"""A poisoned bundle becomes no pod that serves, runs nothing of itself, and raises an alert."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.cluster import Outcome, eventually
from tests.e2e.load import Load, Report
from tests.e2e.poison import MARKER, PICKLE, POISONS, Poison, bundle_of, registered
from tests.e2e.stage import DESPITE, both, wait_for_answers

ALERT = 'ALERTS{alertname="BellwetherBundleRejected", alertstate="firing"}'


@pytest.fixture(scope="module")
def served(cluster, versions):
    """The stable version, with everything, answering."""
    both(cluster, versions)
    wait_for_answers(cluster, versions.stable)
    return versions.stable


@contextlib.contextmanager
def one_pod_each(cluster):
    """In the block a new version has one pod: a second of the same bundle would prove nothing."""
    name, key = "bellwether-rollout", "inferenceservice.yaml"

    def write(text):
        cluster.kubectl("patch", "configmap", name, f"--patch={json.dumps({'data': {key: text}})}")

    usual = cluster.get("configmap", name)["data"][key]
    assert usual.count("minReplicas: 2") == 1
    write(usual.replace("minReplicas: 2", "minReplicas: 1"))
    try:
        yield
    finally:
        write(usual)


@dataclass(frozen=True)
class Attempt:
    """What became of one poisoned version.

    Attributes:
        outcome: of `rollout start`.
        was_ready: whether a pod of it was ever seen ready.
        alert_seconds: from the start until the alert fired for it.
        insides: (markers, commands) in each of its containers.
        weight: on the route.
    """

    outcome: Outcome
    was_ready: bool
    alert_seconds: float | None
    insides: list[tuple[list[str], list[str]]]
    weight: int


@pytest.fixture(scope="module")
def attempts(cluster, versions, served) -> tuple[dict[str, Attempt], Report]:
    """Every poisoned bundle, started as a version beside the stable one, under load."""
    known = cluster.versions()
    model = known[versions.stable]
    good, other = bundle_of(cluster, model), bundle_of(cluster, known[versions.candidate])
    assert hashlib.sha256(good["manifest.json"]).hexdigest() == model["tags"]["bundle_digest"]
    with one_pod_each(cluster), contextlib.ExitStack() as stack:
        numbers = {
            poison.name: stack.enter_context(
                registered(cluster, model, *stored(poison, good, other))
            )
            for poison in POISONS
        }
        pool = stack.enter_context(ThreadPoolExecutor(len(numbers)))
        with Load(cluster.forecasts) as load:
            try:
                found = observe(cluster, numbers, pool)
            finally:
                for done in [
                    pool.submit(cluster.rollout, "delete", str(one)) for one in numbers.values()
                ]:
                    done.result()
        return found, load.report


def stored(poison: Poison, good, other):
    """(files, digest that the registry promises)"""
    files = poison.tamper(good, other)
    promised = files if poison.registered else good
    return files, hashlib.sha256(promised["manifest.json"]).hexdigest()


def observe(cluster, numbers, pool):
    """Start them all at once; look until each has failed and its alert fires, or time is up."""
    began = time.monotonic()
    words = ("--weight", "10", "--timeout", "100", *DESPITE)
    starts = {
        name: pool.submit(cluster.rollout, "start", str(number), *words)
        for name, number in numbers.items()
    }
    ready, alerts = set(), {}
    services = {f"bellwether-v{number}": name for name, number in numbers.items()}
    while time.monotonic() - began < 150:
        for labels, _ in cluster.prometheus_query(ALERT):
            if (name := services.get(labels["inferenceservice"])) and name not in alerts:
                alerts[name] = time.monotonic() - began
        for pod in cluster.pods("app.kubernetes.io/component=model"):
            service = pod["metadata"]["labels"]["serving.kserve.io/inferenceservice"]
            if any(one["ready"] for one in pod["status"].get("containerStatuses", [])):
                ready.add(services.get(service))
        if len(alerts) == len(numbers) and all(start.done() for start in starts.values()):
            break
        time.sleep(1)
    weights = cluster.weights()
    return {
        name: Attempt(
            outcome=starts[name].result(),
            was_ready=name in ready,
            alert_seconds=alerts.get(name),
            insides=[*inside(cluster, f"bellwether-v{number}")],
            weight=weights.get(number, 0),
        )
        for name, number in numbers.items()
    }


def inside(cluster, service):
    """What lies and runs in each server of this InferenceService."""
    look = (
        "import json, os\n"
        f"marks = [os.path.join(f, '{MARKER}') for f in"
        " ('/', '/app', '/tmp', '/var/lib/bellwether', '/mnt/models')]\n"
        "commands = []\n"
        "for one in filter(str.isdigit, os.listdir('/proc')):\n"
        "    if int(one) != os.getpid():\n"
        "        commands.append(open(f'/proc/{one}/cmdline').read().replace('\\0', ' ').strip())\n"
        "print(json.dumps([[m for m in marks if os.path.exists(m)], commands]))\n"
    )
    for pod in cluster.pods(f"serving.kserve.io/inferenceservice={service}"):
        running = [
            one["name"]
            for one in pod["status"].get("containerStatuses", [])
            if "running" in one["state"]
        ]
        for container in running:
            words = ("exec", pod["metadata"]["name"], "--container", container, "--")
            marks, commands = json.loads(cluster.kubectl(*words, "python", "-c", look))
            yield marks, commands


def test_the_payload_is_real(tmp_path):
    """Unpickled, it leaves its mark: so no mark in a pod means that nobody unpickled it."""
    (tmp_path / "model.onnx").write_bytes(PICKLE)
    subprocess.run(
        [sys.executable, "-c", "import pickle; pickle.load(open('model.onnx', 'rb'))"],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "POISON_FOLDER": str(tmp_path)},
    )
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.name)
def test_a_poisoned_bundle_is_never_served_and_runs_nothing(cluster, attempts, poison):
    attempt = attempts[0][poison.name]
    said = attempt.outcome.output
    assert attempt.outcome.code == 4, said
    assert "bundle" in said.lower(), said
    assert "it got none" in " ".join(said.split()), said
    assert not attempt.was_ready
    assert attempt.weight == 0
    assert attempt.insides, "no container of it ran: nothing was proved"
    for marks, commands in attempt.insides:
        assert marks == []
        assert set(commands) == {"python -m serving.server"}


def test_the_stable_version_served_on_meanwhile(attempts, versions, figures):
    report = attempts[1]
    figures.record("security", "requests while bundles were poisoned", report.sent)
    figures.record("security", "failed of them", report.failed, wanted="0")
    assert report.failed == 0, str(report)
    assert report.versions == {str(versions.stable): report.sent}


def test_an_alert_says_so_within_two_minutes(attempts, figures):
    took = {name: attempt.alert_seconds for name, attempt in attempts[0].items()}
    assert None not in took.values(), took
    figures.record(
        "security", "start to BundleRejected, slowest", max(took.values()), "s", wanted="<= 120"
    )
    assert max(took.values()) <= 120


def test_afterwards_nothing_of_them_is_left(cluster, versions, attempts):
    eventually(
        "only the stable version runs",
        lambda: (
            {
                pod["metadata"]["labels"]["bellwether.io/model-version"]
                for pod in cluster.pods("app.kubernetes.io/component=model")
            }
            <= {str(versions.stable), str(versions.candidate)}
        ),
        seconds=60,
    )
    assert set(cluster.weights()) <= {versions.stable, versions.candidate}
    assert cluster.page_request("/").status_code == httpx.codes.OK
