"""What Kubeflow Pipelines knows, as frozen records: versions, runs and their steps, recurring runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from forecasting.instants import EPOCH

_ENDED_WELL: Final = frozenset({"SUCCEEDED", "SKIPPED"})
ENDED: Final = _ENDED_WELL | {"FAILED", "CANCELED"}
"""States that a run does not leave by itself; the others are PENDING, RUNNING, CANCELING, PAUSED."""

_DRIVER: Final = "-driver"
_PLUMBING: Final = re.compile(r"root|iteration(-item)?|exit-handler-\d+")


@dataclass(frozen=True)
class PipelineVersion:
    """One uploaded version of a pipeline.

    Attributes:
        pipeline: the pipeline's name.
        name: the version's name: the content hash of what was uploaded.
        pipeline_id, id: as the server names both.
        created_at: aware UTC.
    """

    pipeline: str
    name: str
    pipeline_id: str
    id: str
    created_at: datetime

    @classmethod
    def read(cls, pipeline: str, answer: Mapping[str, Any]) -> "PipelineVersion":
        """The version in an answer."""
        return cls(
            pipeline,
            str(answer.get("name") or answer.get("display_name", "")),
            str(answer.get("pipeline_id", "")),
            str(answer["pipeline_version_id"]),
            instant(answer.get("created_at")) or EPOCH,
        )


@dataclass(frozen=True)
class StepState:
    """One step of a run, and how it fares."""

    name: str
    state: str


@dataclass(frozen=True)
class WorkflowRun:
    """One run.

    Attributes:
        id: the server's name for it.
        name: its display name; of a run with a key, `<pipeline> <key>`.
        state: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELING, CANCELED or PAUSED.
        created_at: aware UTC.
        finished_at: aware UTC, or None while it runs.
        error: why it failed, if the server says so; a failed run of 2.17 says nothing by itself,
            and then the steps that failed are named.
        pipeline_id, version_id: what it runs.
        recurring_run_id: the recurring run that started it; "" when nobody's schedule did.
        parameters: what it was started with.
        steps: its steps in the order of their start, as far as the server tells.
    """

    id: str
    name: str
    state: str
    created_at: datetime
    finished_at: datetime | None
    error: str
    pipeline_id: str
    version_id: str
    recurring_run_id: str
    parameters: Mapping[str, Any]
    steps: tuple[StepState, ...]

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in ENDED

    @property
    def ended_well(self) -> bool:
        """Whether it is over, and nothing failed."""
        return self.state in _ENDED_WELL

    @property
    def running_steps(self) -> str:
        """Names of the steps that run, separated by commas."""
        return ", ".join(step.name for step in self.steps if step.state == "RUNNING")

    def seconds(self, now: datetime) -> float:
        """How long it has run at `now` (aware), or ran."""
        return max(((self.finished_at or now) - self.created_at).total_seconds(), 0.0)

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> "WorkflowRun":
        """The run in an answer."""
        reference = answer.get("pipeline_version_reference") or {}
        state = str(answer.get("state") or "PENDING")
        steps = _steps((answer.get("run_details") or {}).get("task_details") or [])
        finished = instant(answer.get("finished_at"))
        error = (answer.get("error") or {}).get("message", "")
        if not error and state == "FAILED":
            error = ", ".join(
                f"step {step.name} failed" for step in steps if step.state == "FAILED"
            )
        return cls(
            id=str(answer["run_id"]),
            name=str(answer.get("display_name", "")),
            state=state,
            created_at=instant(answer.get("created_at")) or EPOCH,
            finished_at=finished if state in ENDED else None,
            error=str(error),
            pipeline_id=str(reference.get("pipeline_id", "")),
            version_id=str(reference.get("pipeline_version_id", "")),
            recurring_run_id=str(answer.get("recurring_run_id") or ""),
            parameters=(answer.get("runtime_config") or {}).get("parameters") or {},
            steps=steps,
        )


@dataclass(frozen=True)
class RecurringRun:
    """One schedule.

    Attributes:
        id: the server's name for it.
        name: its display name.
        enabled: whether it starts runs.
        cron: six fields, seconds first, or a word like @daily; "" for a period in seconds.
        pipeline_id, version_id: what it runs.
        parameters: what its runs are started with.
        no_catchup: whether intervals that were missed stay missed.
        max_concurrency: how many of its runs may run at a time.
        created_at: aware UTC.
    """

    id: str
    name: str
    enabled: bool
    cron: str
    pipeline_id: str
    version_id: str
    parameters: Mapping[str, Any]
    no_catchup: bool
    max_concurrency: int
    created_at: datetime

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> "RecurringRun":
        """The recurring run in an answer."""
        reference = answer.get("pipeline_version_reference") or {}
        trigger = (answer.get("trigger") or {}).get("cron_schedule") or {}
        return cls(
            id=str(answer["recurring_run_id"]),
            name=str(answer.get("display_name", "")),
            enabled=answer.get("status") == "ENABLED",
            cron=str(trigger.get("cron", "")),
            pipeline_id=str(reference.get("pipeline_id", "")),
            version_id=str(reference.get("pipeline_version_id", "")),
            parameters=(answer.get("runtime_config") or {}).get("parameters") or {},
            no_catchup=bool(answer.get("no_catchup", False)),
            max_concurrency=int(answer.get("max_concurrency") or 0),
            created_at=instant(answer.get("created_at")) or EPOCH,
        )


def instant(text: str | None) -> datetime | None:
    """An ISO-8601 instant, aware; None for none, which the server writes as 1970, too."""
    if not text:
        return None
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return None if moment == EPOCH else moment


def _steps(tasks: list[Mapping[str, Any]]) -> tuple[StepState, ...]:
    """The steps among a run's tasks, which are the nodes of its workflow.

    KFP's compiler puts a driver before every step, `ingest-driver` before `ingest`, and likewise
    before a loop's iterations and an exit handler, which are nobody's news.
    """
    ordered = sorted(
        tasks, key=lambda task: str(task.get("start_time") or task.get("create_time") or "")
    )
    names = [(str(task.get("display_name", "")), str(task.get("state", ""))) for task in ordered]
    driven = {name.removesuffix(_DRIVER) for name, _ in names if name.endswith(_DRIVER)}
    return tuple(
        StepState(name, state)
        for name, state in names
        if name in driven and not _PLUMBING.fullmatch(name)
    )
