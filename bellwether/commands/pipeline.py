"""`bellwether pipeline`: starts, follows and lists runs on Kubeflow Pipelines.

Tested against its API as recorded, in tests/contract/test_pipeline_commands.py.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bellwether.cluster.connections import opened_pipelines
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.commands import pipeline_schedules
from bellwether.commands.options import AsJson, Context, Namespace, Release
from bellwether.commands.pipeline_schedules import Pipeline
from bellwether.console import console, errors_in_words, say, show, table

if TYPE_CHECKING:
    from forecasting.adapters.workflows.records import WorkflowRun

app = typer.Typer(
    name="pipeline",
    help="Run the pipelines on Kubeflow Pipelines, by hand or on a schedule.\n\n"
    "BELLWETHER_PIPELINES_URL says where its API is; without it, the release that the kubeconfig "
    "leads to says, and kubectl forwards a port. "
    "Every command may be repeated: what is as it should be is left alone.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(pipeline_schedules.app)


@app.callback()
def choose(
    ctx: typer.Context,
    context: Context = "",
    namespace: Namespace = "bellwether",
    release: Release = "bellwether",
) -> None:
    """Choose the release whose Kubeflow Pipelines is asked where no address is set."""
    ctx.obj = Installation(Kubectl(context), namespace, release)


@app.command()
def run(
    ctx: typer.Context,
    pipeline: Pipeline,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--param", help="A parameter that differs: name=value; may be repeated."),
    ] = None,
    version: Annotated[
        str, typer.Option(help="A version's name, or newest. Default: what the schedule runs.")
    ] = "",
    key: Annotated[
        str,
        typer.Option(help="Idempotency key: the same key starts one run. Default: a new one."),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to follow it; the run itself goes on.")
    ] = 6 * 3600.0,
    as_json: AsJson = False,
) -> None:
    """Start a run now, as the schedule would, or of a version with the pipeline's own defaults.

    With --wait the exit code says what came of the run: 0 well, 1 failed or canceled.
    """
    from bellwether.cluster.pipeline_runs import as_mapping, changed, follow, full_name

    with errors_in_words(), opened_pipelines(ctx.obj) as workflows:
        name = full_name(pipeline)
        changes = changed(name, parameter or ())
        key = key or f"by-hand-{secrets.token_hex(4)}"
        if version:
            uploaded = workflows.version(name, "" if version == "newest" else version)
            started = workflows.start(uploaded, changes, key=key)
        else:
            started = workflows.start_as_scheduled(name, key=key, changes=changes)
        current, link = started.run, workflows.link(started.run.id)
        if not as_json:
            state = "Started" if started.fresh else "There already"
            say(f"{state}: {current.name}, run {current.id} {link}".rstrip())
        if wait:
            with console.status("") as status:
                show = _RunProgress(None if as_json else status.update)
                current = follow(workflows, current.id, show, timeout=timeout)
        if as_json:
            answer = {**as_mapping(current, link), "fresh": started.fresh}
            typer.echo(json.dumps(answer, indent=2))
        elif wait:
            took = current.seconds(current.created_at)
            say(f"[green]✓[/] {current.name} ended well ({took:.0f} s)")


@app.command("list")
def list_all(
    ctx: typer.Context,
    runs: Annotated[int, typer.Option(min=0, max=500, help="Newest runs that are shown.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show schedules, the newest runs, their states, and why those that failed did."""
    from bellwether.cluster.pipeline_runs import as_mapping

    with errors_in_words(), opened_pipelines(ctx.obj) as workflows:
        schedules, newest = workflows.schedules(), workflows.runs(runs)
        links = {run.id: workflows.link(run.id) for run in newest}
    if as_json:
        answer = {
            "schedules": [asdict(schedule) for schedule in schedules],
            "runs": [as_mapping(run, links[run.id]) for run in newest],
        }
        typer.echo(json.dumps(answer, indent=2, default=str))
        return
    rows = [
        (s.name, s.cron, "on" if s.enabled else "suspended", s.version_id[:8], s.id[:8])
        for s in schedules
    ]
    show(table("Schedules", ["name", "cron", "state", "version", "id"], rows))
    now = datetime.now(UTC)
    rows = [
        (
            run.name,
            f"{_COLOURS.get(run.state, '')}{run.state.lower()}",
            f"{run.created_at:%Y-%m-%d %H:%M}",
            f"{run.seconds(now):.0f} s",
            links[run.id] or run.id,
        )
        for run in newest
    ]
    show(table("Runs", ["name", "state", "started (UTC)", ">took", "run"], rows))
    for run in newest:
        if run.error:
            say(f"{run.name}: {run.error}", style="yellow")


_COLOURS = {"SUCCEEDED": "[green]", "FAILED": "[red]", "CANCELED": "[red]", "RUNNING": "[cyan]"}
_ENDED_MARKS = {"SUCCEEDED": "[green]✓[/]", "SKIPPED": "[cyan]=[/]", "FAILED": "[red]✗[/]"}


class _RunProgress:
    """Prints the steps of a run as they end, each once, and shows what is under way.

    Args:
        show: shows a line that the next one replaces; None to print nothing at all.
    """

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show
        self._printed: set[tuple[str, str]] = set()

    def __call__(self, run: "WorkflowRun") -> None:
        if self._show is None:
            return
        for step in run.steps:
            if step.state in _ENDED_MARKS and (step.name, step.state) not in self._printed:
                self._printed.add((step.name, step.state))
                say(f"{_ENDED_MARKS[step.state]} {step.name}")
        self._show(f"{run.state.lower()} {run.running_steps}".strip())
