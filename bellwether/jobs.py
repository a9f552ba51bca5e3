"""The jobs behind the commands: ingest, training, refresh and drift, run here with visible progress."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bellwether.console import console, say, table
from forecasting.errors import Unavailable
from forecasting.settings import Settings
from pipelines.local import (
    REFRESH_STEPS,
    TRAINING_STEPS,
    RefreshOutcome,
    RefreshParams,
    StepEvent,
    TrainingOutcome,
    TrainingParams,
    run_refresh,
    run_training,
)

if TYPE_CHECKING:
    from forecasting.adapters.drift.job import DriftOptions

STARTED_BY_DRIFT: Final = "drift"
"""Name, in the audit trail, of what a training that drift asked for is started by."""

_DUE_WITHIN: Final = timedelta(days=1)
_DRIFT_RUNS_READ: Final = 48
_NOTING: Final = ("needs", "ingest", "publish", "recalibrate")
"""Steps whose messages say something of the data, and are kept on the screen."""

_ENDED_MARKS: Final = {"done": "[green]✓[/]", "reused": "[cyan]=[/]", "failed": "[red]✗[/]"}


def train_models(
    settings: Settings, params: TrainingParams, outcome_file: Path | None = None
) -> TrainingOutcome:
    """Run the training pipeline, and then a refresh for every version in use.

    The training has published what its own versions need. A source or a store that fails in the
    refresh is told and is no reason to train again: the next refresh makes up for it.

    Args:
        settings: where things are.
        params: what the run is about.
        outcome_file: written with what the training decided, for programs; see
            `forecasting.evaluation.promotion_outcome`. None writes none.

    Raises:
        BellwetherError: the error of the step that failed.
    """
    outcome = run_training_visibly(settings, params)
    if outcome_file is not None:
        outcome.promotion.write(outcome_file)
    _publish_success(settings, "training", params.dataset)
    try:
        refresh_features(settings, params)
    except Unavailable as error:
        say(f"[yellow]![/] The refresh after the training failed: {error}")
    return outcome


def run_training_visibly(
    settings: Settings, params: TrainingParams, *, notes: bool = True
) -> TrainingOutcome:
    """Run the training pipeline, show its steps and its outcome, and keep its report.

    Args:
        settings: where things are.
        params: what the run is about.
        notes: whether to print what the source says about the prices.

    Raises:
        BellwetherError: the error of the step that failed.
    """
    steps = len(TRAINING_STEPS) + len(params.candidates) - 1 + params.shards - 1
    with _steps("Training", steps, notes=notes) as progress:
        outcome = run_training(settings, params, progress)
    report = settings.state_dir / "report.html"
    draft = report.with_name(".report.html.part")
    draft.write_bytes(outcome.report.read_bytes())
    draft.replace(report)
    _show_outcome(outcome, report)
    return outcome


def refresh_features(settings: Settings, params: RefreshParams) -> RefreshOutcome:
    """Run the refresh pipeline.

    Raises:
        BellwetherError: the error of the step that failed.
    """
    with _steps("Refreshing", len(REFRESH_STEPS) + params.shards - 1) as progress:
        outcome = run_refresh(settings, params, progress)
    say(
        f"[green]✓[/] Features of snapshot {outcome.snapshot} are published "
        f"({outcome.seconds:.0f} s)"
    )
    _publish_success(settings, "refresh", params.dataset)
    return outcome


def ingest_prices(
    settings: Settings,
    source: str,
    symbols: tuple[str, ...],
    interval: str,
    dataset: str,
    options: Mapping[str, object],
) -> None:
    """Fetch, check and freeze prices, and print a summary.

    Raises:
        BellwetherError: the source failed, or its bars are not fit to be kept.
    """
    from forecasting.adapters import ingest
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.open import open_secondary, open_source

    lake = Lake(settings.lake)
    opened = open_source(source, settings, **options)
    with console.status(f"Fetching {interval} bars from {source} ..."):
        ingested = ingest.ingest_prices(
            opened,
            lake,
            dataset,
            symbols=symbols,
            interval=interval,
            last_good_days=settings.last_good_days,
            secondary=open_secondary(opened, settings),
        )
    for note in ingested.notes:
        say(f"[dim]· {note}[/]")
    snapshot = ingested.snapshot
    faults = lake.quarantine(snapshot)
    say(
        f"[green]✓[/] Snapshot {snapshot.id} of {dataset}: {snapshot.rows:,} bars of "
        f"{len(snapshot.symbols)} symbols, {snapshot.first:%Y-%m-%d} to {snapshot.last:%Y-%m-%d}, "
        f"{len(faults)} in quarantine"
    )
    if len(faults):
        counts = Counter(zip(faults["symbol"], faults["fault"], strict=True))
        rows = [(str(symbol), str(fault), str(n)) for (symbol, fault), n in sorted(counts.items())]
        console.print(table("Quarantine", ["symbol", "fault", ">bars"], rows))


def measure_drift(settings: Settings, options: "DriftOptions") -> bool:
    """Run the drift job once and print its verdicts; whether anything drifted.

    Raises:
        BellwetherError: something it needs is missing, stale or unreachable.
    """
    from forecasting.adapters.drift.job import run_drift

    with console.status("Measuring drift, realised error, coverage and variance ..."):
        outcome = run_drift(settings, options)
    summary = outcome.summary
    rows = []
    for scope in summary.scopes:
        if scope.share is None:
            why = scope.not_measured[0].reason if scope.not_measured else "nothing to compare"
            rows.append((scope.scope, "not measured", "", why))
            continue
        worst = sorted(
            (c for c in scope.columns if c.drifted), key=lambda c: -abs(c.score - c.threshold)
        )[:3]
        why = ", ".join(f"{c.column} {c.score:.2f} (limit {c.threshold:.2f})" for c in worst)
        state = "[red]drifted[/]" if scope.drifted else "steady"
        rows.append((scope.scope, state, f"{scope.share:.0%}", why))
    console.print(
        table("Drift", ["scope", "state", ">share", "most changed, or why not measured"], rows)
    )
    if summary.realised:
        ratios = {(v.model_version, v.horizon): f"{v.ratio:.2f}" for v in summary.variances}
        scores = [
            (
                score.model_version,
                str(score.horizon),
                str(score.matured),
                f"{score.pinball:.5f}",
                "" if score.skill is None else f"{round(score.skill, 3) + 0:+.1%}",
                f"{score.coverage:.0%}",
                ratios.get((score.model_version, score.horizon), ""),
            )
            for score in summary.realised
        ]
        heads = [
            "version",
            ">horizon",
            ">matured",
            ">scaled pinball",
            ">skill",
            ">90 % coverage",
            ">variance ratio",
        ]
        console.print(table("Forecasts whose horizon has elapsed", heads, scores))
    for note in summary.notes:
        say(f"[dim]· {note}[/]")
    if summary.retrain:
        say(f"[yellow]A training is due: {summary.retrain}.[/]")
    say(f"Report: {outcome.folder}; metrics: {outcome.published}")
    return summary.drifted


def start_training_if_due(settings: Settings, *, now: datetime | None = None) -> str:
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
    due = [
        (measured, summary.retrain)
        for summary in DriftHistory(settings.lake).summaries(newest=_DRIFT_RUNS_READ)
        if summary.retrain
        and now - (measured := datetime.fromisoformat(summary.measured_at)) <= _DUE_WITHIN
    ]
    if not due:
        return ""
    measured, why = max(due)
    key = f"{STARTED_BY_DRIFT}-{measured.astimezone(UTC):%Y-%m-%d}"
    with Workflows.of(settings) as workflows:
        started = workflows.start_as_scheduled(TRAINING, key=key, changes={"who": STARTED_BY_DRIFT})
        link = workflows.link(started.run.id)
    state = "A training was started" if started.fresh else "Its training is there already"
    say(f"{state}, because {why}: {started.run.name} {link or started.run.id}")
    return started.run.id


def _publish_success(settings: Settings, job: str, dataset: str) -> None:
    from forecasting.adapters.lake.job_success import publish_success

    if unpublished := publish_success(settings, job, dataset):
        say(f"[yellow]![/] {unpublished}")


def _show_outcome(outcome: TrainingOutcome, report: Path) -> None:
    if outcome.promoted:
        say(f"[bold green]Promoted[/] {outcome.candidate} is champion, version {outcome.champion}")
    else:
        say(f"[bold yellow]Nothing was promoted[/], best candidate {outcome.candidate}:")
    for reason in outcome.reasons:
        say(f"  · {reason}")
    say(f"[dim]Walk-forward report: {report}[/]")


@contextmanager
def _steps(title: str, total: int, *, notes: bool = True) -> Iterator["_StepProgress"]:
    """Show a pipeline's steps as they start and end."""
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[running]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        yield _StepProgress(progress, title, total, notes=notes)


class _StepProgress:
    """Listens to a pipeline's events and shows them."""

    def __init__(self, progress: Progress, title: str, total: int, *, notes: bool) -> None:
        self._notes = notes
        self._progress = progress
        self._task = progress.add_task(title, total=total, running="")
        self._running: dict[str, str] = {}

    def __call__(self, event: StepEvent) -> None:
        name = f"{event.step} {event.label}".strip()
        if event.state in _ENDED_MARKS:
            self._running.pop(name, None)
            took = f" ({event.seconds:.1f} s)" if event.state == "done" else ""
            note = " from an earlier run" if event.state == "reused" else took
            say(f"{_ENDED_MARKS[event.state]} {name}[dim]{note}[/]")
            self._progress.advance(self._task)
        else:
            self._running[name] = event.message
            if self._notes and event.step in _NOTING and event.message:
                say(f"  [dim]· {event.message}[/]")
        running = [f"{step}: {text}" if text else step for step, text in self._running.items()]
        self._progress.update(self._task, running="; ".join(running))
