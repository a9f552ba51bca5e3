"""Publishes the time of a job's success, how its fetch went, and what versions ask of it, for monitoring."""

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.clock import utc_now
from forecasting.errors import SnapshotCorrupted, Unavailable
from forecasting.prometheus_metrics import FEATURE_SPECIFICATIONS, SYMBOLS_DIFFERING
from forecasting.settings import Settings


def publish_success(settings: Settings, job: str, dataset: str) -> str:
    """Publish that a job ended well, and how its fetch went.

    The job's work is done and stays done when the Pushgateway is down, so that is no error: an
    alert on the age of the last success sees it if it lasts.

    Args:
        settings: where the lake, the Pushgateway or the metrics' file is.
        job: the job's name in the metrics.
        dataset: the data set whose last fetch is published.

    Returns:
        "" when it was published, else a sentence that says why not.
    """
    try:
        lake = Lake(settings.lake)
        record, differing = lake.last_fetch(dataset), lake.differing_symbols(dataset)
        samples = list(record.samples(dataset)) if record else []
        if job == "refresh" and differing is not None:
            samples.append(Sample(SYMBOLS_DIFFERING, (dataset,), float(differing)))
        if job == "refresh":
            used = [
                specification
                for specification in lake.specifications(dataset)
                if lake.idle_since(dataset, specification) is None
            ]
            samples.append(Sample(FEATURE_SPECIFICATIONS, (dataset,), float(len(used))))
        publish(
            job,
            samples,
            gateway_url=settings.pushgateway_url,
            file=settings.metrics_file(job),
            succeeded_at=utc_now().timestamp(),
        )
    except (SnapshotCorrupted, Unavailable) as fault:
        return f"The time of this success was not published: {fault}"
    return ""
