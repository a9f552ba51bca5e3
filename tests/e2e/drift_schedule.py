"""The drift job's schedule in the tests: every minute for a while, and then stuck."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.e2e.cluster import Cluster

CRONJOB = "bellwether-drift"
EVERY_MINUTE = "* * * * *"
LAST_SUCCESS = 'bellwether_job_last_success_timestamp_seconds{job_name="drift"}'
NOWHERE = {"bellwether.example/nowhere": "true"}


@dataclass(frozen=True)
class Stuck:
    """The time in which the job is stuck.

    Attributes:
        since: when it began.
        close: ends it, and the schedule of every minute.
    """

    since: datetime
    close: Callable[[], None]


@contextlib.contextmanager
def every_minute(cluster: Cluster) -> Iterator[None]:
    """In the block drift is measured every minute, and afterwards when the release says."""
    usual = cluster.get("cronjob", CRONJOB)["spec"]["schedule"]

    def patch(schedule: str) -> None:
        spec = json.dumps({"spec": {"schedule": schedule}})
        cluster.kubectl("patch", "cronjob", CRONJOB, f"--patch={spec}")

    patch(EVERY_MINUTE)
    try:
        yield
    finally:
        patch(usual)


@contextlib.contextmanager
def stuck(cluster: Cluster) -> Iterator[datetime]:
    """In the block the schedule's pods fit on no node, and wait for one; since when."""
    place = "/spec/jobTemplate/spec/template/spec/nodeSelector"

    def patch(operation: dict[str, object]) -> None:
        words = ("patch", "cronjob", CRONJOB, "--type=json", f"--patch={json.dumps([operation])}")
        cluster.kubectl(*words)

    patch({"op": "add", "path": place, "value": NOWHERE})
    try:
        yield datetime.now(UTC)
    finally:
        patch({"op": "remove", "path": place})
        for job in cluster.get("cronjob", CRONJOB)["status"].get("active", []):
            spec = cluster.get("job", job["name"])["spec"]["template"]["spec"]
            if spec.get("nodeSelector") == NOWHERE:
                cluster.delete("job", job["name"], "--cascade=foreground", "--wait")
