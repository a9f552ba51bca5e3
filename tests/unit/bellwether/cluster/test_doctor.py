from datetime import UTC, datetime

import pytest

from bellwether.cluster.connections import service_of
from bellwether.cluster.doctor import (
    job_from,
    judge_autoscalers,
    judge_drift,
    judge_gateway,
    judge_login,
    results_in,
    service_proxy,
)
from bellwether.doctor import CheckResult
from forecasting.errors import BellwetherError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def cronjob(last=None, created="2026-11-21T11:30:00Z", *, suspend=False):
    status = {"lastSuccessfulTime": last} if last else {}
    metadata = {"name": "bellwether-drift", "namespace": "bw", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": status}


def test_a_drift_job_that_succeeded_lately_is_well():
    assert judge_drift(cronjob("2026-11-21T11:10:00Z"), NOW) == "succeeded 50 min ago"


def test_a_new_drift_job_is_not_due_yet():
    assert judge_drift(cronjob(), NOW) == "not due yet"


def test_a_suspended_drift_job_is_said_to_be_so():
    assert "suspended" in judge_drift(cronjob("2026-01-01T00:00:00Z", suspend=True), NOW)


@pytest.mark.parametrize(
    ("last", "created", "said"),
    [
        ("2026-11-21T07:00:00Z", "2026-11-01T00:00:00Z", "5.0 hours ago"),
        (None, "2026-11-01T00:00:00Z", "never"),
    ],
)
def test_a_drift_job_without_a_late_success_is_a_fault(last, created, said):
    with pytest.raises(BellwetherError, match=said):
        judge_drift(cronjob(last, created), NOW)


def conditions(name, **states):
    entries = [{"type": kind, "status": status} for kind, status in states.items()]
    return {"metadata": {"name": name}, "status": {"conditions": entries}}


def test_a_gateway_that_does_not_listen_is_a_fault_though_its_routes_are_accepted():
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    routes = {"items": [{"metadata": {"name": "r"}, "status": {"parents": [accepted]}}]}
    assert judge_gateway({"items": [conditions("g", Programmed="True")]}, routes) == (
        "1 routes accepted"
    )
    with pytest.raises(BellwetherError, match="g: not programmed"):
        judge_gateway({"items": [conditions("g", Programmed="False")]}, routes)
    with pytest.raises(BellwetherError, match="r: no gateway accepts it"):
        judge_gateway({"items": []}, {"items": [{"metadata": {"name": "r"}}]})


def test_a_login_that_the_gateway_does_not_take_is_a_fault():
    def policy(*accepted):
        ancestors = [
            {"conditions": [{"type": "Accepted", "status": status, "message": "no Secret"}]}
            for status in accepted
        ]
        made = {"metadata": {"name": "login"}, "spec": {"targetRefs": [{}, {}]}}
        return {"items": [{**made, "status": {"ancestors": ancestors}}]}

    assert judge_login(policy("True")) == "asked for on 2 routes"
    assert judge_login({"items": []}) == "asked for nowhere"
    with pytest.raises(BellwetherError, match="login: no Secret"):
        judge_login(policy("True", "False"))
    with pytest.raises(BellwetherError, match="login: no gateway has looked at it"):
        judge_login(policy())


def test_an_autoscaler_without_metrics_is_a_fault():
    def autoscaler(active, created="2026-11-21T11:30:00Z"):
        one = conditions("a", ScalingActive=active)
        one["metadata"]["creationTimestamp"] = created
        return {"items": [one]}

    assert judge_autoscalers(autoscaler("True"), NOW) == "1 read their metrics"
    with pytest.raises(BellwetherError, match="metrics-server"):
        judge_autoscalers(autoscaler("False"), NOW)
    just_made = autoscaler("False", "2026-11-21T11:59:00Z")
    assert "were made within" in judge_autoscalers(just_made, NOW)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (
            "http://prometheus.monitoring:9090",
            "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/q",
        ),
        (
            "http://prometheus.monitoring.svc.cluster.local:9090/prom/",
            "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/prom/q",
        ),
        ("http://prometheus", "/api/v1/namespaces/bw/services/http:prometheus:80/proxy/q"),
    ],
)
def test_a_service_is_asked_through_the_api_server(url, path):
    assert service_proxy(url, service_of(url, "bw", lambda *_: True), "/q") == path


def test_a_prometheus_outside_the_cluster_is_not_asked():
    with pytest.raises(BellwetherError, match="Service of the cluster"):
        service_proxy("https://prometheus.example.org", None, "/q")


def test_results_are_read_between_other_lines():
    log = 'warming up\n{"what": "lake", "ok": false, "detail": "no"}\n{"level": "info"}\n[1]\n'
    assert results_in(log) == [CheckResult("lake", ok=False, detail="no")]


def test_the_doctors_job_is_the_drift_job_with_another_command():
    container = {"name": "drift", "image": "i", "args": ["drift"], "env": [{"name": "A"}]}
    spec = {"template": {"spec": {"containers": [container]}}, "backoffLimit": 1}
    source = {"spec": {"jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}}
    job = job_from(source, "doctor-1")
    (made,) = job["spec"]["template"]["spec"]["containers"]
    assert made["command"] == ["python", "-m", "bellwether.doctor"]
    assert made["env"] == [{"name": "A"}]
    assert job["spec"]["backoffLimit"] == 0
    assert job["metadata"] == {"name": "doctor-1", "labels": {"a": "b"}}
    assert container["args"] == ["drift"]
