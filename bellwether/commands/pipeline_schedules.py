"""`bellwether pipeline submit`, `schedule` and `unschedule`: versions and schedules of pipelines.

Tested against the API as recorded, in tests/contract/test_pipeline_commands.py.
"""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bellwether.cluster.connections import opened_pipelines
from bellwether.commands.options import AsJson, Dataset, Interval, Source, Symbols, chosen_symbols
from bellwether.console import errors_in_words, say
from components.parameters import listed
from forecasting.adapters.workflows.client import NAMES, REFRESH, TRAINING
from forecasting.errors import InvalidSettings, WorkflowsUnavailable
from pipelines.cluster_names import ClusterNames

app = typer.Typer()

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
SigningSecret = Annotated[
    str,
    typer.Option(
        envvar="BELLWETHER_STEP_SIGNING",
        help="Secret there with signing.pem, which signs versions, if it is there.",
    ),
]
ReadyWithin = Annotated[
    float, typer.Option(min=0, help="Seconds Kubeflow Pipelines may take to come up.")
]


@app.command()
def submit(
    ctx: typer.Context,
    image: Image = "",
    settings_config_map: SettingsConfigMap = ClusterNames.settings,
    object_store_secret: ObjectStoreSecret = ClusterNames.object_store,
    database_secret: DatabaseSecret = ClusterNames.database,
    providers_secret: ProvidersSecret = ClusterNames.providers,
    signing_secret: SigningSecret = ClusterNames.signing,
    ready_within: ReadyWithin = 0.0,
    as_json: AsJson = False,
) -> None:
    """Compile both pipelines and upload them as versions named by their content.

    Needs `kfp`, which the pipeline image has.
    """
    from pipelines.contents import content_hash

    with errors_in_words(), opened_pipelines(ctx.obj, ready_within) as workflows:
        names = ClusterNames(
            settings_config_map,
            object_store_secret,
            database_secret,
            providers_secret,
            signing_secret,
        )
        uploaded = []
        for name in NAMES:
            package = _package(name, image, names)
            version, fresh = workflows.upload(
                name, content_hash(package), package, description=_DESCRIPTIONS[name]
            )
            uploaded.append({**asdict(version), "fresh": fresh})
            if not as_json:
                state = "uploaded" if fresh else "was there"
                say(f"[green]✓[/] {name} version {version.name} [dim]{state}[/]")
    if as_json:
        typer.echo(json.dumps(uploaded, indent=2, default=str))


@app.command()
def schedule(
    ctx: typer.Context,
    pipeline: Pipeline,
    cron: Annotated[
        str,
        typer.Option(
            help="Five fields or @weekly and the like, in the time zone of the cluster's "
            "scheduler: Kubeflow Pipelines has one for all (CRON_SCHEDULE_TIMEZONE, UTC)."
        ),
    ],
    symbols: Symbols = "",
    source: Source = "sample",
    interval: Interval = "1d",
    dataset: Dataset = "",
    shards: Annotated[
        int, typer.Option(min=1, help="Pods that fetch at a time, each its share.")
    ] = 1,
    candidates: Annotated[
        str, typer.Option(help="Training: models to try; random_walk must be one.")
    ] = "random_walk,random_walk_drift,ridge,xgboost,har_combination",
    width: Annotated[
        str,
        typer.Option(
            help="Training: how wide the intervals of candidates that learn locations are: ewma, har, "
            "har_boosted, garch or har_combination."
        ),
    ] = "har",
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
    signing_secret: SigningSecret = ClusterNames.signing,
    ready_within: ReadyWithin = 0.0,
) -> None:
    """Run the uploaded version of this installation on a schedule; one run at a time.

    Missed times are not made up for. A schedule that differs is replaced, and its runs go on.
    """
    from bellwether.cluster.pipeline_runs import full_name
    from pipelines.contents import content_hash
    from pipelines.runs import RefreshParams, TrainingParams

    with errors_in_words(), opened_pipelines(ctx.obj, ready_within) as workflows:
        from forecasting.adapters.workflows.schedules import Schedule, six_fields

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
                candidates=listed(candidates),
                width=width,
                folds=folds,
                tuning_trials=tuning_trials,
                who="schedule",
            ).arguments()
        else:
            arguments = RefreshParams(**prices).arguments()
        names = ClusterNames(
            settings_config_map,
            object_store_secret,
            database_secret,
            providers_secret,
            signing_secret,
        )
        compiled = version or content_hash(_package(name, image, names))
        uploaded = workflows.version(name, compiled)
        planned = Schedule(uploaded, cron, arguments, enabled=not suspend)
        outcome, number = workflows.schedule(planned)
        state = f"at {cron!r}{', suspended' if suspend else ''}"
        say(f"[green]✓[/] {name} version {uploaded.name} {state} [dim]{outcome} {number}[/]")


@app.command()
def unschedule(
    ctx: typer.Context,
    pipelines: Annotated[list[str], typer.Argument(help="training, refresh or both.")],
    if_there: Annotated[
        bool,
        typer.Option(
            "--if-there", help="Succeed, too, where Kubeflow Pipelines cannot be reached."
        ),
    ] = False,
    ready_within: ReadyWithin = 0.0,
) -> None:
    """Delete schedules; runs that they started go on."""
    from bellwether.cluster.pipeline_runs import full_name

    with errors_in_words():
        names = [full_name(pipeline) for pipeline in pipelines]
        try:
            with opened_pipelines(ctx.obj, ready_within) as workflows:
                counts = {name: workflows.unschedule(name) for name in names}
        except WorkflowsUnavailable as error:
            if not if_there:
                raise
            say(f"[yellow]![/] Schedules that are there stay: {error}")
            return
    for name, count in counts.items():
        say(f"{name}: {count} schedule{'s' * (count != 1)} deleted")


_DESCRIPTIONS = {
    TRAINING: "From prices to a verdict: fetch, describe, train, weigh, register.",
    REFRESH: "New prices, described and published, between trainings.",
}


def _package(name: str, image: str, names: ClusterNames) -> str:
    from pipelines.compile import package

    if not image:
        raise InvalidSettings(
            "the steps' image must be named",
            "no --image and no BELLWETHER_PIPELINE_IMAGE",
            "Add --image registry.example.org/bellwether/pipeline:0.1.0",
        )
    return package(name, image=image, names=names)
