"""Recurring runs: what a schedule of ours has to be, and making the cluster's be that."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from forecasting.adapters.workflows.http import WorkflowApi
from forecasting.adapters.workflows.records import PipelineVersion, RecurringRun
from forecasting.errors import BellwetherError, InvalidSettings

RECURRING: Final = "/recurringruns"
_AT_A_TIME: Final = 1

Outcome = Literal["kept", "created", "replaced"]


@dataclass(frozen=True)
class Schedule:
    """When a version of a pipeline runs, and with what.

    Missed intervals stay missed, and a run starts only when the one before is over.

    Attributes:
        version: what runs; the recurring run bears its pipeline's name.
        cron: five fields or a word like @daily, as Kubernetes writes it, in the time zone of the
            cluster's scheduler: the API knows no time zone, the scheduled-workflow controller has
            one for all of its recurring runs (CRON_SCHEDULE_TIMEZONE, UTC by default).
        parameters: the pipeline's arguments.
        enabled: whether it starts runs.
    """

    version: PipelineVersion
    cron: str
    parameters: Mapping[str, Any]
    enabled: bool = True

    @property
    def name(self) -> str:
        """The recurring run's display name."""
        return self.version.pipeline

    def body(self) -> dict[str, Any]:
        """What is sent to create it."""
        return {
            "display_name": self.name,
            "description": f"Version {self.version.name}; kept by `bellwether pipeline schedule`.",
            "pipeline_version_reference": {
                "pipeline_id": self.version.pipeline_id,
                "pipeline_version_id": self.version.id,
            },
            "runtime_config": {"parameters": dict(self.parameters)},
            "max_concurrency": str(_AT_A_TIME),
            "trigger": {"cron_schedule": {"cron": six_fields(self.cron)}},
            "mode": "ENABLE" if self.enabled else "DISABLE",
            "no_catchup": True,
        }

    def is_met_by(self, existing: RecurringRun) -> bool:
        """Whether a recurring run does just this, enabled or not."""
        return (
            (existing.name, existing.pipeline_id, existing.version_id)
            == (self.name, self.version.pipeline_id, self.version.id)
            and existing.cron == six_fields(self.cron)
            and dict(existing.parameters) == dict(self.parameters)
            and existing.no_catchup
            and existing.max_concurrency == _AT_A_TIME
        )


def six_fields(cron: str) -> str:
    """A cron schedule as Kubeflow Pipelines reads it: with seconds in front.

    Args:
        cron: five fields, or a word like @daily.

    Raises:
        InvalidSettings: it is neither.
    """
    fields = cron.split()
    if len(fields) == 1 and re.fullmatch(r"@[a-z]+", fields[0]):
        return fields[0]
    if len(fields) != 5 or fields[0].startswith(("TZ=", "CRON_TZ=")):
        raise InvalidSettings(
            "a schedule has five fields: minute, hour, day of month, month, day of week",
            repr(cron),
            "Write e.g. '0 6 * * 6' or @weekly; a time zone cannot stand in it, it is the "
            "scheduler's own",
        )
    return " ".join(("0", *fields))


def named(api: WorkflowApi, name: str) -> list[RecurringRun]:
    """The recurring runs of a name, the newest first. Errors as `WorkflowApi.get`."""
    answers = api.every(RECURRING, "recurringRuns", equal={"display_name": name}, newest_first=True)
    # A database may compare without regard to case.
    return [recurring for recurring in map(RecurringRun.read, answers) if recurring.name == name]


def apply(api: WorkflowApi, schedule: Schedule) -> tuple[Outcome, str]:
    """Make the cluster have this one recurring run of its name.

    The API cannot change a recurring run. One that is outdated is disabled, the new one is created,
    then the old one is deleted; so no interval starts two runs, and when the creation fails the old
    one is enabled again. Runs of a deleted one go on.

    Args:
        api: the server.
        schedule: what has to be.

    Returns:
        What came of it, and the recurring run's id.

    Raises:
        InvalidRequest: the server does not take the schedule or its parameters.
        UnknownWorkflow: the version is gone.
        WorkflowsUnavailable: the server fails or is not there.
    """
    body = schedule.body()
    existing = named(api, schedule.name)
    current = next((recurring for recurring in existing if schedule.is_met_by(recurring)), None)
    outdated = [recurring for recurring in existing if recurring is not current]
    if current is not None:
        if current.enabled != schedule.enabled:
            _switch(api, current, on=schedule.enabled)
        _delete(api, outdated)
        return "kept", current.id
    running = [recurring for recurring in outdated if recurring.enabled]
    for recurring in running:
        _switch(api, recurring, on=False)
    try:
        made = RecurringRun.read(api.post(RECURRING, body))
    except BellwetherError:
        for recurring in running:
            _switch(api, recurring, on=True)
        raise
    _delete(api, outdated)
    return ("replaced" if outdated else "created"), made.id


def remove(api: WorkflowApi, name: str) -> int:
    """Delete all recurring runs of a name; how many there were. Errors as `WorkflowApi.get`."""
    existing = named(api, name)
    _delete(api, existing)
    return len(existing)


def _switch(api: WorkflowApi, recurring: RecurringRun, *, on: bool) -> None:
    api.post(f"{RECURRING}/{recurring.id}:{'enable' if on else 'disable'}")


def _delete(api: WorkflowApi, outdated: list[RecurringRun]) -> None:
    for recurring in outdated:
        # Without ORPHAN, Kubernetes would remove its running workflows, too: they are its children.
        api.delete(f"{RECURRING}/{recurring.id}", propagation_policy="ORPHAN")
