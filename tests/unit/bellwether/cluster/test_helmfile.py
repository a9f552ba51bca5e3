import pytest

from bellwether.cluster.helmfile import (
    Installed,
    check_skips,
    decide,
    platform_releases,
    unready,
)
from forecasting.errors import InvalidSettings

RELEASES = {release.name: release for release in platform_releases()}
KSERVE = RELEASES["kserve"]
WANTED = {"kserve": {"controller": {"deploymentMode": "Standard"}}}


def installed(status="deployed", chart="kserve-resources-v0.20.0", values=WANTED):
    return Installed(status, chart, values)


@pytest.mark.parametrize(
    ("there", "elsewhere", "skip", "decision"),
    [
        (None, False, (), "install"),
        (None, True, (), "elsewhere"),
        (None, False, ("kserve",), "skipped"),
        (installed(), True, ("all",), "skipped"),
        (installed(), True, (), "unchanged"),
        (installed(chart="kserve-resources-v0.19.0"), True, (), "upgrade"),
        (installed(values={}), True, (), "upgrade"),
        (installed(status="failed"), True, (), "upgrade"),
        (installed(status="pending-install"), True, (), "mend"),
        (installed(status="pending-upgrade"), True, (), "mend"),
        (installed(status="uninstalling"), True, (), "mend"),
    ],
)
def test_what_is_done_follows_from_what_is_there(there, elsewhere, skip, decision):
    assert decide(KSERVE, there, WANTED, skip, elsewhere=elsewhere) == decision


def test_a_skip_that_names_nothing_is_refused_with_what_there_is():
    check_skips(["kserve", "all"], list(RELEASES.values()))
    with pytest.raises(InvalidSettings, match="minio") as caught:
        check_skips(["kserve", "minio"], list(RELEASES.values()))
    assert "seaweedfs" in caught.value.remedy


def pod(name, **status):
    return {"metadata": {"name": name}, "status": status}


def test_pods_that_are_ready_or_done_are_not_waited_for():
    ready = pod("a", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    done = pod("b", phase="Succeeded", conditions=[{"type": "Ready", "status": "False"}])
    assert unready({"items": [ready, done]}) == "working"


def test_what_is_waited_for_is_told_with_its_reason():
    pulling = pod(
        "mlflow-1",
        phase="Pending",
        containerStatuses=[
            {"name": "mlflow", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
        ],
    )
    nowhere = pod(
        "page-1",
        phase="Pending",
        conditions=[{"type": "PodScheduled", "status": "False", "message": "Insufficient cpu."}],
    )
    assert unready({"items": [pulling, nowhere]}) == (
        "waiting for mlflow-1 ImagePullBackOff, page-1 Insufficient cpu."
    )
