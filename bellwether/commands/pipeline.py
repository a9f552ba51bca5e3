"""`bellwether pipeline`: starts, follows and lists runs on Kubeflow Pipelines; the rest is upkeep."""

import json
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellwether.cluster.installation import Place
from bellwether.cluster.kubectl import Cluster
from bellwether.cluster.pipelines_reach import opened
from bellwether.commands import pipeline_schedules
from bellwether.commands.pipeline_schedules import AsJson, Pipeline
from bellwether.console import console, errors_in_words, say, table

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
    chosen: typer.Context,
    context: Annotated[
        str, typer.Option(help="Context of the kubeconfig. Default: the current one.")
    ] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of the release.")] = "bellwether",
    release: Annotated[str, typer.Option(help="Name of the Helm release.")] = "bellwether",
) -> None:
    """Choose the release whose Kubeflow Pipelines is asked where no address is set."""
    chosen.obj = Place(Cluster(context), namespace, release)


@app.command()
def run(
    chosen: typer.Context,
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

    with errors_in_words(), opened(chosen.obj) as workflows:
        name = full_name(pipeline)
        changes = changed(name, parameter or ())
        key = key or f"by-hand-{secrets.token_hex(4)}"
        if version:
            wanted = workflows.version(name, "" if version == "newest" else version)
            started = workflows.start(wanted, changes, key=key)
        else:
            started = workflows.start_as_scheduled(name, key=key, changes=changes)
        found, link = started.run, workflows.link(started.run.id)
        if not as_json:
            said = "Started" if started.fresh else "There already"
            say(f"{said}: {found.name}, run {found.id} {link}".rstrip())
        if wait:
            with console.status("") as status:
                told = _Followed(None if as_json else status.update)
                found = follow(workflows, found.id, told, timeout=timeout)
        if as_json:
            answer = {**as_mapping(found, link), "fresh": started.fresh}
            typer.echo(json.dumps(answer, indent=2))
        elif wait:
            say(f"[green]✓[/] {found.name} ended well ({found.seconds(found.created_at):.0f} s)")


@app.command("list")
def list_all(
    chosen: typer.Context,
    runs: Annotated[int, typer.Option(min=0, max=500, help="Newest runs that are shown.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show schedules, the newest runs, their states, and why those that failed did."""
    from bellwether.cluster.pipeline_runs import as_mapping

    with errors_in_words(), opened(chosen.obj) as workflows:
        schedules, found = workflows.schedules(), workflows.runs(runs)
        links = {one.id: workflows.link(one.id) for one in found}
    if as_json:
        answer = {
            "schedules": [asdict(one) for one in schedules],
            "runs": [as_mapping(one, links[one.id]) for one in found],
        }
        typer.echo(json.dumps(answer, indent=2, default=str))
        return
    rows = [
        (one.name, one.cron, "on" if one.enabled else "suspended", one.version_id[:8], one.id[:8])
        for one in schedules
    ]
    console.print(table("Schedules", ["name", "cron", "state", "version", "id"], rows))
    now = datetime.now(UTC)
    shown = [
        (
            one.name,
            f"{_COLOURS.get(one.state, '')}{one.state.lower()}",
            f"{one.created_at:%Y-%m-%d %H:%M}",
            f"{one.seconds(now):.0f} s",
            links[one.id] or one.id,
        )
        for one in found
    ]
    console.print(table("Runs", ["name", "state", "started (UTC)", ">took", "run"], shown))
    for one in found:
        if one.error:
            say(f"{one.name}: {one.error}", style="yellow")


_COLOURS = {"SUCCEEDED": "[green]", "FAILED": "[red]", "CANCELED": "[red]", "RUNNING": "[cyan]"}
_ENDS = {"SUCCEEDED": "[green]✓[/]", "SKIPPED": "[cyan]=[/]", "FAILED": "[red]✗[/]"}


class _Followed:
    """Says of a run that is followed what is new since the last look."""

    def __init__(self, doing: Any) -> None:
        self._doing = doing
        self._said: set[tuple[str, str]] = set()

    def __call__(self, run: "WorkflowRun") -> None:
        if self._doing is None:
            return
        for one in run.steps:
            if one.state in _ENDS and (one.name, one.state) not in self._said:
                self._said.add((one.name, one.state))
                say(f"{_ENDS[one.state]} {one.name}")
        self._doing(f"{run.state.lower()} {run.doing}".strip())
