"""A shadow on the cluster: copies of every request, no weight, and both versions' answers compared."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.cluster import ROLLOUT, eventually
from tests.e2e.load import Load, ask
from tests.e2e.stage import DESPITE, both
from tests.releases import ROOT

RATE = 30.0
"""Requests a second: what is measured is what copies cost users, not how much a version can do."""

SECONDS = 30


@pytest.fixture
def beside(cluster, versions):
    """The stable version has everything, the candidate runs beside it; afterwards nothing is copied."""
    both(cluster, versions)
    yield versions
    cluster.rollout("shadow", "--stop")


def reported(done):
    """The report of a shadow; progress, which --json sends to stderr, stands before it."""
    return json.loads(done.output[done.output.index("{\n") :])


def users_requests(cluster, version):
    """Requests that judges and alerts count for a version."""
    series = (
        f'bellwether_request_duration_seconds_count{{inferenceservice="bellwether-v{version}"}}'
    )
    return sum(value for _, value in cluster.prometheus_query(series))


def test_a_shadow_answers_what_users_ask_and_nobody_fails_or_notices(cluster, beside, figures):
    stable, candidate = beside.stable, beside.candidate
    with Load(cluster.forecasts, rate=RATE) as load:
        load.watch("without", SECONDS)
        before = users_requests(cluster, candidate)
        with load.window("shadow"):
            done = cluster.rollout(
                *("shadow", str(candidate), "--percent", "100", "--json"),
                *("--minutes", str(SECONDS / 60)),
            )
    done.expect()
    report = reported(done)
    answers, cost = report["comparison"], report["cost"]
    asked = load.report
    assert asked.failed == 0, str(asked)
    assert set(asked.versions) == {str(stable)}, str(asked)
    assert cluster.weights() == {stable: 100, candidate: 0}
    assert cluster.status()["shadow"] is None
    assert answers["versions"] == [str(stable)]
    assert answers["joined"] > 0.9 * RATE * SECONDS, report
    assert answers["differences"], report
    assert answers["repeated"] == 0, report
    assert cost["copies"].get("200", 0) > 0, report
    # The shadow's pods were asked by no user, and say so.
    assert users_requests(cluster, candidate) == before
    without, during = asked.within("without"), asked.within("shadow")
    figures.record("shadow", "requests under load", asked.sent)
    figures.record("shadow", "failed of them", asked.failed, wanted="0")
    figures.record("shadow", "answered by both", answers["joined"])
    figures.record("shadow", "no answer of the shadow", answers["only_users"])
    figures.record("shadow", "p99 without", 1000 * without.p99, "ms")
    figures.record("shadow", "p99 with", 1000 * during.p99, "ms")
    figures.record("shadow", "p99 with / without", during.p99 / without.p99, wanted="<= 1.1")
    figures.record("shadow", "p50 with / without", during.p50 / without.p50)
    figures.record("shadow", "CPU of the shadow's pods", cost["shadow_cpu"] or 0.0, "s")
    figures.remark(f"shadow: {answers['differences'][0]}")


def test_what_a_shadow_answered_is_in_no_users_log_and_joined_by_the_gateways_id(cluster, beside):
    with Load(cluster.forecasts, rate=RATE):
        done = cluster.rollout(
            *("shadow", str(beside.candidate), "--percent", "50", "--minutes", "0.2", "--json")
        )
    report = reported(done.expect())
    answers = report["comparison"]
    share = answers["joined"] / (answers["joined"] + answers["only_users"])
    assert 0.3 < share < 0.7, report
    rows = cluster.database_query(
        "SELECT model_version, shadow, count(*) AS rows FROM predictions "
        "WHERE gateway_id IS NOT NULL GROUP BY model_version, shadow"
    )
    told = {(row["model_version"], row["shadow"]) for row in rows}
    assert (str(beside.candidate), "t") in told, rows
    assert (str(beside.candidate), "") not in told, rows
    assert (str(beside.stable), "t") not in told, rows


def left_behind(cluster, version):
    """A command that copies requests is killed, as by a power cut, once it does."""
    command = (sys.executable, "-m", "bellwether", "rollout", "shadow", str(version))
    running = subprocess.Popen(
        [*command, "--namespace", cluster.namespace, "--minutes", "10"],
        env=cluster.environment,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return eventually(
            "requests are copied", lambda: cluster.status()["shadow"], seconds=120, every=1
        )
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def test_a_shadow_whose_command_was_killed_is_seen_and_ended(cluster, beside):
    shadow = left_behind(cluster, beside.candidate)
    assert (shadow["version"], shadow["percent"]) == (beside.candidate, 100)
    assert ask(cluster.forecasts, 50).failed == 0
    done = cluster.rollout("shadow", "--stop").expect()
    assert f"Version {beside.candidate} had copies" in done.output
    assert cluster.status()["shadow"] is None


def test_a_shadow_that_gets_requests_of_its_own_gets_no_copies_and_no_request_fails(
    cluster, beside
):
    candidate = beside.candidate
    with Load(cluster.forecasts, rate=RATE) as load:
        left_behind(cluster, candidate)
        cluster.rollout("weight", str(candidate), "10", *DESPITE).expect()
        assert cluster.status()["shadow"] is None
        cluster.rollout("weight", str(candidate), "0").expect()
    assert load.report.failed == 0, str(load.report)


def test_the_rollouts_account_may_copy_requests_to_versions_and_nowhere_else(cluster, beside):
    route = cluster.get("httproute", "bellwether-forecast")
    rules = route["spec"]["rules"]

    def tried(name):
        mirror = {"backendRef": {"kind": "Service", "name": name, "port": 80}}
        spoiled = {"filters": [{"type": "RequestMirror", "requestMirror": mirror}]}
        patch = {"spec": {"rules": [{**rules[0], **spoiled}, *rules[1:]]}}
        return cluster.run(
            *("kubectl", "--namespace", cluster.namespace, f"--as={ROLLOUT}", "patch"),
            *("httproute", "bellwether-forecast", "--type=merge", "--dry-run=server"),
            f"--patch={json.dumps(patch)}",
        )

    tried(f"bellwether-v{beside.candidate}-predictor").expect()
    refused = tried("bellwether-mlflow")
    assert refused.code != 0
    assert "may only copy requests to versions of its model" in refused.output


def test_nothing_is_left_on_the_route(cluster, versions):
    both(cluster, versions)
    eventually(
        "no rule copies requests",
        lambda: (
            "filters" not in cluster.get("httproute", "bellwether-forecast")["spec"]["rules"][0]
        ),
        seconds=30,
    )
