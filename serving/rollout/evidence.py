"""Observes a version that is rolled out: by requests of its own, and users' as Prometheus counts them."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import VERSION_HEADER, RolloutConfig, service_name
from forecasting.adapters.inference import InferenceClient, SymbolForecast
from forecasting.adapters.monitoring.queries import Prometheus
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import (
    BellwetherError,
    NotReady,
    ServerUnavailable,
    Unavailable,
    UnknownVersion,
)
from forecasting.prometheus_metrics import REQUEST_SECONDS, REQUESTS, STALE_ANSWERS
from forecasting.rollout.canary import Counts, Observation, Probes

ROUTED: Final = 200
"""Requests without a version that measure how the route splits."""

Log = Callable[[str], None]
"""Takes a rollout's progress, a sentence at a time."""


class Connections(Protocol):
    """Connections of a rollout besides Kubernetes; each is opened on first use."""

    @property
    def config(self) -> RolloutConfig:
        """The release's rollout.json."""

    def registry(self) -> RegistryReader:
        """The registry."""

    def prometheus(self) -> Prometheus | None:
        """Prometheus; None when there is none."""

    def gateway(self) -> tuple[str, Mapping[str, str]]:
        """Address and headers that lead to the route."""

    def pushgateway(self) -> str:
        """The Pushgateway's address; "" when there is none."""


@dataclass
class RolloutPart:
    """What the parts of a rollout work with.

    Attributes:
        cluster: where versions run and the route is.
        connections: to the registry, Prometheus, the gateway and the Pushgateway.
        log: called with progress, a sentence at a time.
    """

    cluster: Cluster
    connections: Connections
    log: Log

    @property
    def config(self) -> RolloutConfig:
        """The release's rollout.json."""
        return self.connections.config


class Evidence(RolloutPart):
    """Observations of versions; it decides nothing."""

    def _client(self, version: int | None) -> InferenceClient:
        url, headers = self.connections.gateway()
        pin = {VERSION_HEADER: str(version)} if version is not None else {}
        return InferenceClient(url, self.config.model, timeout=10.0, headers={**headers, **pin})

    def answers(self, version: int) -> None:
        """Have this version make one valid forecast through the route, which may take a moment.

        Raises:
            NotReady: it answers with prices that are not valid, or not at all for 20 s.
            ServerUnavailable, UnknownVersion: it is not reached for 20 s.
        """
        deadline = time.monotonic() + 20.0
        while True:
            try:
                with self._client(version) as client:
                    problem = _ask(client, version, symbol=None)[1]
            except (ServerUnavailable, UnknownVersion, NotReady) as error:
                if time.monotonic() > deadline:
                    raise
                self.log(f"version {version} is not reached through the route yet: {error.rule}")
                time.sleep(1.0)
                continue
            if problem:
                raise NotReady(
                    f"version {version} must answer with valid prices before it gets requests",
                    problem,
                    "Look at its metrics in the registry; do not roll it out",
                )
            self.log(f"version {version} answers a probe")
            return

    def routed(self, questions: int = ROUTED) -> Counter[int]:
        """Count which versions answer metadata requests that name none; these are not logged."""
        answered: Counter[int] = Counter()
        with self._client(None) as client:
            for _ in range(questions):
                versions = client.metadata().get("versions") or ["0"]
                answered[int(versions[0]) if str(versions[0]).isdigit() else 0] += 1
        return answered

    def probe(self, version: int, before: Probes) -> Probes:
        """Send a few requests more; what fails is counted, not raised."""
        asked, failed, invalid, problem = (
            before.asked,
            before.failed,
            before.invalid,
            before.problem,
        )
        try:
            with self._client(version) as client:
                symbol: str | None = None
                for _ in range(3):
                    asked += 1
                    symbol, wrong = _ask(client, version, symbol)
                    invalid, problem = (invalid + 1, wrong) if wrong else (invalid, problem)
        except BellwetherError as error:
            failed, problem = failed + 1, str(error)
        routed, hits = before.routed, before.to_canary
        try:
            answered = self.routed(ROUTED if not routed else 20)
            routed, hits = routed + answered.total(), hits + answered[version]
        except BellwetherError as error:
            problem = problem or str(error)
        return Probes(asked, failed, invalid, problem, routed, hits)

    def observe(
        self, version: int, weight: int, age: float, restarts: int, probes: Probes
    ) -> Observation:
        """All that is known of a canary.

        Args:
            version: the canary.
            weight: its weight, per cent.
            age: seconds since the step began.
            restarts: of its containers, before the step began.
            probes: requests of the rollout's own so far.
        """
        state = self.cluster.seen(self.config, version)
        canary: Counts | None = None
        stable, blind, watched = Counts(), "", True
        try:
            prometheus = self.connections.prometheus()
            watched = prometheus is not None
            if prometheus is not None:
                counted, stable = self._counts(prometheus, version, age)
                probed = float(probes.asked - probes.failed)
                users = max(0.0, counted.requests - probed)
                canary = Counts(users, counted.failed, counted.stale, counted.p99)
        except Unavailable as error:
            blind = f"{error.rule}: {error.found}"
        return Observation(
            wanted=weight,
            ready=state is not None and state.ready_endpoints > 0,
            restarts=max(0, state.restarts - restarts) if state else 0,
            probes=probes,
            canary=canary,
            stable=stable,
            blind=blind,
            watched=watched,
        )

    def _counts(self, prometheus: Prometheus, version: int, age: float) -> tuple[Counts, Counts]:
        window = f"{max(15, round(age))}s"
        canary = service_name(self.config.model, version)
        place = f'namespace="{self.cluster.namespace}",inferenceservice!=""'

        def by_service(name: str, more: str = "") -> dict[str, float]:
            increase = _increase(f"{name}{{{place}{more}}}", window)
            return prometheus.by_label(
                f"sum by (inferenceservice) ({increase})", "inferenceservice"
            )

        requests = by_service(REQUESTS.name)
        failed = by_service(REQUESTS.name, ',status=~"5.."')
        stale = by_service(STALE_ANSWERS.name)

        def p99(which: str) -> float | None:
            bucket = f"{REQUEST_SECONDS.name}_bucket{{{place},inferenceservice{which}}}"
            return prometheus.value(
                f"histogram_quantile(0.99, sum by (le) ({_increase(bucket, window)}))"
            )

        def others(values: Mapping[str, float]) -> float:
            return sum(value for name, value in values.items() if name != canary)

        return (
            Counts(
                requests.get(canary, 0.0),
                failed.get(canary, 0.0),
                stale.get(canary, 0.0),
                p99(f'="{canary}"'),
            ),
            Counts(others(requests), others(failed), others(stale), p99(f'!="{canary}"')),
        )

    def shares(self, versions: Collection[int]) -> dict[int, float]:
        """Share of the requests of the last five minutes that each version answered."""
        prometheus = self.connections.prometheus()
        if prometheus is None or not versions:
            return {}
        selector = f'{REQUESTS.name}{{namespace="{self.cluster.namespace}",inferenceservice!=""}}'
        query = f"sum by (inferenceservice) ({_increase(selector, '5m')})"
        counted = prometheus.by_label(query, "inferenceservice")
        by_version = {
            version: counted.get(service_name(self.config.model, version), 0.0)
            for version in versions
        }
        total = sum(by_version.values())
        return {version: count / total for version, count in by_version.items()} if total else {}


def _increase(series: str, window: str) -> str:
    """PromQL: how much each counter grew; of one that is new in the window, all it counted.

    `increase` leaves out what a series counted before its first scrape, and a canary's series are
    all new.
    """
    return (
        f"(clamp_min(last_over_time({series}[{window}]) - {series} offset {window}, 0) "
        f"or last_over_time({series}[{window}]))"
    )


def _ask(client: InferenceClient, version: int, symbol: str | None) -> tuple[str, str]:
    """The symbol asked for, and what is wrong with the answer; "" when nothing is."""
    if symbol is None:
        symbols = client.symbols()
        if not symbols:
            raise NotReady("a version must hold symbols", f"version {version} holds none")
        symbol = symbols[0]
    (answer,) = client.forecast([symbol], horizon=5)
    return symbol, _problem(answer, version)


def _problem(answer: SymbolForecast, version: int) -> str:
    quantiles = answer.quantiles
    if answer.model_version != str(version):
        return f"version {answer.model_version} answered a question for version {version}"
    if not np.isfinite(quantiles).all() or not (quantiles > 0).all():
        return f"{answer.symbol}: a price that is no positive number"
    if (np.diff(quantiles, axis=1) < 0).any():
        return f"{answer.symbol}: quantiles that do not rise"
    if not ((answer.probability_of_rise >= 0) & (answer.probability_of_rise <= 1)).all():
        return f"{answer.symbol}: a probability outside 0 to 1"
    return ""
