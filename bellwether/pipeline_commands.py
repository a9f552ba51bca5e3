"""`bellwether pipeline`: parses, calls the adapter of Kubeflow Pipelines, prints."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellwether.console import console, errors_in_words, say, split_symbols, table
from bellwether.symbols import chosen_symbols
from forecasting.adapters.workflows import NAMES, REFRESH, TRAINING
from forecasting.errors import InvalidSettings, WorkflowsUnavailable
from pipelines.cluster_names import ClusterNames

if TYPE_CHECKING:
    from forecasting.adapters.workflow_records import WorkflowRun
    from forecasting.adapters.workflows import Workflows

app = typer.Typer(
    name="pipeline",
    help="Run the pipelines on Kubeflow Pipelines, by hand or on a schedule.\n\n"
    "BELLWETHER_PIPELINES_URL says where its API is; without it, the release that the kubeconfig "
    "leads to says, and kubectl forwards a port. "
    "Every command may be repeated: what is as it should be is left alone.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Pipeline = Annotated[str, typer.Argument(help="training or refresh.")]
Image = Annotated[
    str,
    typer.Option(
        envvar="BELLWETHER_PIPELINE_IMAGE", help="Image that the steps run in, whole reference."
    ),
]
SettingsConfigMap = Annotated[
    str,
    typer.Option(
        envvar="BELLWETHER_STEP_SETTINGS",
        help="ConfigMap with the steps' settings, in the namespace of their pods.",
    ),
]
ObjectStoreSecret = Annotated[
    str,
    typer.Option(
        envvar="BELLWETHER_STEP_OBJECT_STORE", help="Secret there with the object store's keys."
    ),
]
DatabaseSecret = Annotated[
    str,
    typer.Option(envvar="BELLWETHER_STEP_DATABASE", help="Secret there with the database's login."),
]
ProvidersSecret = Annotated[
    str,
    typer.Option(
        envvar="BELLWETHER_STEP_PROVIDERS", help="Secret there with price providers' tokens."
    ),
]
ReadyWithin = Annotated[
    float, typer.Option(min=0, help="Seconds Kubeflow Pipelines may take to come up.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


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
    from bellwether.pipelines_reach import InstalledRelease
    from bellwether.tools import Cluster

    chosen.obj = InstalledRelease(Cluster(context), namespace, release)


@app.command()
def submit(
    chosen: typer.Context,
    image: Image = "",
    settings_config_map: SettingsConfigMap = ClusterNames.settings,
    object_store_secret: ObjectStoreSecret = ClusterNames.object_store,
    database_secret: DatabaseSecret = ClusterNames.database,
    providers_secret: ProvidersSecret = ClusterNames.providers,
    ready_within: ReadyWithin = 0.0,
    as_json: AsJson = False,
) -> None:
    """Compile both pipelines and upload them as versions named by their content.

    Needs `kfp`, which the pipeline image has.
    """
    from pipelines.contents import content_hash

    with _workflows(chosen, ready_within) as workflows:
        names = ClusterNames(
            settings_config_map, object_store_secret, database_secret, providers_secret
        )
        uploaded = []
        for name in NAMES:
            package = _package(name, image, names)
            version, fresh = workflows.upload(
                name, content_hash(package), package, description=_DESCRIPTIONS[name]
            )
            uploaded.append({**asdict(version), "fresh": fresh})
            if not as_json:
                said = "uploaded" if fresh else "was there"
                say(f"[green]✓[/] {name} version {version.name} [dim]{said}[/]")
    if as_json:
        typer.echo(json.dumps(uploaded, indent=2, default=str))


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
    from bellwether.pipeline_runs import as_mapping, changed, follow, full_name

    with _workflows(chosen) as workflows:
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


@app.command()
def schedule(
    chosen: typer.Context,
    pipeline: Pipeline,
    cron: Annotated[
        str,
        typer.Option(
            help="Five fields or @weekly and the like, in the time zone of the cluster's "
            "scheduler: Kubeflow Pipelines has one for all (CRON_SCHEDULE_TIMEZONE, UTC)."
        ),
    ],
    symbols: Annotated[str, typer.Option(help="Symbols, comma separated.")] = "",
    source: Annotated[str, typer.Option(help="Where prices come from.")] = "sample",
    interval: Annotated[str, typer.Option(help="Length of a bar.")] = "1d",
    dataset: Annotated[str, typer.Option(help="Name in the lake. Default: source-interval.")] = "",
    shards: Annotated[
        int, typer.Option(min=1, help="Pods that fetch at a time, each its share.")
    ] = 1,
    candidates: Annotated[
        str, typer.Option(help="Training: models to try; random_walk must be one.")
    ] = "random_walk,ridge,random_forest,xgboost",
    folds: Annotated[int, typer.Option(min=3, help="Training: walk-forward folds.")] = 6,
    tuning_trials: Annotated[int, typer.Option(min=0, help="Training: Optuna trials.")] = 0,
    suspend: Annotated[
        bool, typer.Option("--suspend", help="Keep it from starting anything.")
    ] = False,
    version: Annotated[
        str, typer.Option(help="A version's name. Default: what this installation compiles to.")
    ] = "",
    image: Image = "",
    settings_config_map: SettingsConfigMap = ClusterNames.settings,
    object_store_secret: ObjectStoreSecret = ClusterNames.object_store,
    database_secret: DatabaseSecret = ClusterNames.database,
    providers_secret: ProvidersSecret = ClusterNames.providers,
    ready_within: ReadyWithin = 0.0,
) -> None:
    """Have the uploaded version of this installation run on a schedule; one run at a time.

    Missed times are not made up for. A schedule that differs is replaced, and its runs go on.
    """
    from bellwether.pipeline_runs import full_name
    from pipelines.contents import content_hash
    from pipelines.runs import RefreshParams, TrainingParams

    with _workflows(chosen, ready_within) as workflows:
        from forecasting.adapters.workflow_schedules import Schedule, six_fields

        name = full_name(pipeline)
        six_fields(cron)
        if shards > 1 and source == "sample":
            raise InvalidSettings(
                "a replay is read in one shard", f"--shards {shards}", "Leave --shards out"
            )
        prices: dict[str, Any] = {
            "symbols": chosen_symbols(symbols, source),
            "source": source,
            "interval": interval,
            "dataset": dataset or f"{source}-{interval}",
            "shards": shards,
        }
        if name == TRAINING:
            arguments = TrainingParams(
                **prices,
                candidates=split_symbols(candidates),
                folds=folds,
                tuning_trials=tuning_trials,
                who="schedule",
            ).arguments()
        else:
            arguments = RefreshParams(**prices).arguments()
        names = ClusterNames(
            settings_config_map, object_store_secret, database_secret, providers_secret
        )
        compiled = version or content_hash(_package(name, image, names))
        found = workflows.version(name, compiled)
        outcome, made = workflows.schedule(Schedule(found, cron, arguments, enabled=not suspend))
        state = ", suspended" if suspend else ""
        say(f"[green]✓[/] {name} version {found.name} at {cron!r}{state} [dim]{outcome} {made}[/]")


@app.command()
def unschedule(
    chosen: typer.Context,
    pipelines: Annotated[list[str], typer.Argument(help="training, refresh or both.")],
    if_there: Annotated[
        bool,
        typer.Option("--if-there", help="Be content where Kubeflow Pipelines cannot be reached."),
    ] = False,
    ready_within: ReadyWithin = 0.0,
) -> None:
    """Delete schedules; runs that they started go on."""
    from bellwether.pipeline_runs import full_name

    with errors_in_words():
        names = [full_name(one) for one in pipelines]
        try:
            with _reached(chosen, ready_within) as workflows:
                counts = {name: workflows.unschedule(name) for name in names}
        except WorkflowsUnavailable as error:
            if not if_there:
                raise
            say(f"[yellow]![/] Schedules that are there stay: {error}")
            return
    for name, count in counts.items():
        say(f"{name}: {count} schedule{'s' * (count != 1)} deleted")


@app.command("list")
def list_all(
    chosen: typer.Context,
    runs: Annotated[int, typer.Option(min=0, max=500, help="Newest runs that are shown.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show schedules, the newest runs, their states, and why those that failed did."""
    from bellwether.pipeline_runs import as_mapping

    with _workflows(chosen) as workflows:
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


_DESCRIPTIONS = {
    TRAINING: "From prices to a verdict: fetch, describe, train, weigh, register.",
    REFRESH: "New prices, described and published, between trainings.",
}
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


def _package(name: str, image: str, names: ClusterNames) -> str:
    from pipelines.compile import package

    if not image:
        raise InvalidSettings(
            "the steps' image must be named",
            "no --image and no BELLWETHER_PIPELINE_IMAGE",
            "Add --image registry.example.org/bellwether/pipeline:0.1.0",
        )
    return package(name, image=image, names=names)


@contextmanager
def _workflows(chosen: typer.Context, ready_within: float = 0.0) -> Iterator["Workflows"]:
    with errors_in_words(), _reached(chosen, ready_within) as workflows:
        yield workflows


@contextmanager
def _reached(chosen: typer.Context, ready_within: float) -> Iterator["Workflows"]:
    from forecasting.adapters.workflows import Workflows
    from forecasting.settings import Settings

    with ExitStack() as stack:
        settings = Settings()
        if not settings.pipelines_url:
            address = chosen.obj.reached_pipelines(stack)
            settings = settings.model_copy(update={"pipelines_url": address})
        workflows = stack.enter_context(Workflows.of(settings))
        workflows.wait(ready_within, lambda found: say(f"[dim]waiting: {found}[/]"))
        yield workflows
