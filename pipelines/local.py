"""Runs the pipelines on this machine; reports every step, and raises the error of a failed one."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from components.provenance import package_versions
from components.report import EVENTS, FAILED, RUN_DIR, RUN_REQUEST, STARTED, THREADS
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import require_champions_dataset
from forecasting.adapters.registry.server import MlflowServer
from forecasting.errors import BellwetherError, from_record
from forecasting.settings import Settings
from pipelines.runs import (
    REFRESH_STEPS,
    REUSED,
    TRAINING_STEPS,
    Progress,
    RefreshOutcome,
    RefreshParams,
    StepEvent,
    TrainingOutcome,
    TrainingParams,
)

__all__ = [
    "REFRESH_STEPS",
    "TRAINING_STEPS",
    "RefreshOutcome",
    "RefreshParams",
    "StepEvent",
    "TrainingOutcome",
    "TrainingParams",
    "require_trainable",
    "run_refresh",
    "run_training",
]

_LOOK_SECONDS = 0.1
_KEPT_RUNS = 10
_RUN_FOLDER = re.compile(r"[0-9]{8}T[0-9]{6}-[a-z]+-[0-9a-f]{6}")
_PARALLEL = 2  # KFP's local runner never runs more iterations of a loop at a time


def run_training(
    settings: Settings, params: TrainingParams, progress: Progress | None = None
) -> TrainingOutcome:
    """Run the training pipeline here and wait for it.

    Args:
        settings: where things are; handed to every step.
        params: what the run is about.
        progress: called with every step's events: started, in progress, ended.

    Raises:
        RegistryUnavailable: MLflow is down; asked first, so nothing was written.
        InvalidSettings: the champion learned from another data set; likewise.
        BellwetherError: the error of the step that failed, as the step raised it.
    """
    require_trainable(settings, params)
    run = _Run(settings, "training", TRAINING_STEPS, params.arguments(), progress)
    outputs = run.outputs()
    return TrainingOutcome.read(outputs, run.log, run.seconds)


def require_trainable(settings: Settings, params: TrainingParams) -> None:
    """Refuse a training whose challenger would be refused in the end, before anything is fetched.

    Raises:
        RegistryUnavailable: MLflow is down.
        InvalidSettings: the champion learned from another data set.
    """
    MlflowServer(settings.registry_url).check()
    with RegistryReader(settings.registry_url, settings.registered_model) as registry:
        require_champions_dataset(
            registry.champion(), params.dataset, may_change=settings.dataset_may_change
        )


def run_refresh(
    settings: Settings, params: RefreshParams, progress: Progress | None = None
) -> RefreshOutcome:
    """Run the refresh pipeline here and wait for it; arguments and errors as in `run_training`."""
    run = _Run(settings, "refresh", REFRESH_STEPS, params.refresh_arguments(), progress)
    outputs = run.outputs()
    return RefreshOutcome(outputs["snapshot"], outputs["published"], run.log, run.seconds)


class _Run:
    """One run: its folder, its process, its events."""

    def __init__(
        self,
        settings: Settings,
        pipeline: str,
        steps: Sequence[str],
        arguments: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        runs = settings.state_dir.resolve() / "runs"
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.folder = runs / f"{stamp}-{pipeline}-{secrets.token_hex(3)}"
        self.log = self.folder / "log.txt"
        self.seconds = 0.0
        self._settings = settings
        self._steps = steps
        self._arguments = arguments
        self._pipeline = pipeline
        self._progress = progress or _ignore
        self._reported: set[tuple[str, str]] = set()
        self._read = 0

    def outputs(self) -> dict[str, Any]:
        """Run the pipeline to its end and return its outputs by name."""
        begun = time.monotonic()
        self.folder.mkdir(parents=True)
        request = {
            "pipeline": self._pipeline,
            "arguments": self._arguments,
            "cache": str(self.folder.parent / ".cache" / _code_digest()),
        }
        (self.folder / RUN_REQUEST).write_text(json.dumps(request))
        with self._process() as process:
            while process.poll() is None:
                self._tell()
                time.sleep(_LOOK_SECONDS)
        self._tell()
        self.seconds = time.monotonic() - begun
        _forget_old_runs(self.folder.parent)
        outcome = self.folder / "outcome.json"
        if process.returncode != 0 or not outcome.is_file():
            raise BellwetherError(
                f"the {self._pipeline} pipeline must run to its end",
                f"it ended with code {process.returncode} and no step said why; "
                f"its last words: {_last_words(self.log)}",
                f"Read {self.log}",
            )
        for step in self._steps:
            self._reused(step)
        outputs: dict[str, Any] = json.loads(outcome.read_text())
        return outputs

    @contextmanager
    def _process(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the executor; whatever happens, none of its processes outlive this."""
        scratch = tempfile.mkdtemp(prefix="bellwether-")
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        cpus = len(os.sched_getaffinity(0))
        environment = {
            **os.environ,
            **self._settings.as_variables(),
            RUN_DIR: str(self.folder),
            THREADS: str(max(cpus // _PARALLEL, 1)),
            "PYTHONPATH": path,
            "PYTHONSAFEPATH": "1",  # a folder named like ours where the user stands is not ours
            "TMPDIR": scratch,  # KFP leaves a folder behind for every step
        }
        command = [sys.executable, "-m", "pipelines.executor", str(self.folder)]
        with self.log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            _end(process)
            shutil.rmtree(scratch, ignore_errors=True)

    def _tell(self) -> None:
        """Pass on what the steps have written since the last look; raise what made one fail."""
        events = self.folder / EVENTS
        if not events.is_file():
            return
        with events.open("rb") as file:
            file.seek(self._read)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["state"] == STARTED:
                for step in self._steps[: self._steps.index(event["step"])]:
                    self._reused(step)
                self._reported.add((event["step"], event["label"]))
            self._progress(
                StepEvent(
                    event["step"],
                    event["label"],
                    event["state"],
                    event.get("message", ""),
                    event.get("seconds", 0.0),
                )
            )
            if event["state"] == FAILED:
                raise _raised(event, self.log)

    def _reused(self, step: str) -> None:
        """Tell of the tasks of a step that never started: their results were there."""
        parallel = {"train": "candidates", "fetch": "shards"}
        labels = self._arguments[parallel[step]] if step in parallel else [""]
        for label in labels:
            if (step, label) not in self._reported:
                self._reported.add((step, label))
                self._progress(StepEvent(step, label, REUSED))


def _raised(event: dict[str, Any], log: Path) -> BellwetherError:
    """The error a step raised; one that is not of our tree comes as its root."""
    record = event["error"]
    name = f"{event['step']} {event['label']}".strip()
    return from_record(record) or BellwetherError(
        f"the step {name} must run to its end", f"{record['kind']}: {record['rule']}", f"Read {log}"
    )


def _last_words(log: Path) -> str:
    """The last line of a log, without colours."""
    lines = log.read_text(errors="replace").split("\n")
    written = [line.strip() for line in lines if line.strip()]
    return re.sub(r"\x1b\[[0-9;]*m", "", written[-1])[:400] if written else "none"


def _end(process: "subprocess.Popen[bytes]") -> None:
    for word in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, word)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _code_digest() -> str:
    """What the cached results depend on besides their inputs: our code and the packages' versions."""
    root = Path(__file__).resolve().parent.parent
    digest = sha256(f"{sys.version} {sorted(package_versions().items())}".encode())
    for package in ("components", "forecasting", "pipelines"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_old_runs(runs: Path) -> None:
    """Remove all but the newest runs; what the cache knew of them it finds missing and redoes."""
    finished = sorted(path for path in runs.iterdir() if _RUN_FOLDER.fullmatch(path.name))
    for path in finished[:-_KEPT_RUNS]:
        shutil.rmtree(path, ignore_errors=True)  # of a link it removes nothing


def _ignore(_: StepEvent) -> None:
    pass
