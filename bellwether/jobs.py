"""What the commands do: pipelines with visible progress, a drift run, an ingest, told in words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bellwether.console import console, say, table
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

_PAST = {"done": "[green]✓[/]", "reused": "[cyan]=[/]", "failed": "[red]✗[/]"}


def train_models(
    settings: Settings, params: TrainingParams, outcome_file: Path | None = None
) -> TrainingOutcome:
    """Run the training pipeline and then a refresh, so that what was trained can be served.

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
    _tell_success(settings, "training", params.dataset)
    refresh_features(settings, params)
    return outcome


def run_training_visibly(
    settings: Settings, params: TrainingParams, *, notes: bool = True
) -> TrainingOutcome:
    """Run the training pipeline, show its steps, tell its verdict and keep its report.

    Args:
        settings: where things are.
        params: what the run is about.
        notes: whether to tell what there is to know about the prices.

    Raises:
        BellwetherError: the error of the step that failed.
    """
    steps = len(TRAINING_STEPS) + len(params.candidates) - 1 + params.shards - 1
    with _steps("Training", steps, notes=notes) as heard:
        outcome = run_training(settings, params, heard)
    report = settings.state_dir / "report.html"
    draft = report.with_name(".report.html.part")
    draft.write_bytes(outcome.report.read_bytes())
    draft.replace(report)
    _tell_outcome(outcome, report)
    return outcome


def refresh_features(settings: Settings, params: RefreshParams) -> RefreshOutcome:
    """Run the refresh pipeline.

    Raises:
        BellwetherError: the error of the step that failed.
    """
    with _steps("Refreshing", len(REFRESH_STEPS) + params.shards - 1) as heard:
        outcome = run_refresh(settings, params, heard)
    say(
        f"[green]✓[/] Features of snapshot {outcome.snapshot} are published "
        f"({outcome.seconds:.0f} s)"
    )
    _tell_success(settings, "refresh", params.dataset)
    return outcome


def ingest_prices(
    settings: Settings,
    source: str,
    symbols: tuple[str, ...],
    interval: str,
    dataset: str,
    options: Mapping[str, object],
) -> None:
    """Fetch, judge and freeze prices, and print what came of it.

    Raises:
        BellwetherError: the source failed, or its bars are not fit to be kept.
    """
    from forecasting.adapters import ingest
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.source import open_source

    lake = Lake(settings.lake)
    with console.status(f"Fetching {interval} bars from {source} ..."):
        done = ingest.ingest_prices(
            open_source(source, settings, **options),
            lake,
            dataset,
            symbols=symbols,
            interval=interval,
            last_good_days=settings.last_good_days,
        )
    for note in done.notes:
        say(f"[dim]· {note}[/]")
    snapshot = done.snapshot
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

    with console.status("Measuring drift, realised error and coverage ..."):
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
        scores = [
            (
                one.model_version,
                str(one.horizon),
                str(one.matured),
                f"{one.pinball:.5f}",
                "" if one.skill is None else f"{round(one.skill, 3) + 0:+.1%}",
                f"{one.coverage:.0%}",
            )
            for one in summary.realised
        ]
        heads = ["version", ">horizon", ">matured", ">pinball", ">skill", ">90 % coverage"]
        console.print(table("Forecasts whose day has come", heads, scores))
    for note in summary.notes:
        say(f"[dim]· {note}[/]")
    if summary.retrain:
        say(f"[yellow]A training is due: {summary.retrain}.[/]")
    say(f"Report: {outcome.folder}; metrics: {outcome.published}")
    return summary.drifted


def _tell_success(settings: Settings, job: str, dataset: str) -> None:
    from forecasting.adapters.lake.job_success import publish_success

    if unpublished := publish_success(settings, job, dataset):
        say(f"[yellow]![/] {unpublished}")


def _tell_outcome(outcome: TrainingOutcome, report: Path) -> None:
    if outcome.promoted:
        say(f"[bold green]Promoted[/] {outcome.candidate} is champion, version {outcome.champion}")
    else:
        say(f"[bold yellow]Nothing was promoted[/], best candidate {outcome.candidate}:")
    for reason in outcome.reasons:
        say(f"  · {reason}")
    say(f"[dim]Walk-forward report: {report}[/]")


@contextmanager
def _steps(title: str, total: int, *, notes: bool = True) -> Iterator["_Heard"]:
    """Show a pipeline's steps as they start and end."""
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[doing]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        yield _Heard(progress, title, total, notes=notes)


class _Heard:
    """Listens to a pipeline's events and shows them."""

    def __init__(self, progress: Progress, title: str, total: int, *, notes: bool) -> None:
        self._notes = notes
        self._progress = progress
        self._task = progress.add_task(title, total=total, doing="")
        self._running: dict[str, str] = {}

    def __call__(self, event: StepEvent) -> None:
        name = f"{event.step} {event.label}".strip()
        if event.state in _PAST:
            self._running.pop(name, None)
            took = f" ({event.seconds:.1f} s)" if event.state == "done" else ""
            note = " from an earlier run" if event.state == "reused" else took
            say(f"{_PAST[event.state]} {name}[dim]{note}[/]")
            self._progress.advance(self._task)
        else:
            self._running[name] = event.message
            if self._notes and event.step == "ingest" and event.message:
                say(f"  [dim]· {event.message}[/]")
        doing = [f"{step}: {said}" if said else step for step, said in self._running.items()]
        self._progress.update(self._task, doing="; ".join(doing))
