"""A release in memory: versions with their pods, the route, the registry, and a clock that jumps."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from forecasting.adapters.cluster.manifests import BUNDLE_DIGEST, KIND, MODEL_VERSION
from forecasting.adapters.cluster.readiness import Trouble
from forecasting.adapters.cluster.routes import Route
from forecasting.errors import RegistryUnavailable, RolloutConflict, UnknownVersion
from forecasting.rollout.traffic import Traffic

DIGEST = "d" * 64


@dataclass
class State:
    """What the cluster has of a version."""

    service: dict
    settled: bool = True
    ready_endpoints: int = 1
    restarts: int = 0
    failures: dict = field(default_factory=dict)
    deployment: dict = field(default_factory=lambda: {"status": {"replicas": 1}})
    trouble: Trouble = field(default_factory=lambda: Trouble("its pods are starting"))


def manifest(version, digest=DIGEST, kind="ridge"):
    notes = {BUNDLE_DIGEST: digest, KIND: kind}
    metadata = {"labels": {MODEL_VERSION: str(version)}, "annotations": notes}
    return {"metadata": metadata, "spec": {"predictor": {"model": {"storageUri": "s3://b/x"}}}}


class Cluster:
    """Versions and the route; a version that is applied is ready at once."""

    namespace = "bw"

    def __init__(self, *running, weights=None, held=()):
        self.states = {version: State(manifest(version)) for version in running}
        self.traffic = Traffic(weights or {}, held)
        self.written, self.revision = [], 0
        self.deleted = []

    def route(self, config):
        changed = self.written[-1][1] if self.written else {}
        return Route(self.traffic, changed, ("f.example",), ("bw", "gw", ""), str(self.revision))

    def write_route(self, config, route, new, changed):
        if route.revision != str(self.revision):
            raise RolloutConflict("one writer at a time")
        self.traffic, self.revision = new, self.revision + 1
        self.written.append((dict(new.weights), changed))
        return ""

    def wait_routed(self, config):
        pass

    def services(self, config):
        return {version: state.service for version, state in self.states.items()}

    def ready(self, config):
        return {version: state.ready_endpoints for version, state in self.states.items()}

    def seen(self, config, version):
        return self.states.get(version)

    def trouble(self, state):
        return state.trouble

    def apply_version(self, config, wanted):
        if wanted.version not in self.states:
            self.states[wanted.version] = State(manifest(wanted.version, wanted.digest))

    def delete_version(self, config, version):
        self.states.pop(version, None)
        self.deleted.append(version)


class Registry:
    """Aliases, digests and tags by version."""

    def __init__(self, aliases, versions):
        self._aliases, self.digests = aliases, dict.fromkeys(versions, DIGEST)
        self.tags = {version: {} for version in versions}
        self.failures = 0

    def aliases(self):
        return self._aliases

    def version(self, number):
        if number not in self.digests:
            raise UnknownVersion("a version must be registered", number)
        return SimpleNamespace(
            bundle_digest=self.digests[number], run_id="r", kind="ridge", tags=self.tags[number]
        )

    def artifact_uri(self, run_id):
        return "mlflow-artifacts:/1/r/artifacts"

    def tag(self, number, tags):
        if self.failures:
            self.failures -= 1
            raise RegistryUnavailable("MLflow must be reachable", "it is away")
        self.tags[number].update(tags)


class Connections:
    """To the registry alone; Prometheus and the Pushgateway are not there."""

    def __init__(self, champion="1", versions=("1", "2", "3")):
        self.config = SimpleNamespace(
            model="bellwether",
            route="r",
            steps=(10, 100),
            artifact_store="s3://bellwether/mlflow",
        )
        self.known = Registry({"champion": champion} if champion else {}, versions)

    def registry(self):
        return self.known

    def prometheus(self):
        return None

    def gateway(self):
        return "http://gateway", {"host": "f.example"}

    def pushgateway(self):
        return ""


class Client:
    """An inference client of the release's gateway: answers as the route has it."""

    cluster: Cluster
    quantiles = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    unreachable = 0

    def __init__(self, url, model, *, timeout, headers):
        self.url, self.headers = url, headers

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def symbols(self):
        return ["AAPL"]

    def metadata(self):
        return {"versions": [str(self.cluster.traffic.serving[0])]}

    def forecast(self, symbols, *, horizon):
        version = next(value for name, value in self.headers.items() if name != "host")
        rise = np.array([0.5])
        return [
            SimpleNamespace(
                symbol=symbols[0],
                quantiles=self.quantiles,
                model_version=version,
                probability_of_rise=rise,
            )
        ]


class Clock:
    """`time` whose sleeps end at once."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
