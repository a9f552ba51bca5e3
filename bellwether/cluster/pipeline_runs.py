"""Runs on Kubeflow Pipelines: their parameters as a command gives them, and following one to its end."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from forecasting.adapters.workflows.client import REFRESH, TRAINING, Workflows
from forecasting.adapters.workflows.records import WorkflowRun
from forecasting.errors import BellwetherError, InvalidSettings, WorkflowsUnavailable
from pipelines.runs import RefreshParams, TrainingParams

PIPELINES: Final = {"training": TRAINING, "refresh": REFRESH}
"""Name in commands -> the pipeline's name on the cluster."""

_POLL_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 120.0


def full_name(short: str) -> str:
    """The name of a pipeline on the cluster.

    Raises:
        InvalidSettings: there is no such pipeline.
    """
    name = PIPELINES.get(short.removeprefix("bellwether-"))
    if name is None:
        raise InvalidSettings(
            "a pipeline must be known", repr(short), f"Choose {' or '.join(PIPELINES)}"
        )
    return name


def changed(pipeline: str, texts: Sequence[str]) -> dict[str, Any]:
    """Parameters given as `name=value`, each with the type its pipeline declares.

    Args:
        pipeline: name of the pipeline on the cluster.
        texts: e.g. ["folds=4", "symbols=AAPL,META", "candidates=ridge,random_walk"].

    Raises:
        InvalidSettings: a parameter is not one of the pipeline's, or its value has another type.
    """
    known = (TrainingParams() if pipeline == TRAINING else RefreshParams()).arguments()
    changes: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or name not in known:
            raise InvalidSettings(
                "a parameter is written name=value and is one of the pipeline's",
                repr(text),
                f"{pipeline} has {', '.join(known)}",
            )
        changes[name] = _typed(name, value, known[name])
    return changes


def _typed(name: str, value: str, example: Any) -> Any:
    if isinstance(example, list):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(example, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    types = (int, float) if isinstance(example, float) else (type(example),)
    if not isinstance(read, types) or isinstance(read, bool) is not isinstance(example, bool):
        raise InvalidSettings(
            f"the parameter {name} is a {type(example).__name__}", repr(value), f"e.g. {example}"
        )
    return read


def follow(
    workflows: Workflows,
    run_id: str,
    on_state: Callable[[WorkflowRun], None],
    *,
    timeout: float,
    poll_seconds: float = _POLL_SECONDS,
) -> WorkflowRun:
    """Watch a run until it has ended well.

    Args:
        workflows: where it runs.
        run_id: which.
        on_state: called with the run as often as it was asked for.
        timeout: seconds after which the watching ends; the run goes on.
        poll_seconds: seconds between two requests.

    Raises:
        BellwetherError: it failed or was canceled.
        WorkflowsUnavailable: the server did not answer for two minutes, or the run took longer
            than the timeout.
    """
    begun = last_answer_at = time.monotonic()
    while True:
        try:
            run = workflows.run(run_id)
            last_answer_at = time.monotonic()
        except WorkflowsUnavailable:
            if time.monotonic() - last_answer_at > _PATIENCE_SECONDS:
                raise
        else:
            on_state(run)
            if run.ended:
                return _ended_well(run, workflows.link(run_id))
        if time.monotonic() - begun > timeout:
            raise WorkflowsUnavailable(
                f"the run must end within {timeout:g} s",
                f"{run_id} has not",
                "It goes on; `bellwether pipeline list` shows its state",
            )
        time.sleep(poll_seconds)


def _ended_well(run: WorkflowRun, link: str) -> WorkflowRun:
    if run.ended_well:
        return run
    where = link or f"the run {run.id} in the UI of Kubeflow Pipelines"
    raise BellwetherError(
        "a run must end well",
        f"{run.name} is {run.state.lower()}" + (f": {run.error}" if run.error else ""),
        f"Read the logs of its steps: {where}",
    )


def as_mapping(run: WorkflowRun, link: str) -> Mapping[str, Any]:
    """A run for machines."""
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "seconds": run.seconds(datetime.now(UTC)),
        "error": run.error,
        "recurring_run_id": run.recurring_run_id,
        "steps": {step.name: step.state for step in run.steps},
        "link": link,
    }
