"""A release in memory: versions with their pods, the route, the registry, and a clock that jumps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from forecasting.adapters.cluster.manifests import (
    BUNDLE_DIGEST,
    KIND,
    MODEL_VERSION,
    SIGNATURE,
)
from forecasting.adapters.cluster.readiness import Trouble
from forecasting.adapters.cluster.routes import Route
from forecasting.adapters.registry.records import ModelVersion
from forecasting.errors import (
    InvalidSettings,
    RegistryUnavailable,
    RolloutConflict,
    ServerUnavailable,
    UnknownSymbol,
    UnknownVersion,
)
from forecasting.features.spec import FeatureSpec
from forecasting.rollout.asked import AskedPrices
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


def manifest(version, digest=DIGEST, kind="ridge", signature=""):
    notes = {BUNDLE_DIGEST: digest, KIND: kind, **({SIGNATURE: signature} if signature else {})}
    metadata = {"labels": {MODEL_VERSION: str(version)}, "annotations": notes}
    return {"metadata": metadata, "spec": {"predictor": {"model": {"storageUri": "s3://b/x"}}}}


class Cluster:
    """Versions and the route; a version that is applied is ready at once."""

    namespace = "bw"
    inside = False

    def __init__(self, *running, weights=None, stable_history=()):
        self.states = {version: State(manifest(version)) for version in running}
        self.traffic = Traffic(weights or {}, stable_history)
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

    def version_state(self, config, version):
        return self.states.get(version)

    def trouble(self, state):
        return state.trouble

    def apply_version(self, config, version_spec):
        if version_spec.version not in self.states:
            self.states[version_spec.version] = State(
                manifest(version_spec.version, version_spec.digest)
            )

    def delete_version(self, config, version):
        self.states.pop(version, None)
        self.deleted.append(version)


class Registry:
    """Aliases, digests and tags by version."""

    def __init__(self, aliases, versions):
        self._aliases, self.digests = aliases, dict.fromkeys(versions, DIGEST)
        self.tags = {version: {} for version in versions}
        self.failures = 0
        self.symbols = ("AAPL", "MSFT")

    def aliases(self):
        return self._aliases

    def version(self, number):
        if number not in self.digests:
            raise UnknownVersion("a version must be registered", number)
        tags = {"bundle_digest": self.digests[number], "kind": "ridge", **self.tags[number]}
        aliases = tuple(name for name, named in self._aliases.items() if named == number)
        return ModelVersion(number, "r", tags, aliases, 0)

    def versions(self):
        return [self.version(number) for number in self.digests]

    def specification(self, record):
        return FeatureSpec(symbols=self.symbols)

    def artifact_uri(self, run_id):
        return "mlflow-artifacts:/1/r/artifacts"

    def set_champion(self, number):
        self._aliases["champion"] = number

    def tag(self, number, tags):
        if self.failures:
            self.failures -= 1
            raise RegistryUnavailable("MLflow must be reachable", "it is away")
        self.tags[number].update(tags)


class Connections:
    """To the registry alone; Prometheus and the Pushgateway are not there."""

    def __init__(self, champion="1", versions=("1", "2", "3"), trusted_keys=""):
        self.config = SimpleNamespace(
            model="bellwether",
            route="r",
            steps=(10, 100),
            artifact_store="s3://bellwether/mlflow",
            trusted_keys=trusted_keys,
            asked=AskedPrices(),
            approval_required=False,
            keep_versions=3,
            keep_days=7.0,
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

    def ledger(self):
        raise InvalidSettings("it must be known where the ledger's database is")


class Client:
    """An inference client of the release's gateway: answers as the route has it."""

    cluster: Cluster
    clock: "Clock"
    quantiles = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    unknown: ClassVar[dict[str, set[str]]] = {}
    delays: ClassVar[dict[str, float]] = {}
    away = False

    def __init__(self, url, model, *, timeout, headers):
        self.url, self.headers = url, headers

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def reachable(self):
        return not self.away

    def symbols(self):
        self._reach()
        return ["AAPL"]

    def metadata(self):
        self._reach()
        return {"versions": [str(self.cluster.traffic.serving[0])]}

    def forecast(self, symbols, *, horizon, baseline=False, request_id=""):
        self._reach()
        version = next(value for name, value in self.headers.items() if name != "host")
        if version in self.delays:
            self.clock.sleep(self.delays[version])
        if set(symbols) & self.unknown.get(version, set()):
            raise UnknownSymbol("the model must know the symbol", symbols[0])
        return [
            SimpleNamespace(
                symbol=symbols[0],
                quantiles=self.quantiles,
                baseline=np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]) if baseline else None,
                model_version=version,
                probability_of_rise=np.array([0.5]),
                as_of=datetime(2026, 11, 27, 21, tzinfo=UTC),
                snapshot="s",
                last_close=3.0,
            )
        ]

    def _reach(self):
        if self.away:
            raise ServerUnavailable("the gateway must be reachable")


class Clock:
    """`time` whose sleeps end at once."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
