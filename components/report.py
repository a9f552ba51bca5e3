"""Reports the progress of a step: started, how far, done, or its error in full.

On a laptop it goes into the folder that BELLWETHER_RUN_DIR names. On a cluster, where a failed
step's outputs are not kept, it goes into the lake (`components.run_notes`), from where the record
step shows it.
"""

import json
import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from components.run_notes import keep
from forecasting.errors import to_record

RUN_DIR: Final = "BELLWETHER_RUN_DIR"
"""Variable that names the folder of a local run."""

RUN_REQUEST: Final = "request.json"
"""File in that folder that holds what the run was asked for."""

THREADS: Final = "BELLWETHER_STEP_THREADS"
"""Variable that shares a laptop's cores among the steps that run at the same time."""

EVENTS: Final = "events.jsonl"
STARTED: Final = "started"
PROGRESS: Final = "progress"
DONE: Final = "done"
FAILED: Final = "failed"

P = ParamSpec("P")
R = TypeVar("R")


def reported(step: str, *, label: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Tell how a step fares, from its start to its end.

    Args:
        step: name of the step.
        label: name of the keyword argument that tells parallel tasks of the step apart.
    """

    def decorate(work: Callable[P, R]) -> Callable[P, R]:
        @wraps(work)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            name = str(kwargs.get(label, "")) if label else ""
            started = time.monotonic()
            _tell_and_keep(step, name, STARTED)
            try:
                result = work(*args, **kwargs)
            except Exception as error:
                seconds = time.monotonic() - started
                _tell_and_keep(step, name, FAILED, seconds=seconds, error=to_record(error))
                raise
            _tell_and_keep(step, name, DONE, seconds=time.monotonic() - started)
            return result

        return run

    return decorate


def _tell_and_keep(step: str, label: str, state: str, **fields: Any) -> None:
    tell(step, label, state, **fields)
    keep(step, label, state, **fields)


def tell(step: str, label: str, state: str, **fields: Any) -> None:
    """Append one event to the run's folder; without one, do nothing."""
    folder = os.environ.get(RUN_DIR)
    if not folder:
        return
    event = {"step": step, "label": label, "state": state, "at": time.time(), **fields}
    line = json.dumps(event, default=str) + "\n"
    # One write of an appended line: steps that run at the same time do not mix their lines.
    descriptor = os.open(Path(folder) / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
