"""The record step: the notes of a run's steps -> what came of it, for people and for alerts."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.artifacts import Artifact
from components.run_notes import StepNote, read_notes, run_id
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings

_KILLED: Final = (
    "It started and was killed: it needed more memory than its limit, or more time, or its node "
    "went away. `kubectl describe pod` and the events of the namespace say which"
)
_SILENT: Final = (
    "No step says why. One of them did not start: its driver failed, its image could not be "
    "pulled, or no node had room. `kubectl get pods` and the run's graph show which"
)


def run(*, job: str, last_step: str, dataset: str, outcome: Artifact) -> None:
    """Write what came of the run; see the component for the arguments.

    Raises:
        InvalidSettings: this is no step of a cluster's run.
        Unavailable: the lake cannot be read.
    """
    settings = Settings()
    name = run_id()
    if not name:
        raise InvalidSettings(
            "the record step belongs to a run on a cluster", "BELLWETHER_PIPELINE_RUN is not set"
        )
    notes = read_notes(settings.lake, name)
    summary = markdown(job, name, notes, last_step)
    Path(outcome.path).write_text(summary)
    sys.stdout.write(summary)
    succeeded = succeeds(notes, last_step)
    outcome.metadata.update(job=job, succeeded=succeeded)
    if succeeded:
        from forecasting.adapters.lake.job_success import publish_success

        if unpublished := publish_success(settings, job, dataset):
            sys.stderr.write(f"{unpublished}\n")


def succeeds(notes: Sequence[StepNote], last_step: str) -> bool:
    """Whether a run did what it was for: its last step, which is never cached, is done."""
    return any(note.step == last_step and note.state == "done" for note in notes)


def markdown(job: str, name: str, notes: Sequence[StepNote], last_step: str) -> str:
    """What came of a run, for people.

    Args:
        job: what the run was for.
        name: the run's id.
        notes: how its steps fared.
        last_step: the step without which the run is no success.
    """
    if succeeds(notes, last_step):
        lines = [f"## The {job} is done", "", f"Run `{name}`.", ""]
    else:
        lines = [f"## The {job} failed", "", f"Run `{name}`, because:", "", *_reasons(notes), ""]
    lines += ["| step | state | seconds |", "|---|---|---:|"]
    lines += [f"| {note.name} | {_state(note)} | {note.seconds:.1f} |" for note in notes]
    lines += ["", "Steps that are not listed were reused from an earlier run, or never started."]
    return "\n".join(lines) + "\n"


def _reasons(notes: Sequence[StepNote]) -> list[str]:
    """Why a run failed; steps that failed say it themselves, and the killed ones cannot."""
    lines = [f"- **{note.name}**: {_sentence(note)}" for note in notes if note.state == "failed"]
    lines += [f"- **{note.name}**: {_KILLED}." for note in notes if note.state == "started"]
    return lines or [f"- {_SILENT}."]


def _sentence(note: StepNote) -> str:
    error = note.error
    detail = f": {error['found']}" if error.get("found") else ""
    remedy = f" {error['remedy']}." if error.get("remedy") else ""
    sentence = f"{error.get('rule', '')}{detail}. ({error.get('kind', 'error')}){remedy}"
    return " ".join(sentence.split())


def _state(note: StepNote) -> str:
    return "killed" if note.state == "started" else note.state
