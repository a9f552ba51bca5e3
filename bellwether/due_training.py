"""Starts, on Kubeflow Pipelines, the training that lasting drift has asked for."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from bellwether.console import say

if TYPE_CHECKING:
    from forecasting.settings import Settings

WHO: Final = "drift"

_LOOKED_BACK: Final = timedelta(days=1)
_RUNS_READ: Final = 48


def start_training_if_due(settings: "Settings", *, now: datetime | None = None) -> str:
    """Start the training that a drift run of the last day has asked for, if none of its day runs.

    The policy asks once and is then silent for days, so a start that failed, because Kubeflow
    Pipelines was away, is made up for by the next run of the job: the key is the day of the drift
    run that asked, and asking again with it is harmless.

    Args:
        settings: where the lake and Kubeflow Pipelines are.
        now: the wall clock, aware; the present by default.

    Returns:
        The run's id, or "" when no training is due.

    Raises:
        UnknownWorkflow: there is no schedule whose version and parameters it could have.
        WorkflowsUnavailable: Kubeflow Pipelines is not there, or fails.
        Unavailable: the lake cannot be read.
    """
    from forecasting.adapters.drift.history import DriftHistory
    from forecasting.adapters.workflows.client import TRAINING, Workflows

    now = now or datetime.now(UTC)
    asked = [
        (measured, one.retrain)
        for one in DriftHistory(settings.lake).summaries(newest=_RUNS_READ)
        if one.retrain
        and now - (measured := datetime.fromisoformat(one.measured_at)) <= _LOOKED_BACK
    ]
    if not asked:
        return ""
    measured, why = max(asked)
    key = f"{WHO}-{measured.astimezone(UTC):%Y-%m-%d}"
    with Workflows.of(settings) as workflows:
        started = workflows.start_as_scheduled(TRAINING, key=key, changes={"who": WHO})
        link = workflows.link(started.run.id)
    said = "A training was started" if started.fresh else "Its training is there already"
    say(f"{said}, because {why}: {started.run.name} {link or started.run.id}")
    return started.run.id
