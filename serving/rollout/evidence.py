"""What is seen of a version on its way: our own questions, and users' as Prometheus counts them."""

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
"""Questions without a number that show how the route splits."""

Tell = Callable[[str], None]


class Reach(Protocol):
    """Ways to what a rollout talks to besides Kubernetes; each is opened when first used."""

    def registry(self) -> RegistryReader:
        """The registry."""

    def prometheus(self) -> Prometheus | None:
        """Prometheus; None when there is none."""

    def gateway(self) -> tuple[str, Mapping[str, str]]:
        """Address and headers that lead to the route."""

    def pushgateway(self) -> str:
        """The Pushgateway's address; "" when there is none."""


@dataclass
class Evidence:
    """Looks; decides nothing.

    Attributes:
        cluster, config: where.
        reach: ways to the gateway and Prometheus.
        tell: told of progress.
    """

    cluster: Cluster
    config: RolloutConfig
    reach: Reach
    tell: Tell

    def _client(self, version: int | None) -> InferenceClient:
        url, headers = self.reach.gateway()
        pin = {VERSION_HEADER: str(version)} if version is not None else {}
        return InferenceClient(url, self.config.model, timeout=10.0, headers={**headers, **pin})

    def answers(self, version: int) -> None:
        """One forecast from this version through the route; the gateway may need a moment."""
        deadline = time.monotonic() + 20.0
        while True:
            try:
                with self._client(version) as client:
                    problem = _ask(client, version, symbol=None)[1]
            except (ServerUnavailable, UnknownVersion, NotReady) as error:
                if time.monotonic() > deadline:
                    raise
                self.tell(f"version {version} is not reached through the route yet: {error.rule}")
                time.sleep(1.0)
                continue
            if problem:
                raise NotReady(
                    f"version {version} must answer with valid prices before it gets requests",
                    problem,
                    "Look at its metrics in the registry; do not roll it out",
                )
            self.tell(f"version {version} answers a probe")
            return

    def routed(self, questions: int = ROUTED) -> Counter[int]:
        """Which versions answer questions that name none; they are no forecasts and not logged."""
        found: Counter[int] = Counter()
        with self._client(None) as client:
            for _ in range(questions):
                versions = client.metadata().get("versions") or ["0"]
                found[int(versions[0]) if str(versions[0]).isdigit() else 0] += 1
        return found

    def probe(self, version: int, before: Probes) -> Probes:
        """Ask a few questions more; what fails is counted, not raised."""
        asked, failed, invalid, said = before.asked, before.failed, before.invalid, before.said
        try:
            with self._client(version) as client:
                symbol: str | None = None
                for _ in range(3):
                    asked += 1
                    symbol, problem = _ask(client, version, symbol)
                    invalid, said = (invalid + 1, problem) if problem else (invalid, said)
        except BellwetherError as error:
            failed, said = failed + 1, str(error)
        routed, hits = before.routed, before.to_canary
        try:
            found = self.routed(ROUTED if not routed else 20)
            routed, hits = routed + found.total(), hits + found[version]
        except BellwetherError as error:
            said = said or str(error)
        return Probes(asked, failed, invalid, said, routed, hits)

    def observe(
        self, version: int, weight: int, age: float, restarts: int, probes: Probes
    ) -> Observation:
        """All that is seen of a canary.

        Args:
            version: the canary.
            weight: its weight, per cent.
            age: seconds since the step began.
            restarts: of its containers, before the step began.
            probes: our own questions so far.
        """
        seen = self.cluster.seen(self.config, version)
        canary: Counts | None = None
        stable, blind, watched = Counts(), "", True
        try:
            prometheus = self.reach.prometheus()
            watched = prometheus is not None
            if prometheus is not None:
                own, stable = self._counts(prometheus, version, age)
                ours = float(probes.asked - probes.failed)
                canary = Counts(max(0.0, own.requests - ours), own.failed, own.stale, own.p99)
        except Unavailable as error:
            blind = f"{error.rule}: {error.found}"
        return Observation(
            wanted=weight,
            ready=seen is not None and seen.ready_endpoints > 0,
            restarts=max(0, seen.restarts - restarts) if seen else 0,
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
            grown = _grown(f"{name}{{{place}{more}}}", window)
            return prometheus.by_label(f"sum by (inferenceservice) ({grown})", "inferenceservice")

        requests = by_service(REQUESTS.name)
        failed = by_service(REQUESTS.name, ',status=~"5.."')
        stale = by_service(STALE_ANSWERS.name)

        def p99(which: str) -> float | None:
            bucket = f"{REQUEST_SECONDS.name}_bucket{{{place},inferenceservice{which}}}"
            return prometheus.value(
                f"histogram_quantile(0.99, sum by (le) ({_grown(bucket, window)}))"
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
        prometheus = self.reach.prometheus()
        if prometheus is None or not versions:
            return {}
        selector = f'{REQUESTS.name}{{namespace="{self.cluster.namespace}",inferenceservice!=""}}'
        query = f"sum by (inferenceservice) ({_grown(selector, '5m')})"
        counted = prometheus.by_label(query, "inferenceservice")
        by_version = {
            one: counted.get(service_name(self.config.model, one), 0.0) for one in versions
        }
        total = sum(by_version.values())
        return {one: value / total for one, value in by_version.items()} if total else {}


def _grown(series: str, window: str) -> str:
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
    return symbol, _wrong(answer, version)


def _wrong(answer: SymbolForecast, version: int) -> str:
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
