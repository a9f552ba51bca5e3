"""What a shadow was good for: its answers beside the stable version's, and what they cost.

Answers are read from the prediction log, cost from Prometheus; what is not there is said.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from forecasting.adapters.cluster.manifests import service_name
from forecasting.adapters.monitoring.queries import Prometheus
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.clock import utc_now
from forecasting.errors import Unavailable
from forecasting.prometheus_metrics import REQUEST_SECONDS, SHADOW_REQUESTS
from forecasting.rollout.comparison import Comparison, Logged, compare
from forecasting.rollout.traffic import Shadow
from serving.rollout.evidence import RolloutPart, grown

CPU_SECONDS: Final = "process_cpu_seconds_total"
"""Counter of a process's CPU time, as every Prometheus client has it."""

SCRAPED_SECONDS: Final = 45.0
"""How long the servers' last counts may take to be scraped."""


@dataclass(frozen=True)
class Cost:
    """What copies cost, as Prometheus counted it from the shadow's begin to its end.

    Attributes:
        copies: requests that reached the shadow, by status code.
        shadow_cpu, stable_cpu: CPU seconds of the pods, what they take when idle included; None
            where it was scraped less than twice.
        stable_requests: requests that the other versions answered or refused.
    """

    copies: Mapping[str, float]
    shadow_cpu: float | None
    stable_cpu: float | None
    stable_requests: float

    @property
    def mirrored(self) -> float:
        """Copies that reached the shadow."""
        return sum(self.copies.values())

    def with_status(self, first: str) -> float:
        """Copies that got a status that begins so, e.g. "4"."""
        return sum(count for status, count in self.copies.items() if status.startswith(first))


@dataclass(frozen=True)
class ShadowReport:
    """A shadow from its begin to its end.

    Attributes:
        version, percent: who got copies, and of how many of the requests.
        since, until: when, aware UTC.
        comparison: of the logged answers; None where the log was not read.
        cost: as Prometheus counted it; None where nobody counted.
        remarks: what was not seen, and why, in words.
        ended_early: why it ended before its time; "" otherwise.
    """

    version: int
    percent: int
    since: datetime
    until: datetime
    comparison: Comparison | None = None
    cost: Cost | None = None
    remarks: tuple[str, ...] = ()
    ended_early: str = ""


@dataclass
class ShadowReporter(RolloutPart):
    """Reads what became of copies.

    Attributes:
        predictions: the prediction log; None where its database is not known.
        unknown: why it is not, in words.
    """

    predictions: PredictionLog | None = None
    unknown: str = ""
    _remarks: list[str] = field(default_factory=list)

    def report(self, shadow: Shadow, until: datetime, ended_early: str = "") -> ShadowReport:
        """Everything that is known of a shadow that has ended.

        Args:
            shadow: as it was on the route.
            until: when it ended.
            ended_early: why that was before its time.
        """
        since = shadow.since or until
        if shadow.since is None:
            self._remarks.append("the route does not say when the copies began")
        # Prometheus first: the log's rows are written within a second.
        cost = self._cost(shadow.version, since, until)
        comparison = self._comparison(since, until)
        return ShadowReport(
            version=shadow.version,
            percent=shadow.percent,
            since=since,
            until=until,
            comparison=comparison,
            cost=cost,
            remarks=tuple(self._remarks),
            ended_early=ended_early,
        )

    def _comparison(self, since: datetime, until: datetime) -> Comparison | None:
        if self.predictions is None:
            self._remarks.append(f"the answers were not compared: {self.unknown}")
            return None
        try:
            rows = self.predictions.mirrored(since, until)
        except Unavailable as error:
            self._remarks.append(f"the answers were not compared: {error.rule}: {error.found}")
            return None
        return compare(
            Logged(
                row.gateway_id,
                row.symbol,
                row.model_version,
                row.shadow,
                row.as_of,
                row.quantiles,
                row.processing_seconds,
            )
            for row in rows
        )

    def _cost(self, version: int, since: datetime, until: datetime) -> Cost | None:
        try:
            prometheus = self.connections.prometheus()
            if prometheus is None:
                self._remarks.append("refusals, failures and CPU were not counted: no Prometheus")
                return None
            place = f'namespace="{self.cluster.namespace}",inferenceservice!=""'
            own = service_name(self.config.model, version)
            copies = f'{SHADOW_REQUESTS.name}{{{place},inferenceservice="{own}"}}'
            self._wait_scraped(prometheus, copies, until)
            window = f"{max(15, math.ceil((utc_now() - since).total_seconds()))}s"
            by_status = prometheus.by_label(f"sum by (status) ({grown(copies, window)})", "status")
            requests = prometheus.by_label(
                "sum by (inferenceservice) "
                f"({grown(f'{REQUEST_SECONDS.name}_count{{{place}}}', window)})",
                "inferenceservice",
            )
            cpu = prometheus.by_label(
                f"sum by (inferenceservice) (increase({CPU_SECONDS}{{{place}}}[{window}]))",
                "inferenceservice",
            )
        except Unavailable as error:
            self._remarks.append(
                f"refusals, failures and CPU were not counted: {error.rule}: {error.found}"
            )
            return None
        if own not in cpu:
            self._remarks.append("the shadow's CPU was scraped too rarely to be known")
        others = [seconds for name, seconds in cpu.items() if name != own]
        return Cost(
            copies=by_status,
            shadow_cpu=cpu.get(own),
            stable_cpu=sum(others) if others else None,
            stable_requests=sum(count for name, count in requests.items() if name != own),
        )

    def _wait_scraped(self, prometheus: Prometheus, series: str, until: datetime) -> None:
        """Wait until Prometheus has seen what the servers counted last; says so if it has not."""
        deadline = time.monotonic() + SCRAPED_SECONDS
        while (prometheus.value(f"min(timestamp({series}))") or 0.0) < until.timestamp():
            if time.monotonic() > deadline:
                self._remarks.append(
                    f"Prometheus has no count of copies after the end, {SCRAPED_SECONDS:.0f} s on"
                )
                return
            time.sleep(2.0)
