"""Starts trainings on Kubeflow Pipelines and reports the state of the newest one.

Tested with the other callers of Kubeflow Pipelines in tests/contract/test_pipeline_commands.py.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from forecasting.adapters.workflows.client import TRAINING, Workflows
from forecasting.adapters.workflows.records import WorkflowRun
from forecasting.errors import Unavailable
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.settings import Settings
from gradio_app.retraining import Training, checked_symbols

AS_SCHEDULED: Final = "as scheduled"
"""The one source: a reader cannot make the cluster's champion learn from other prices."""

_FRESH_SECONDS: Final = 5.0
_TIMEOUT_SECONDS: Final = 5.0
_STATES: Final = {"SUCCEEDED": "done", "SKIPPED": "from an earlier run", "RUNNING": "running"}


@dataclass
class PipelineRetraining:
    """Trains by runs of the scheduled pipeline, whoever started them: page, schedule or drift job.

    Attributes:
        workflows: where they run.
        outcome_of: what a run of this id decided, or None where the registry cannot say.
        sources: what can be asked for.
    """

    workflows: Workflows
    outcome_of: Callable[[str], PromotionOutcome | None] = lambda _: None
    sources: tuple[str, ...] = (AS_SCHEDULED,)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _newest: WorkflowRun | None = None
    _read_at: float = float("-inf")

    @classmethod
    def of(
        cls, settings: Settings, outcome_of: Callable[[str], PromotionOutcome | None]
    ) -> "PipelineRetraining":
        """Retraining on the Kubeflow Pipelines that the settings name."""
        workflows = Workflows(
            settings.pipelines_url,
            public_url=settings.pipelines_public_url,
            timeout=_TIMEOUT_SECONDS,
        )
        return cls(workflows, outcome_of)

    def start(self, symbols: Sequence[str], source: str, who: str) -> Training:
        """Start a run of what the schedule runs, unless a training is running.

        The key is the newest training there was before: whoever presses the same button at the
        same time, here or on another replica of the page, asks for the same run.

        Args:
            symbols: other symbols than the schedule's; none for its own.
            source: not asked: prices come from where the schedule's come from.
            who: name for the promotion's audit trail.

        Raises:
            InvalidInput: a symbol makes no sense.
            Unavailable: a training is running already, or Kubeflow Pipelines is not there.
            UnknownWorkflow: nothing is scheduled.
        """
        del source
        changes = {"who": who}
        if other_symbols := checked_symbols(symbols):
            changes["symbols"] = ",".join(other_symbols)
        with self._lock:
            before = self._read_newest()
            if before is not None and not before.ended:
                raise Unavailable(
                    "only one training may run at a time",
                    f"{before.name} is running",
                    "Wait for it to end, then start yours",
                )
            key = f"page-after-{before.id if before else 'none'}"
            started = self.workflows.start_as_scheduled(TRAINING, key=key, changes=changes)
            self._newest, self._read_at = started.run, time.monotonic()
        return self._state_of(started.run)

    def current(self) -> Training | None:
        """The newest training on the cluster, or None before the first.

        Raises:
            WorkflowsUnavailable: Kubeflow Pipelines is not there, or fails.
        """
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._read_newest()
            newest = self._newest
        return None if newest is None else self._state_of(newest)

    def _read_newest(self) -> WorkflowRun | None:
        """The newest training, with its steps."""
        newest = next(iter(self.workflows.runs(1, pipeline=TRAINING)), None)
        self._newest = newest and self.workflows.run(newest.id)
        self._read_at = time.monotonic()
        return self._newest

    def _state_of(self, run: WorkflowRun) -> Training:
        outcome = self.outcome_of(run.id) if run.ended_well else None
        state: Literal["running", "promoted", "refused", "done", "failed"] = "running"
        if outcome is not None:
            state = outcome.outcome
        elif run.ended:
            state = "done" if run.ended_well else "failed"
        lines = [f"{run.name}: {run.state.lower()}"]
        lines += [
            f"{step.name}: {_STATES.get(step.state, step.state.lower())}" for step in run.steps
        ]
        symbols = str(run.parameters.get("symbols", "")).split(",")
        return Training(
            state,
            str(run.parameters.get("source", "")),
            tuple(filter(None, symbols)),
            run.created_at,
            run.seconds(datetime.now(UTC)),
            (*lines, *([run.error] if run.error else [])),
            self.workflows.link(run.id),
            outcome,
        )
