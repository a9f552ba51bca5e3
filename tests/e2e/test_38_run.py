"""A canary that goes through every step by itself, and one that never becomes ready."""

import time

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.load import Load
from tests.e2e.poison import registered
from tests.e2e.stage import DESPITE, both


@pytest.fixture
def canary(cluster, versions):
    """The stable version has everything, the candidate runs beside it."""
    both(cluster, versions)
    return versions


def test_a_canary_that_never_becomes_ready_gets_no_weight_and_says_why(
    cluster, canary, lost_version
):
    with Load(cluster.forecasts) as load:
        words = (str(lost_version), "--weight", "10", *DESPITE)
        failed = cluster.rollout("start", *words, seconds=400)
    assert failed.code != 0, failed.output
    said = failed.output.lower()
    assert "storage" in said or "bundle" in said, failed.output
    assert cluster.weights().get(lost_version, 0) == 0
    assert load.report.failed == 0, str(load.report)
    assert load.report.share(canary.stable) == 100
    cluster.rollout("delete", str(lost_version)).expect()


@pytest.fixture
def lost_version(cluster, versions):
    """A registered version whose bundle is not in the store."""
    model = cluster.versions()[versions.candidate]
    with registered(cluster, model, {}, "0" * 64) as version:
        yield version


def test_run_takes_a_canary_through_every_step_by_itself(cluster, canary, figures):
    with Load(cluster.forecasts) as load:
        start = time.monotonic()
        ended = cluster.rollout("run", str(canary.candidate), seconds=400).expect()
        figures.record("canary", "rollout run to 100 %", time.monotonic() - start, "s")
    assert load.report.failed == 0, str(load.report)
    assert cluster.weights().get(canary.candidate) == 100, ended.output
    tags = eventually(
        "the registry knows the outcome",
        lambda: cluster.versions()[canary.candidate]["tags"].get("rollout"),
        seconds=10,
    )
    assert tags == "serving"
