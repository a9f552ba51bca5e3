"""The time of a job's success and how its fetch went, told to whoever watches."""

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.monitoring.pushed import publish
from forecasting.clock import utc_now
from forecasting.errors import SnapshotCorrupted, Unavailable
from forecasting.settings import Settings


def publish_success(settings: Settings, job: str, dataset: str) -> str:
    """Publish that a job ended well, and how its fetch went.

    The job's work is done and stays done when the Pushgateway is down, so that is no error: an
    alert on the age of the last success sees it if it lasts.

    Args:
        settings: where the lake, the Pushgateway or the metrics' file is.
        job: the job's name in the metrics.
        dataset: the data set whose last fetch is told.

    Returns:
        "" when it was published, else a sentence that says why not.
    """
    try:
        record = Lake(settings.lake).last_fetch(dataset)
        publish(
            job,
            record.samples(dataset) if record else (),
            gateway_url=settings.pushgateway_url,
            file=settings.metrics_file(job),
            succeeded_at=utc_now().timestamp(),
        )
    except (SnapshotCorrupted, Unavailable) as fault:
        return f"The time of this success was not published: {fault}"
    return ""
