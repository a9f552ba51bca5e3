"""Metrics of jobs that end: to a Prometheus Pushgateway, or to a text file when there is none.

One group per job: each push replaces the whole group, so series of columns or versions that are
gone disappear, and the Pushgateway, which never forgets, holds no run or pod.
"""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.errors import InvalidSettings, Unavailable
from forecasting.prometheus_metrics import JOB_SUCCESS_TIMESTAMP, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


@dataclass(frozen=True)
class Sample:
    """One value of a metric.

    Attributes:
        metric: a gauge of `forecasting.prometheus_metrics`.
        labels: values of its labels, in the order the metric declares.
        value: in the metric's unit.
    """

    metric: Metric
    labels: tuple[str, ...]
    value: float


def publish(
    job: str,
    samples: Iterable[Sample],
    *,
    gateway_url: str,
    file: Path,
    succeeded_at: float,
    timeout: float = 10.0,
) -> str:
    """Publish what a job that ended well found, with the time of its success.

    Call it last: a job that fails publishes nothing, so the figures and the success timestamp of
    its last good run stay, and an alert on their age sees the failure.

    Args:
        job: the job's name, the Pushgateway's only grouping key.
        samples: values of gauges; a repeated label set keeps its last value.
        gateway_url: http address of the Pushgateway, or "".
        file: where to write when there is no Pushgateway, in the text format.
        succeeded_at: unix seconds.
        timeout: seconds the Pushgateway may take.

    Returns:
        Where the metrics went: the gateway's address or the file's path.

    Raises:
        InvalidSettings: the gateway's address is no http address.
        Unavailable: the Pushgateway cannot be reached or refuses the metrics.
    """
    registry = _registry([*samples, Sample(JOB_SUCCESS_TIMESTAMP, (job,), succeeded_at)])
    if not gateway_url:
        _write(registry, file)
        return str(file)
    if not gateway_url.startswith(("http://", "https://")):
        raise InvalidSettings(
            "pushgateway_url must be an http address",
            repr(gateway_url),
            "Set BELLWETHER_PUSHGATEWAY_URL, e.g. http://127.0.0.1:9091, or leave it empty",
        )
    from prometheus_client import push_to_gateway

    try:
        push_to_gateway(gateway_url, job=job, registry=registry, timeout=timeout)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(
            "the Pushgateway must take the metrics",
            f"{gateway_url}: {error}",
            "Start it, or unset BELLWETHER_PUSHGATEWAY_URL to write a text file instead",
        ) from error
    return gateway_url


def _registry(samples: Iterable[Sample]) -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for sample in samples:
        metric = sample.metric
        if metric.kind != "gauge":
            raise ValueError(f"a batch job publishes gauges, and {metric.name} is a {metric.kind}")
        if metric.name not in gauges:
            gauges[metric.name] = Gauge(
                metric.name, metric.help, labelnames=metric.labels, registry=registry
            )
        gauge = gauges[metric.name]
        (gauge.labels(*sample.labels) if metric.labels else gauge).set(sample.value)
    return registry


def _write(registry: "CollectorRegistry", file: Path) -> None:
    from prometheus_client import generate_latest

    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(generate_latest(registry))
        Path(temporary).chmod(0o644)  # a node exporter of another user reads it
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
