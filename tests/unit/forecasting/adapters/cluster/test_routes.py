"""The split of requests is read from the route and written against the version that was read.

The cluster is an HTTP server that answers as Kubernetes does; `api` and `cluster` are tested by it
as well.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import MODEL_VERSION, RolloutConfig
from forecasting.adapters.cluster.routes import ServicePort
from forecasting.errors import ClusterUnavailable, InvalidSettings, NotReady, RolloutConflict
from forecasting.rollout.traffic import Shadow, Traffic
from tests.ports import free_port
from tests.time_limits import expires

ROUTES = "apis/gateway.networking.k8s.io/v1/namespaces/bellwether/httproutes"
GATEWAYS = "apis/gateway.networking.k8s.io/v1/namespaces/bellwether/gateways"
SERVICES = "apis/serving.kserve.io/v1beta1/namespaces/bellwether/inferenceservices"
CHANGED = {"at": "2026-06-01T12:00:00+00:00", "why": "the test"}


class Kubernetes(ThreadingHTTPServer):
    """Objects by path; a patch of another resourceVersion than the object's is a conflict."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Any] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.revisions: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Kubernetes

    def do_GET(self) -> None:
        self._answer(lambda found: found)

    def do_DELETE(self) -> None:
        self._answer(lambda _: self.server.objects.pop(self._name))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.server.objects.get(self._name, {"metadata": {}})
        revision = body["metadata"].get("resourceVersion", "")
        self.server.revisions.append(revision)
        if revision and revision != found["metadata"]["resourceVersion"]:
            self._send(409, {"message": "the object has been modified"})
            return
        number = int(found["metadata"].get("resourceVersion", "0")) + 1
        body["metadata"]["resourceVersion"] = str(number)
        self.server.objects[self._name] = {**found, **body}
        self._send(200, body)

    @property
    def _name(self) -> str:
        return self.path.partition("?")[0].strip("/")

    def _answer(self, of: Any) -> None:
        if self._name in self.server.refusals:
            status, message = self.server.refusals[self._name]
            self._send(status, {"message": message})
        elif self._name in self.server.objects:
            self._send(200, of(self.server.objects[self._name]))
        else:
            self._send(404, {"message": "not found"})

    def _send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def kubeconfig(path: Path, port: int) -> str:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "test", "user": {}}],
            }
        )
    )
    return str(path)


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    server = Kubernetes()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cluster(
    kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    path = kubeconfig(tmp_path / "kubeconfig", kubernetes.server_address[1])
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    opened = Cluster("bellwether", "demo", context="test")
    yield opened
    opened.close()


CONFIG = RolloutConfig.parse(
    "demo-bellwether-rollout",
    {
        "rollout.json": json.dumps(
            {
                "route": "forecasts",
                "model": "bellwether",
                "artifactStore": "s3://mlflow",
                "steps": [10, 100],
                "minutesPerStep": 1,
                "servicePort": 80,
                "registryService": "mlflow",
                "registryPort": 5000,
            }
        ),
        "inferenceservice.yaml": "metadata: {}\n",
        "poddisruptionbudget.yaml": "",
    },
)


def route(**weights: int) -> dict[str, Any]:
    backends = [
        {"name": f"bellwether-{version}-predictor", "weight": weight}
        for version, weight in weights.items()
    ]
    return {
        "metadata": {"name": "forecasts", "resourceVersion": "7", "generation": 2},
        "spec": {
            "hostnames": ["forecasts.example.org"],
            "parentRefs": [{"name": "edge", "sectionName": "web"}],
            "rules": [{"backendRefs": backends}],
        },
    }


def test_the_route_is_read_with_its_split_its_hosts_and_its_gateway(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    kubernetes.objects[f"{ROUTES}/forecasts"] = route(v1=90, v2=10)
    found = cluster.route(CONFIG)
    assert found.traffic.weights == {1: 90, 2: 10}
    assert found.hosts == ("forecasts.example.org",)
    assert found.gateway == ("bellwether", "edge", "web")
    assert (found.revision, found.changed) == ("7", {})


def test_a_split_is_written_against_the_version_that_was_read(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    kubernetes.objects[f"{ROUTES}/forecasts"] = route(v1=100)
    old = cluster.route(CONFIG)
    assert cluster.write_route(CONFIG, old, Traffic({1: 50, 2: 50}), CHANGED) == ""
    assert kubernetes.revisions == ["7"]
    written = cluster.route(CONFIG)
    assert written.traffic.weights == {1: 50, 2: 50}
    assert written.changed == CHANGED
    with pytest.raises(RolloutConflict, match="has been modified"):
        cluster.write_route(CONFIG, old, Traffic({1: 10, 2: 90}), CHANGED)
    assert cluster.route(CONFIG).traffic.weights == {1: 50, 2: 50}


def test_a_shadow_is_written_with_the_split_and_a_rival_that_begins_another_is_told(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    kubernetes.objects[f"{ROUTES}/forecasts"] = route(v1=100, v2=0)
    old = cluster.route(CONFIG)
    shadowed = old.traffic.mirrored(Shadow(2, 25), {1, 2})
    cluster.write_route(CONFIG, old, shadowed, CHANGED)
    assert cluster.route(CONFIG).traffic == shadowed
    with pytest.raises(RolloutConflict, match="has been modified"):
        cluster.write_route(CONFIG, old, Traffic({1: 50, 2: 50}), CHANGED)
    cluster.write_route(CONFIG, cluster.route(CONFIG), shadowed.unmirrored(), CHANGED)
    written = kubernetes.objects[f"{ROUTES}/forecasts"]
    assert "filters" not in written["spec"]["rules"][0]
    assert cluster.route(CONFIG).traffic.shadow is None


def test_a_new_status_of_the_route_is_no_rival(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.objects[f"{ROUTES}/forecasts"] = route(v1=100)
    old = cluster.route(CONFIG)
    kubernetes.objects[f"{ROUTES}/forecasts"]["metadata"]["resourceVersion"] = "8"
    cluster.write_route(CONFIG, old, Traffic({1: 50, 2: 50}), CHANGED)
    assert kubernetes.revisions == ["7", "8"]
    assert cluster.route(CONFIG).traffic.weights == {1: 50, 2: 50}


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([], "has not read the newest rules"),
        ([("Accepted", "True", 1)], "has not read the newest rules"),
        ([("Accepted", "True", 2), ("ResolvedRefs", "False", 2)], "BackendNotFound: no such"),
    ],
)
def test_a_route_that_the_gateway_does_not_take_is_not_ready(
    kubernetes: Kubernetes, cluster: Cluster, conditions: list[tuple[str, str, int]], reason: str
) -> None:
    found = route(v1=100)
    entries = [
        {
            "type": kind,
            "status": status,
            "observedGeneration": generation,
            "reason": "BackendNotFound",
            "message": "no such",
        }
        for kind, status, generation in conditions
    ]
    found["status"] = {"parents": [{"conditions": entries}]}
    kubernetes.objects[f"{ROUTES}/forecasts"] = found
    with pytest.raises(NotReady, match=reason):
        cluster.wait_routed(CONFIG, patience=expires(0))


def test_the_gateways_service_is_found_by_its_labels(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    kubernetes.objects[f"{ROUTES}/forecasts"] = route(v1=100)
    found = cluster.route(CONFIG)
    with pytest.raises(NotReady, match="no HTTP listener"):
        cluster.gateway_service(found)
    listeners = [
        {"name": "other", "port": 81, "protocol": "HTTP"},
        {"name": "web", "port": 80, "protocol": "HTTP"},
    ]
    kubernetes.objects[f"{GATEWAYS}/edge"] = {"spec": {"listeners": listeners}}
    service = {"metadata": {"namespace": "envoy", "name": "envoy-edge"}}
    kubernetes.objects["api/v1/services"] = {"items": [service]}
    assert cluster.gateway_service(found) == ServicePort("envoy", "envoy-edge", 80)


def test_versions_are_the_inference_services_of_the_model(
    kubernetes: Kubernetes, cluster: Cluster
) -> None:
    assert cluster.services(CONFIG) == {}
    assert cluster.version_state(CONFIG, 3) is None
    service = {"metadata": {"labels": {MODEL_VERSION: "3"}}}
    kubernetes.objects[SERVICES] = {"items": [service]}
    assert cluster.services(CONFIG) == {3: service}
    assert cluster.ready(CONFIG) == {3: 0}


def test_a_deleted_version_is_waited_for(kubernetes: Kubernetes, cluster: Cluster) -> None:
    kubernetes.objects[f"{SERVICES}/bellwether-v3"] = {"metadata": {}}
    cluster.delete_version(CONFIG, 3)
    assert f"{SERVICES}/bellwether-v3" not in kubernetes.objects
    pods = "api/v1/namespaces/bellwether/pods"
    kubernetes.objects[pods] = {"items": [{"metadata": {"name": "left"}}]}
    with pytest.raises(NotReady, match="still has pods"):
        cluster.delete_version(CONFIG, 3, patience=expires(0))


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (401, "who are you", ClusterUnavailable),
        (403, "no right", ClusterUnavailable),
        (403, "exceeded quota: pods", InvalidSettings),
        (422, "spec.rules is wrong", InvalidSettings),
        (500, "the webhook is down", ClusterUnavailable),
    ],
)
def test_what_the_api_server_refuses_is_told_in_its_words(
    kubernetes: Kubernetes, cluster: Cluster, status: int, message: str, error: type[Exception]
) -> None:
    kubernetes.refusals[f"{ROUTES}/forecasts"] = (status, message)
    with pytest.raises(error, match=message):
        cluster.route(CONFIG)


def test_a_release_that_is_not_installed_and_a_cluster_that_is_away_are_told(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidSettings, match="no ConfigMap demo-bellwether-rollout"):
        cluster.config()
    with pytest.raises(InvalidSettings, match="no HTTPRoute forecasts"):
        cluster.route(CONFIG)
    path = kubeconfig(tmp_path / "away", free_port())
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    away = Cluster("bellwether", "demo", context="test")
    with pytest.raises(ClusterUnavailable, match="must be reachable"):
        away.config()
    away.close()
