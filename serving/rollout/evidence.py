"""Observes a version that is rolled out: by questions asked of it and of the stable one, and by users' requests."""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from forecasting.adapters.cluster.cluster import Cluster
from forecasting.adapters.cluster.manifests import RolloutConfig, service_name
from forecasting.adapters.cluster.route_rules import VERSION_HEADER
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
from forecasting.rollout.canary import Counts, Observation, Routed
from forecasting.rollout.pairs import Pair, Pairs, Question, Reply

ROUTED: Final = 200
"""Requests without a version that measure how the route splits."""

PAIRS: Final = 20
"""Questions that one round asks of both versions."""

QUESTION_PAUSE_SECONDS: Final = 0.1
"""Longest pause before a question: users' requests come at random moments, too. Without one, a pod that
stands still for most of every second would answer all questions in the moment in which it moves."""

ROUND_SECONDS: Final = 5.0
"""How long a round may take; with a version that stalls it asks less."""

REQUEST_ID: Final = "rollout-"
"""What the ids of a rollout's own requests begin with, so that nobody takes them for users'."""

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

    def ledger(self) -> str:
        """The ledger's database with its owner's login; raises where it is not known."""

    def pushgateway(self) -> str:
        """The Pushgateway's address; "" when there is none."""


@dataclass(frozen=True)
class StepStart:
    """Restarts of the canary's containers when the rollout began, and questions asked when the step did."""

    restarts: int = 0
    asked: int = 0


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

    def check_gateway(self) -> None:
        """Refuse to go on before the gateway answers, whatever it says.

        Raises:
            ServerUnavailable: it has no Service yet, or no proxy of it is up.
        """
        try:
            with self._client(None) as client:
                if client.reachable():
                    return
            found = "nothing answers at its address"
        except NotReady as error:
            found = error.found
        raise ServerUnavailable(
            "the gateway must be up before a version can be asked through it",
            found,
            f"kubectl -n {self.cluster.namespace} describe gateways",
        )

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
                    problem = _ask(client, version)
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
                answered[int(versions[0]) if str(versions[0]).isdecimal() else 0] += 1
        return answered

    def symbols(self, version: int) -> list[str]:
        """Symbols that a version holds; empty when it cannot be asked."""
        try:
            with self._client(version) as client:
                return client.symbols()
        except BellwetherError as error:
            self.log(f"version {version} does not tell its symbols: {error}")
            return []

    def ask_all(self, version: int, symbols: Collection[str]) -> None:
        """Have a version forecast symbols as far as it can, for the prediction log; what fails is told."""
        try:
            with self._client(version) as client:
                client.forecast(list(symbols), request_id=f"{REQUEST_ID}{version}")
        except BellwetherError as error:
            self.log(f"version {version} was not asked for {len(symbols)} symbols: {error}")

    def ask_both(self, canary: int, stable: int, questions: Iterator[Question]) -> list[Pair]:
        """One round: the same questions to both versions; what fails is told, not raised.

        Each question goes to one of them directly after the other, and to the canary first every
        second time.
        """
        pairs: list[Pair] = []
        chance = random.Random()  # noqa: S311 - moments, not a secret
        end = time.monotonic() + ROUND_SECONDS
        with self._client(canary) as first, self._client(stable) as second:
            # Opening a connection is no part of an answer.
            for client in (first, second):
                _reply(client, 0, None)
            for number, question in zip(range(PAIRS), questions, strict=False):
                time.sleep(chance.uniform(0, QUESTION_PAUSE_SECONDS))
                if number % 2:
                    behind = _reply(second, stable, question)
                    ahead = _reply(first, canary, question)
                else:
                    ahead = _reply(first, canary, question)
                    behind = _reply(second, stable, question)
                pairs.append(Pair(question, ahead, behind))
                if time.monotonic() > end:
                    break
        return pairs

    def split(self, version: int, before: Routed) -> Routed:
        """Send a few requests more that name no version; a gateway that fails is told, not raised."""
        try:
            answered = self.routed(20 if before.sent else ROUTED)
        except BellwetherError as error:
            self.log(f"the route does not answer: {error}")
            return before
        return Routed(before.sent + answered.total(), before.to_canary + answered[version])

    def observe(
        self, version: int, weight: int, age: float, before: StepStart, pairs: Pairs, routed: Routed
    ) -> Observation:
        """All that is known of a canary.

        Args:
            version: the canary.
            weight: its weight, per cent.
            age: seconds since the step began.
            before: what stood when the step began.
            pairs: questions asked of both versions so far.
            routed: requests of ours that named no version so far.
        """
        state = self.cluster.version_state(self.config, version)
        canary: Counts | None = None
        stable, blind, watched = Counts(), "", True
        try:
            prometheus = self.connections.prometheus()
            watched = prometheus is not None
            if prometheus is not None:
                canary, stable = self._counts(prometheus, version, age)
        except Unavailable as error:
            blind = f"{error.rule}: {error.found}"
        return Observation(
            weight=weight,
            ready=state is not None and state.ready_endpoints > 0,
            restarts=max(0, state.restarts - before.restarts) if state else 0,
            pairs=pairs,
            asked=pairs.asked - before.asked,
            routed=routed,
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
            increase = grown(f"{name}{{{place}{more}}}", window)
            return prometheus.by_label(
                f"sum by (inferenceservice) ({increase})", "inferenceservice"
            )

        # The histogram counts a request once; the other counter an answer once a symbol.
        requests = by_service(f"{REQUEST_SECONDS.name}_count")
        refused = by_service(REQUESTS.name, ',status=~"4.."')
        failed = by_service(REQUESTS.name, ',status=~"5.."')
        stale = by_service(STALE_ANSWERS.name)

        def p99(which: str) -> float | None:
            bucket = f"{REQUEST_SECONDS.name}_bucket{{{place},inferenceservice{which}}}"
            return prometheus.value(
                f"histogram_quantile(0.99, sum by (le) ({grown(bucket, window)}))"
            )

        def counts(total: Callable[[Mapping[str, float]], float], which: str) -> Counts:
            sums = (total(requests), total(refused), total(failed), total(stale))
            return Counts(*sums, p99(which))

        def others(values: Mapping[str, float]) -> float:
            return sum(value for name, value in values.items() if name != canary)

        return (
            counts(lambda values: values.get(canary, 0.0), f'="{canary}"'),
            counts(others, f'!="{canary}"'),
        )

    def shares(self, versions: Collection[int]) -> dict[int, float]:
        """Share of the requests of the last five minutes that each version answered."""
        prometheus = self.connections.prometheus()
        if prometheus is None or not versions:
            return {}
        place = f'namespace="{self.cluster.namespace}",inferenceservice!=""'
        series = f"{REQUEST_SECONDS.name}_count{{{place}}}"
        query = f"sum by (inferenceservice) ({grown(series, '5m')})"
        counted = prometheus.by_label(query, "inferenceservice")
        by_version = {
            version: counted.get(service_name(self.config.model, version), 0.0)
            for version in versions
        }
        total = sum(by_version.values())
        return {version: count / total for version, count in by_version.items()} if total else {}


def grown(series: str, window: str) -> str:
    """PromQL: how much each counter grew; of one that is new in the window, all it counted.

    `increase` leaves out what a series counted before its first scrape, and a canary's series are
    all new.
    """
    return (
        f"(clamp_min(last_over_time({series}[{window}]) - {series} offset {window}, 0) "
        f"or last_over_time({series}[{window}]))"
    )


def _ask(client: InferenceClient, version: int) -> str:
    """What is wrong with a version's forecast of its first symbol; "" when nothing is."""
    symbols = client.symbols()
    if not symbols:
        raise NotReady("a version must hold symbols", f"version {version} holds none")
    (answer,) = client.forecast(symbols[:1], horizon=5, request_id=f"{REQUEST_ID}{version}")
    return _problem(answer, version)


def _reply(client: InferenceClient, version: int, question: Question | None) -> Reply:
    """One version's answer, as a user gets it; without a question, to its metadata."""
    begun = time.monotonic()
    try:
        if question is None:
            client.metadata()
            return Reply(time.monotonic() - begun)
        (answer,) = client.forecast(
            [question.symbol],
            horizon=question.horizon,
            baseline=True,
            request_id=f"{REQUEST_ID}{version}",
        )
    except BellwetherError as error:
        return Reply(time.monotonic() - begun, refused=str(error))
    seconds = time.monotonic() - begun
    return Reply(
        seconds,
        invalid=_problem(answer, version),
        as_of=answer.as_of,
        snapshot=answer.snapshot,
        last_close=answer.last_close,
        scale=_scale(answer),
    )


def _scale(answer: SymbolForecast) -> float:
    """Logarithm of the width of the random walk's interval; NaN when there is none."""
    if answer.baseline is None:
        return math.nan
    low, high = float(answer.baseline[-1, 0]), float(answer.baseline[-1, -1])
    return math.log(math.log(high / low)) if 0 < low < high else math.nan


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
