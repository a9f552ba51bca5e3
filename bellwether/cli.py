"""The `bellwether` command: each command parses its options, calls one function and prints."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bellwether.commands import calibration, cluster, pipeline, rollout
from bellwether.commands.options import (
    Dataset,
    Files,
    Interval,
    Source,
    Symbols,
    chosen_symbols,
    named_options,
    source_options,
)
from bellwether.console import console, errors_in_words, say
from components.parameters import listed
from forecasting.errors import EXIT_DRIFT, EXIT_REFUSED, InvalidSettings
from forecasting.schema import MOST_HORIZON

app = typer.Typer(
    name="bellwether",
    help="Forecast market prices, and measure how good the forecasts are.\n\n"
    "Start with [bold]bellwether demo[/]: it trains on real prices, serves, watches and shows. "
    "Settings are BELLWETHER_* variables (see the README); options choose what a run does.\n\n"
    "Exit codes: 0 success; 2 bad input; 3 a service or a source is unavailable; 4 corrupted bytes; "
    "5 another promotion or rollout came first; 10 nothing was promoted; 11 drift was found; "
    "12 a rollout rolled back.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.add_typer(rollout.app)
app.add_typer(cluster.app)
app.add_typer(pipeline.app)
app.add_typer(calibration.app)

ExitZero = Annotated[
    bool, typer.Option("--exit-zero", help="Exit 0 also when the verdict has a code of its own.")
]


@app.command()
def demo(
    context: typer.Context,
    symbols: Symbols = "",
    source: Source = "sample",
    interval: Interval = "1d",
    files: Files = "",
) -> None:
    """Run everything on this machine: pipeline, MLflow, model server, drift, page. Ctrl-C ends it.

    The first run trains; later runs reuse what is still valid, and train as the champion was unless
    --source says another. State lives in .bellwether. With BELLWETHER_REGISTRY_URL set, that MLflow
    is used instead of one of the demo's own.
    """
    from bellwether.demo.demo import run_demo
    from forecasting.settings import Settings
    from pipelines.local import TrainingParams

    with errors_in_words():
        params = TrainingParams(
            symbols=chosen_symbols(symbols, source),
            source=source,
            source_options=source_options(source, files),
            interval=interval,
            dataset=f"{source}-{interval}",
            who="demo",
        )
        run_demo(Settings(), params, named_options(context))


@app.command()
def ingest(
    symbols: Symbols = "",
    source: Source = "sample",
    interval: Interval = "1d",
    files: Files = "",
    dataset: Dataset = "",
) -> None:
    """Fetch prices, check every bar, and store what is new as an immutable snapshot."""
    from bellwether.jobs import ingest_prices
    from forecasting.settings import Settings

    with errors_in_words():
        ingest_prices(
            Settings(),
            source,
            chosen_symbols(symbols, source),
            interval,
            dataset or f"{source}-{interval}",
            source_options(source, files),
        )


@app.command()
def train(
    context: typer.Context,
    symbols: Symbols = "",
    source: Source = "sample",
    interval: Interval = "1d",
    dataset: Dataset = "",
    candidates: Annotated[
        str,
        typer.Option(
            help="Models to try, of ridge, random_forest, xgboost, har, har_boosted, garch, "
            "har_combination, lightgbm and catboost; random_walk always runs."
        ),
    ] = "random_walk,random_walk_drift,ridge,xgboost,har_combination",
    width: Annotated[
        str,
        typer.Option(
            help="How wide the intervals of candidates that learn locations are: ewma, har, "
            "har_boosted, garch or har_combination."
        ),
    ] = "har",
    tuning_trials: Annotated[
        int, typer.Option(min=0, help="Optuna trials per candidate, inside the training window.")
    ] = 0,
    select_features: Annotated[
        bool, typer.Option(help="Drop features that permutation shows to be useless.")
    ] = False,
    folds: Annotated[int, typer.Option(min=3, help="Walk-forward folds.")] = 6,
    combinatorial: Annotated[
        int, typer.Option(min=0, help="Spans of combinatorial paths beside the walk; 0: none.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 7,
    files: Files = "",
    train_until: Annotated[
        str, typer.Option(help="ISO date; later bars are left out of the training.")
    ] = "",
    who: Annotated[
        str, typer.Option(help="Name for the promotion's audit trail. Default: yours.")
    ] = "",
    outcome_file: Annotated[
        Path | None,
        typer.Option(help="Write outcome, version, reason and gates to this file, as JSON."),
    ] = None,
    exit_zero: ExitZero = False,
) -> None:
    """Run the training pipeline: ingest, features, candidates, verdict, registry.

    Without --source it starts from what the champion was trained on, with the options given instead;
    without a champion, from the bundled sample.

    Exit code 10 says that the run is fine and nothing was promoted; the reasons are printed.
    """
    from getpass import getuser

    from bellwether.jobs import train_models
    from bellwether.retraining import as_champion
    from forecasting.settings import Settings
    from pipelines.local import TrainingParams

    with errors_in_words():
        if outcome_file and not outcome_file.parent.is_dir():
            raise InvalidSettings(
                "--outcome-file needs a folder that is there",
                str(outcome_file.parent),
                "Make the folder, or name another",
            )
        settings, named = Settings(), named_options(context)
        named["who"] = who or getuser()
        params = None if "source" in named else as_champion(settings, named)
        if params is None:
            params = TrainingParams(
                source=source,
                source_options=source_options(source, files),
                symbols=chosen_symbols(symbols, source),
                interval=interval,
                dataset=dataset or f"{source}-{interval}",
                candidates=listed(candidates),
                width=width,
                tuning_trials=tuning_trials,
                select_features=select_features,
                folds=folds,
                combinatorial=combinatorial,
                seed=seed,
                train_until=train_until,
                who=who or getuser(),
            )
        outcome = train_models(settings, params, outcome_file)
    if not outcome.promoted and not exit_zero:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def refresh(
    context: typer.Context,
    symbols: Symbols = "",
    source: Source = "sample",
    interval: Interval = "1d",
    dataset: Dataset = "",
    files: Files = "",
) -> None:
    """Fetch what is new and publish fresh serving features; no training.

    Without --source and --dataset it fetches what the champion was trained on; without a champion,
    the bundled sample.
    """
    from bellwether.jobs import refresh_features
    from bellwether.retraining import as_champion
    from forecasting.settings import Settings
    from pipelines.local import RefreshParams

    with errors_in_words():
        settings, named = Settings(), named_options(context)
        params: RefreshParams | None = None
        if not {"source", "dataset"} & set(named):
            params = as_champion(settings, named)
        if params is None:
            params = RefreshParams(
                symbols=chosen_symbols(symbols, source),
                source=source,
                source_options=source_options(source, files),
                interval=interval,
                dataset=dataset or f"{source}-{interval}",
            )
        refresh_features(settings, params)


@app.command()
def forecast(
    symbol: Annotated[str, typer.Argument(help="A symbol the model server knows, e.g. AAPL.")],
    days: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_HORIZON, help="Bars ahead, at most those the version forecasts."
        ),
    ] = 10,
    version: Annotated[str, typer.Option(help="Model version. Default: the champion.")] = "",
    as_of: Annotated[str, typer.Option(help="ISO 8601: answer from what was known then.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Write a fan chart to this PNG.")] = None,
) -> None:
    """Ask the model server for a forecast and print it as a small table."""
    from bellwether import forecast_table
    from forecasting.adapters.inference import InferenceClient
    from forecasting.settings import Settings

    with errors_in_words():
        if plot and plot.suffix.lower() != ".png":
            raise InvalidSettings("--plot writes a PNG", str(plot), "Name a file that ends in .png")
        settings = Settings()
        with InferenceClient.of(settings) as client:
            answer = client.forecast(
                [symbol], horizon=days, version=version or None, as_of=as_of or None
            )[0]
        console.print(forecast_table.forecast_table(answer))
        say(forecast_table.provenance(answer), style="dim")
        if plot:
            forecast_table.plot(answer, plot)
            say(f"Fan chart: {plot}")


@app.command()
def serve() -> None:
    """Start the model server: V2 over REST and gRPC, champion and challenger from the registry."""
    from forecasting.settings import Settings
    from serving.server import serve as serve_models

    # KServe parses sys.argv when it is imported, and does not know this command's options.
    sys.argv = sys.argv[:1]
    with errors_in_words():
        serve_models(Settings())


@app.command()
def registry() -> None:
    """Run MLflow on the state folder until Ctrl-C, for commands that need it outside the demo."""
    from bellwether.demo.registry import run_registry
    from forecasting.settings import Settings

    with errors_in_words():
        run_registry(Settings())


@app.command()
def page() -> None:
    """Start the page alone, against the servers that the settings name."""
    from forecasting.settings import Settings
    from gradio_app.app import serve as serve_page

    with errors_in_words():
        serve_page(Settings())


@app.command()
def drift(
    dataset: Annotated[str, typer.Option(help="Name in the lake. Default: the champion's.")] = "",
    false_alarms: Annotated[
        float, typer.Option(help="Share of runs that may flag a scope though nothing changed.")
    ] = 0.05,
    level_bars: Annotated[
        int, typer.Option(help="Newest bars per symbol compared with the champion's training.")
    ] = 60,
    change_bars: Annotated[
        int, typer.Option(help="Newest bars per symbol compared with those just before them.")
    ] = 10,
    start_training: Annotated[
        bool,
        typer.Option(help="With Kubeflow Pipelines: start a training when one is due."),
    ] = True,
    exit_zero: ExitZero = False,
) -> None:
    """Measure drift, realised error and coverage; exit code 11 says that drift was found.

    Limits are calibrated on the champion's own training features: see
    docs/decisions/0011-drift-thresholds.md. A training that lasting drift asks for is started where
    BELLWETHER_PIPELINES_URL leads, once for the day it was asked for.
    """
    from bellwether.jobs import measure_drift, start_training_if_due
    from forecasting.adapters.drift.job import DriftOptions
    from forecasting.drift.config import DriftRules
    from forecasting.settings import Settings

    with errors_in_words():
        rules = DriftRules(
            false_alarms=false_alarms, level_bars=level_bars, change_bars=change_bars
        )
        options = DriftOptions(dataset=dataset, rules=rules)
        settings = Settings()
        drifted = measure_drift(settings, options)
        if start_training and settings.pipelines_url:
            start_training_if_due(settings)
    if drifted and not exit_zero:
        raise typer.Exit(EXIT_DRIFT)


@app.command()
def prepare(
    mlflow_url: Annotated[
        str,
        typer.Option(
            envvar="MLFLOW_BACKEND_STORE_URI", help="SQLAlchemy URL of MLflow's database, if any."
        ),
    ] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds a store or database may take to come up.")
    ] = 120.0,
) -> None:
    """Make what the services need: bucket, databases, tables, each component's role. Idempotent.

    Roles and passwords are read from BELLWETHER_ROLE_PAGE and BELLWETHER_ROLE_PAGE_PASSWORD, and so
    for MODELS, MLFLOW, JOBS, DRIFT and ROLLOUT; the password of Grafana's role bellwether_reader
    from BELLWETHER_READER_PASSWORD. Roles that are not named are left alone.
    """
    import os

    from bellwether.bootstrap import prepare as prepare_services
    from forecasting.adapters.database_roles import accounts_in
    from forecasting.settings import Settings

    with errors_in_words():
        prepare_services(
            Settings(),
            mlflow_url=mlflow_url,
            accounts=accounts_in(os.environ),
            wait_seconds=wait,
        )


@app.command()
def key(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the keys. Default: keys in the state folder.")
    ] = None,
) -> None:
    """Make the key that signs model versions, unless it is there; trusted keys stay trusted.

    signing.pem is private and belongs to trainings alone; trusted.pem goes to servers and rollouts.
    See docs/signing.md.
    """
    from forecasting.adapters.signing_keys import FOLDER, SIGNING, TRUSTED, make_keys
    from forecasting.bundle.signature import TrustedKeys
    from forecasting.settings import Settings

    with errors_in_words():
        folder = out or Settings().state_dir / FOLDER
        made = make_keys(folder)
        ids = TrustedKeys((folder / TRUSTED).read_bytes()).ids
    say(f"{folder / SIGNING} {'was made' if made else 'is there'}")
    say(f"{folder / TRUSTED} trusts {', '.join(ids)}")


@app.command()
def doctor() -> None:
    """Use every connection for real; each that fails comes with its remedy."""
    from bellwether.doctor import examine, report
    from forecasting.settings import Settings

    with errors_in_words():
        results = examine(Settings())
    report(results)


def main() -> None:
    """Entry point of the console script."""
    app()
