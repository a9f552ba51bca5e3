"""Why a version is not ready is said in the words of whoever knows."""

import pytest

from forecasting.adapters.cluster.readiness import VersionState, trouble

TEMPLATE = "bellwether.io/template"


def pod(*statuses, init=(), scheduled=True, ready=False):
    conditions = [
        {
            "type": "PodScheduled",
            "status": str(scheduled),
            "message": "0/1 nodes: Insufficient cpu",
        },
        {"type": "Ready", "status": str(ready)},
    ]
    status = {
        "conditions": conditions,
        "containerStatuses": list(statuses),
        "initContainerStatuses": list(init),
    }
    return {"metadata": {"name": "p-1", "creationTimestamp": "2026-01-01"}, "status": status}


def container(name="kserve-container", restarts=0, **state):
    return {"name": name, "restartCount": restarts, **state}


def waiting(reason, message):
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code, message="", **more):
    last = {"terminated": {"exitCode": code, "reason": "Error", "message": message}}
    return {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last, **more}


def version_state(*pods, service=None, deployment=None, endpoints=()):
    made = {"metadata": {"annotations": {TEMPLATE: "t1"}}, "status": service or {}}
    return VersionState(made, deployment, pods, endpoints)


def why(one, log=""):
    return trouble(one, lambda pod, container: log)


def test_an_image_that_is_missing_is_hopeless():
    reported = why(
        version_state(pod(container(**waiting("ImagePullBackOff", "no such image x:1"))))
    )
    assert reported.found == "pod p-1, kserve-container: ImagePullBackOff: no such image x:1"
    assert reported.hopeless
    assert not reported.corrupted


def test_storage_that_is_missing_is_said_by_the_storage_initializer():
    init = container("storage-initializer", 2, **ended(1, "RuntimeError: no objects at s3://b/x"))
    reported = why(version_state(pod(init=[init])))
    assert "storage-initializer Error with exit code 1: RuntimeError: no objects" in reported.found
    assert reported.hopeless


def test_a_first_crash_may_still_mend_itself():
    assert not why(version_state(pod(container(restarts=0, **ended(1, "boom"))))).hopeless
    assert why(version_state(pod(container(restarts=1, **ended(1, "boom"))))).hopeless


def test_a_crash_without_a_message_is_told_from_the_log():
    reported = why(
        version_state(pod(container(restarts=3, **ended(2)))), log="line 1\nTypeError: it broke\n"
    )
    assert "TypeError: it broke" in reported.found


def test_a_graph_that_cannot_be_parsed_is_a_rejected_bundle_too():
    log = (
        "2026-11-21 15:00:00.000 1 bellwether.serving WARNING [predictor.py:_report():224] "
        "onnxruntime must accept model.onnx: [ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf "
        "parsing failed. Fetch the bundle again from the registry, or train again\n"
    )
    reported = why(version_state(pod(container(state={"running": {}}))), log)
    assert reported.corrupted
    assert reported.hopeless


def test_a_bundle_that_is_rejected_is_corrupted_and_hopeless():
    log = (
        "2026-11-21 15:00:00.000 1 bellwether.serving WARNING [predictor.py:_report():224] "
        "a bundle's manifest must have the promised digest: abc. Register it again\n"
        "2026-11-21 15:00:01.000 1 bellwether.serving INFO [x.py:y():1] version 7: not loaded\n"
    )
    reported = why(version_state(pod(container(state={"running": {}}))), log)
    assert reported.found.startswith(
        "pod p-1 says: a bundle's manifest must have the promised digest"
    )
    assert reported.corrupted
    assert reported.hopeless


def test_missing_features_are_said_and_may_still_come():
    log = (
        "t 1 bellwether.serving WARNING [p.py:r():1] the lake must hold features: none. Run refresh"
    )
    reported = why(version_state(pod(container(state={"running": {}}))), log)
    assert "the lake must hold features" in reported.found
    assert not reported.hopeless


def test_a_pod_without_a_node_is_said_by_the_scheduler():
    assert "Insufficient cpu" in why(version_state(pod(scheduled=False))).found


@pytest.mark.parametrize("reason", ["NoSupportingRuntime", "InvalidPredictorSpec"])
def test_what_kserve_will_never_run_is_hopeless(reason):
    failure = {"modelStatus": {"lastFailureInfo": {"reason": reason, "message": "no runtime x"}}}
    reported = why(version_state(service=failure))
    assert reported.found == f"KServe says {reason}: no runtime x"
    assert reported.hopeless


def test_a_quota_is_said_by_the_deployment():
    failed = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods=2"}
    reported = why(version_state(deployment={"status": {"conditions": [failed]}}))
    assert "exceeded quota: pods=2" in reported.found
    assert reported.hopeless


def settled(**changes):
    status = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    deployment = {
        "metadata": {"generation": 2},
        "spec": {
            "template": {"metadata": {"annotations": {TEMPLATE: changes.pop("template", "t1")}}}
        },
        "status": {**status, **changes},
    }
    endpoints = [{"endpoints": [{"conditions": {"ready": True}}]}]
    service = {"conditions": [{"type": "Ready", "status": "True"}]}
    return version_state(service=service, deployment=deployment, endpoints=endpoints).settled


def test_a_version_is_settled_only_when_every_pod_is_of_the_newest_template():
    assert settled()
    assert not settled(template="older")
    assert not settled(observedGeneration=1)
    assert not settled(updatedReplicas=1)
    assert not settled(availableReplicas=1)


def test_an_endpoint_that_is_ending_does_not_count_as_ready():
    endpoints = [
        {"endpoints": [{"conditions": {"ready": True}}, {"conditions": {"ready": False}}]},
        {"endpoints": [{"conditions": {"ready": True, "terminating": True}}]},
        {"endpoints": None},
    ]
    assert version_state(endpoints=endpoints).ready_endpoints == 1


def test_failures_are_restarts_in_pods_that_are_not_ready():
    well = pod(container(restarts=4), ready=True)
    ill = pod(container(restarts=1), init=[container("storage-initializer", 2)])
    well["metadata"]["name"] = "p-2"
    assert version_state(well, ill).failures == {"p-1": 3}
