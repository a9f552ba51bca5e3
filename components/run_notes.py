"""Stores the state of every step of a cluster's pipeline run in the lake: runs/<run>/<step>.json.

KFP keeps neither the outputs of a step that fails nor its error where a user looks, so every step
notes that it started, and then that it is done or why it failed. The note of another attempt takes
the place of the first. A note that says "started" and never changes is of a step that was killed.
"""

import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import orjson

from forecasting.errors import BellwetherError

RUN_ID: Final = "BELLWETHER_PIPELINE_RUN"
"""Variable that holds the run's id in a pod of a cluster; nothing is kept without it."""

FOLDER: Final = "runs"


@dataclass(frozen=True)
class StepNote:
    """How a step fared.

    Attributes:
        step: its name.
        label: tells parallel tasks of the step apart, e.g. the candidate; else "".
        state: "started", "done" or "failed".
        at: when it was noted, unix seconds.
        seconds: how long the step took, when it has ended.
        error: kind, rule, found and remedy of what it raised; empty unless it failed.
    """

    step: str
    label: str
    state: str
    at: float
    seconds: float
    error: dict[str, str]

    @property
    def name(self) -> str:
        """The step as people call it, e.g. "train ridge"."""
        return f"{self.step} {self.label}".strip()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a note.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        read: dict[str, Any] = orjson.loads(data)
        return cls(
            str(read["step"]),
            str(read["label"]),
            str(read["state"]),
            float(read["at"]),
            float(read.get("seconds", 0.0)),
            {str(key): str(value) for key, value in read.get("error", {}).items()},
        )


def run_id() -> str:
    """Id of the cluster's run this process is a step of; "" elsewhere."""
    return os.environ.get(RUN_ID, "")


def keep(step: str, label: str, state: str, **fields: Any) -> None:
    """Note how a step fares, if this is a step of a cluster's run.

    The step's own work, or its own error, is what matters: if the lake cannot be written to, that
    is said in the log and nothing else happens.
    """
    run = run_id()
    if not run:
        return
    from forecasting.adapters.lake.blobs import Blobs
    from forecasting.settings import Settings

    note = {"step": step, "label": label, "state": state, "at": time.time(), **fields}
    name = quote(f"{step} {label}".strip(), safe="")
    try:
        Blobs(Settings().lake).write(f"{FOLDER}/{quote(run, safe='')}/{name}.json", _bytes(note))
    except BellwetherError as fault:
        print(f"The note that {step} {state} was not kept: {fault}", file=sys.stderr)  # noqa: T201


def read_notes(lake: str, run: str) -> list[StepNote]:
    """The notes of a run, oldest first; one that is damaged is left out, and said on stderr.

    Raises:
        Unavailable: the lake cannot be read.
    """
    from forecasting.adapters.lake.blobs import Blobs

    blobs = Blobs(lake)
    folder = f"{FOLDER}/{quote(run, safe='')}"
    notes = []
    for name in blobs.names(folder):
        data = blobs.read_if_there(f"{folder}/{name}")
        try:
            notes += [] if data is None else [StepNote.from_bytes(data)]
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            print(f"The note {folder}/{name} is damaged: {fault!r}", file=sys.stderr)  # noqa: T201
    return sorted(notes, key=lambda note: note.at)


def _bytes(note: dict[str, Any]) -> bytes:
    return orjson.dumps(note, default=str)
