import pytest

from bellwether.cluster.helmfile import (
    Installed,
    check_skips,
    decide,
    install,
    merged,
    platform_releases,
    uninstall,
    unready,
)
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
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


@pytest.fixture
def known(programs):
    """Has Helm know a release, in this state."""

    def know(release, status="deployed", values=None, revision=2):
        entry = {"status": status, "chart": f"x-{release.version}", "revision": str(revision)}
        programs.answer("helm", "list", f"^{release.name}$", out=[entry])
        programs.answer("helm", "get values", release.name, out=values or {})

    programs.answer("helm", "list", out=[])
    programs.answer("kubectl", "get", err="not found", code=1)
    return know


def test_a_release_is_installed_with_its_version_values_and_settings(programs, known, step):
    certs = RELEASES["cert-manager"]
    assert install(Kubectl(), certs, step, settings=["a=b"]) == "install"
    (call,) = programs.calls("helm upgrade --install cert-manager")
    assert "--repo https://charts.jetstack.io --version v1.21.2" in call
    assert call.endswith(f"--values {certs.values[0]} --set a=b --namespace cert-manager")
    assert step.outcome == "v1.21.2 installed"


def test_a_chart_of_this_checkout_is_installed_from_its_folder(programs, known, step):
    install(Kubectl(), RELEASES["foundation"], step)
    (call,) = programs.calls("helm upgrade --install foundation")
    assert "--version" not in call
    assert RELEASES["foundation"].chart in call


def test_a_release_as_it_should_be_is_left_alone(programs, known, step):
    known(KSERVE, values=merged(KSERVE.values))
    assert install(Kubectl(), KSERVE, step) == "unchanged"
    known(KSERVE, values={"other": 1})
    assert install(Kubectl(), KSERVE, step) == "upgrade"
    assert len(programs.calls("helm upgrade")) == 1


def test_what_somebody_else_installed_is_left_alone(programs, known, step):
    programs.answer("kubectl", "get service kserve-webhook-server-service", out="service/x")
    assert install(Kubectl(), KSERVE, step) == "elsewhere"
    assert "already there" in step.outcome
    assert programs.calls("helm upgrade") == []


def test_a_release_left_out_is_not_even_looked_for(programs, step):
    assert install(Kubectl(), KSERVE, step, skip=["all"]) == "skipped"
    assert programs.calls() == []


@pytest.mark.parametrize(
    ("status", "revision", "called"),
    [
        ("pending-install", 1, ["uninstall"]),
        ("pending-upgrade", 3, ["rollback", "get manifest", "apply --server-side"]),
        ("failed", 3, ["get manifest", "apply --server-side"]),
        ("deployed", 3, []),
    ],
)
def test_what_an_interrupted_run_left_is_mended_before_the_upgrade(
    programs, known, step, status, revision, called
):
    known(KSERVE, status, revision=revision)
    programs.answer("helm get manifest", out="kind: A")
    install(Kubectl(), KSERVE, step)
    steps = ("uninstall", "rollback", "get manifest", "apply --server-side")
    assert [name for name in steps if programs.calls(name)] == called
    assert programs.calls()[-1].startswith("helm upgrade")


def test_a_condition_that_helm_does_not_know_is_waited_for(programs, known, step):
    install(Kubectl(), RELEASES["database"], step)
    (call,) = programs.calls("kubectl wait")
    assert "clusters.postgresql.cnpg.io/database-cluster --for=condition=Ready" in call


def test_only_a_release_that_is_there_is_removed(programs, known, step):
    place = Installation(Kubectl(), "kserve", "kserve")
    uninstall(place, step)
    assert (step.outcome, programs.calls("helm uninstall")) == ("not there", [])
    known(KSERVE)
    uninstall(place, step)
    assert step.outcome == "removed"
    assert "--namespace kserve" in programs.calls("helm uninstall kserve")[0]
