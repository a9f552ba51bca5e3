"""The model server's Prometheus collectors, built once from `forecasting.prometheus_metrics`.

Label children are looked up once per symbol and version and cached: `labels()` costs more than the
increment.
"""

from datetime import datetime
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from forecasting import prometheus_metrics
from forecasting.prometheus_metrics import Metric
from serving.inference import Answer
from serving.state import ServingState, Version

OTHER: Final = "other"
"""Label for symbols the server does not hold, so that callers cannot create time series."""

_BUCKETS: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
_COUNTERS: Final = (
    prometheus_metrics.REQUESTS,
    prometheus_metrics.REFUSALS,
    prometheus_metrics.PREDICTIONS,
    prometheus_metrics.SIGNALS,
    prometheus_metrics.STALE_ANSWERS,
    prometheus_metrics.REFUSED_SYMBOLS,
    prometheus_metrics.RELOADS,
    prometheus_metrics.LOG_ROWS,
    prometheus_metrics.SHADOW_REQUESTS,
)
_GAUGES: Final = (
    prometheus_metrics.FEATURE_AGE_SECONDS,
    prometheus_metrics.LAST_PRICE_TIMESTAMP,
    prometheus_metrics.BARS_HELD,
    prometheus_metrics.MODEL_INFO,
    prometheus_metrics.MODEL_CALIBRATION,
    prometheus_metrics.CALIBRATION_TIMESTAMP,
)


class Telemetry:
    """Every metric of the server.

    Args:
        registry: where the collectors are registered.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._collectors: dict[Metric, Any] = {
            metric: Counter(metric.name, metric.help, metric.labels, registry=registry)
            for metric in _COUNTERS
        }
        for metric in _GAUGES:
            self._collectors[metric] = Gauge(
                metric.name, metric.help, metric.labels, registry=registry
            )

        def by_protocol(seconds: Metric) -> dict[str, Any]:
            histogram = Histogram(
                seconds.name, seconds.help, seconds.labels, registry=registry, buckets=_BUCKETS
            )
            return {protocol: histogram.labels(protocol) for protocol in ("rest", "grpc")}

        self._seconds = by_protocol(prometheus_metrics.REQUEST_SECONDS)
        self._copy_seconds = by_protocol(prometheus_metrics.SHADOW_SECONDS)
        self._children: dict[tuple[object, ...], Any] = {}

    def _count(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        key = (metric.name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._collectors[metric].labels(*labels)
        child.inc(amount)

    def answered(self, answer: Answer, version: Version, protocol: str, seconds: float) -> None:
        """Count an answer; `seconds` since the request's last byte."""
        self._seconds[protocol].observe(seconds)
        known = version.features.newest_rows if version.features else {}
        number = version.number
        for symbol, move, signal in zip(answer.symbols, answer.moves, answer.signals, strict=True):
            label = symbol if symbol in known else OTHER
            self._count(prometheus_metrics.REQUESTS, label, "200")
            direction = "up" if move > 0 else "down" if move < 0 else "flat"
            self._count(prometheus_metrics.PREDICTIONS, label, number, direction)
            self._count(prometheus_metrics.SIGNALS, number, signal)
        for refusal in answer.refused:
            self._count(prometheus_metrics.REFUSED_SYMBOLS, str(refusal.error.status))
        if answer.origin.stale.any():
            self._count(prometheus_metrics.STALE_ANSWERS, "answered")

    def refused(
        self, status: int, protocol: str, seconds: float, *, stale: bool, symbol: str = OTHER
    ) -> None:
        """Count a request that got an error instead of an answer."""
        self._seconds[protocol].observe(seconds)
        self._count(prometheus_metrics.REQUESTS, symbol, str(status))
        if stale:
            self._count(prometheus_metrics.STALE_ANSWERS, "refused")

    def copied(self, status: int, protocol: str, seconds: float) -> None:
        """Count a copy of a user's request, whatever became of it: no judge and no alert sees it."""
        self._copy_seconds[protocol].observe(seconds)
        self._count(prometheus_metrics.SHADOW_REQUESTS, str(status))

    def turned_away(self, reason: str) -> None:
        """Count a request or a connection that no handler saw."""
        self._count(prometheus_metrics.REFUSALS, reason)

    def reload(self, what: str, outcome: str) -> None:
        """Count an attempt to load something."""
        self._count(prometheus_metrics.RELOADS, what, outcome)

    def log_rows(self, outcome: str, rows: int) -> None:
        """Count rows of the prediction log."""
        self._count(prometheus_metrics.LOG_ROWS, outcome, amount=rows)

    def show(self, state: ServingState) -> None:
        """Set the gauges to what is served now."""
        info = self._collectors[prometheus_metrics.MODEL_INFO]
        last = self._collectors[prometheus_metrics.LAST_PRICE_TIMESTAMP]
        bars = self._collectors[prometheus_metrics.BARS_HELD]
        calibration = self._collectors[prometheus_metrics.MODEL_CALIBRATION]
        learned = self._collectors[prometheus_metrics.CALIBRATION_TIMESTAMP]
        for gauge in (info, last, bars, calibration, learned):
            gauge.clear()
        for version in state.versions.values():
            if version.bundle is None or version.features is None:
                continue
            digest = version.bundle.digest[:16]
            info.labels(version.number, version.bundle.kind, version.alias, digest).set(1)
            calibration.labels(version.number).set(version.bundle.calibrated)
            if until := version.bundle.calibrated_until or version.bundle.manifest["training"].get(
                "last"
            ):
                learned.labels(version.number).set(datetime.fromisoformat(until).timestamp())
            served = version.features.served
            for symbol, newest in version.features.newest_rows.items():
                last.labels(symbol).set(float(newest.as_of[0]) / 1_000)
                bars.labels(symbol).set(float(served.bars_held[served.index[symbol]]))

    def watch_age(self, age: Any) -> None:
        """Compute the age of the newest bar whenever metrics are read."""
        self._collectors[prometheus_metrics.FEATURE_AGE_SECONDS].set_function(age)
