"""Starts trainings on Kubeflow Pipelines and tells how the newest fares: what the page has in a cluster."""

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

_LOOK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0
_SIGNS: Final = {"SUCCEEDED": "done", "SKIPPED": "from an earlier run", "RUNNING": "running"}


@dataclass
class PipelineRetraining:
    """Trains by runs of the scheduled pipeline, whoever started them: page, schedule or drift job.

    Attributes:
        workflows: where they run.
        who: name for the promotion's audit trail.
        outcome_of: what a run of this id decided, or None where the registry cannot say.
        sources: what can be asked for.
    """

    workflows: Workflows
    who: str
    outcome_of: Callable[[str], PromotionOutcome | None] = lambda _: None
    sources: tuple[str, ...] = (AS_SCHEDULED,)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _newest: WorkflowRun | None = None
    _looked_at: float = float("-inf")

    @classmethod
    def of(
        cls, settings: Settings, outcome_of: Callable[[str], PromotionOutcome | None]
    ) -> "PipelineRetraining":
        """Retraining on the Kubeflow Pipelines that the settings name."""
        workflows = Workflows(
            settings.pipelines_url,
            public_url=settings.pipelines_public_url,
            timeout=_ANSWER_SECONDS,
        )
        return cls(workflows, settings.page_user, outcome_of)

    def start(self, symbols: Sequence[str], source: str) -> Training:
        """Start a run of what the schedule runs, unless a training is running.

        The key is the newest training there was before: whoever presses the same button at the
        same time, here or on another replica of the page, asks for the same run.

        Args:
            symbols: other symbols than the schedule's; none for its own.
            source: not asked: prices come from where the schedule's come from.

        Raises:
            InvalidInput: a symbol makes no sense.
            Unavailable: a training is running already, or Kubeflow Pipelines is not there.
            UnknownWorkflow: nothing is scheduled.
        """
        del source
        wanted = checked_symbols(symbols)
        changes = {"who": self.who} | ({"symbols": ",".join(wanted)} if wanted else {})
        with self._lock:
            before = self._look()
            if before is not None and not before.ended:
                raise Unavailable(
                    "only one training may run at a time",
                    f"{before.name} is running",
                    "Wait for it to end, then start yours",
                )
            key = f"page-after-{before.id if before else 'none'}"
            started = self.workflows.start_as_scheduled(TRAINING, key=key, changes=changes)
            self._newest, self._looked_at = started.run, time.monotonic()
        return self._training(started.run)

    def current(self) -> Training | None:
        """The newest training on the cluster, or None before the first.

        Raises:
            WorkflowsUnavailable: Kubeflow Pipelines is not there, or fails.
        """
        with self._lock:
            if time.monotonic() - self._looked_at > _LOOK_SECONDS:
                self._look()
            return None if self._newest is None else self._training(self._newest)

    def _look(self) -> WorkflowRun | None:
        """The newest training, with its steps."""
        newest = next(iter(self.workflows.runs(1, pipeline=TRAINING)), None)
        self._newest = newest and self.workflows.run(newest.id)
        self._looked_at = time.monotonic()
        return self._newest

    def _training(self, run: WorkflowRun) -> Training:
        outcome = self.outcome_of(run.id) if run.ended_well else None
        state: Literal["running", "promoted", "refused", "done", "failed"] = "running"
        if outcome is not None:
            state = outcome.outcome
        elif run.ended:
            state = "done" if run.ended_well else "failed"
        lines = [f"{run.name}: {run.state.lower()}"]
        lines += [f"{one.name}: {_SIGNS.get(one.state, one.state.lower())}" for one in run.steps]
        symbols = str(run.parameters.get("symbols", "")).split(",")
        return Training(
            state,
            str(run.parameters.get("source", "")),
            tuple(one for one in symbols if one),
            run.created_at,
            run.seconds(datetime.now(UTC)),
            (*lines, *([run.error] if run.error else [])),
            self.workflows.link(run.id),
            outcome,
        )
