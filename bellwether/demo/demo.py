"""Runs the whole platform on one machine: starts it in order and stops it cleanly."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bellwether.adoption import adopt_what_is_served
from bellwether.console import console, say, table
from bellwether.demo.backfill import held_out_from, replay_forecasts, unaware_of
from bellwether.demo.registry import QUIET, registry_file, registry_to_use, wait_for_registry
from bellwether.demo.supervisor import Service, Supervisor, ending_on_signals, free_port
from bellwether.jobs import refresh_features, run_training_visibly
from bellwether.retraining import as_champion
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.signing_keys import FOLDER, make_keys
from forecasting.errors import EXIT_DRIFT, InvalidSettings
from forecasting.settings import Settings
from pipelines.local import RefreshParams, TrainingParams, require_trainable

DRIFT_EVERY_SECONDS: Final = 900.0
REFRESH_EVERY_SECONDS: Final = 3_600.0
VERSIONS_ON_DEMAND: Final = 4
"""Versions the model server keeps beside champion and challenger, unless the settings say another."""

READY_SECONDS: Final = 60.0


@dataclass
class Due:
    """A batch job that runs beside the servers again and again."""

    name: str
    every_seconds: float
    command: list[str]
    next_at: float
    process: subprocess.Popen[bytes] | None = None


def run_demo(settings: Settings, params: TrainingParams, named: Mapping[str, Any]) -> None:
    """Run everything until Ctrl-C.

    Args:
        settings: where things are. An address of a registry in them is one to use, not to start.
        params: what the first training is about.
        named: options that were given; without a source among them later trainings start from what
            the champion was trained on.

    Raises:
        BellwetherError: a step or a server failed; what had been started is stopped.
    """
    began = time.monotonic()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    logs = settings.state_dir / "logs"
    with _only_one(settings.state_dir), ending_on_signals(), Supervisor(logs) as supervisor:
        try:
            os.environ.update(QUIET)
            own_registry = "registry_url" not in settings.model_fields_set
            asked = _Asked(params, named, own_registry, settings.inference_url)
            settings = _on_free_ports(settings, own_registry=own_registry)
            os.environ.update(settings.as_variables())
            _run(supervisor, settings, asked, began)
        except KeyboardInterrupt:
            say("\nStopping ...")
    say(
        "[green]✓[/] Everything is stopped. What was learned stays in "
        f"{settings.state_dir}; make clean-demo removes it."
    )


@dataclass(frozen=True)
class _Asked:
    """What the command was asked for.

    Attributes:
        params: what to train on.
        named: options that were given.
        own_registry: whether the demo starts an MLflow of its own.
        usual_url: where commands of the caller's shell ask for forecasts, unless told otherwise.
    """

    params: TrainingParams
    named: Mapping[str, Any]
    own_registry: bool
    usual_url: str


def _begun(
    supervisor: Supervisor, settings: Settings, asked: _Asked
) -> tuple[TrainingParams, datetime | None]:
    """With a registry that answers and features that are published: what to train on, until when."""
    known = not asked.own_registry or registry_file(settings).exists()
    registry = registry_to_use(supervisor, settings, own=asked.own_registry)
    if not known:  # there can be no champion, and MLflow starts meanwhile
        begun = _with_history_held_out(settings, asked.params)
        wait_for_registry(supervisor, settings, registry)
        return begun
    wait_for_registry(supervisor, settings, registry)
    params = _as_asked(settings, asked.params, asked.named)
    require_trainable(settings, params)
    return _with_history_held_out(settings, params)


def _as_asked(
    settings: Settings, params: TrainingParams, named: Mapping[str, Any]
) -> TrainingParams:
    """What to train on: as the champion was trained, with what was named instead.

    Raises:
        InvalidSettings: nothing says from which files the champion was trained.
    """
    champions = None
    if "source" not in named:
        champions = as_champion(settings, {**named, "who": params.who})
    return champions or params


def _run(supervisor: Supervisor, settings: Settings, asked: _Asked, began: float) -> None:
    params, held_out = _begun(supervisor, settings, asked)
    _sign(settings)
    run_training_visibly(settings, params, notes=False)
    server = _start(supervisor, "model-server", settings.inference_url, "serve")
    page_url = f"http://{settings.page_host}:{settings.page_port}{settings.page_root_path}"
    page = _start(supervisor, "page", page_url, "page")
    took = supervisor.wait_ready(server, "/v2/health/ready", READY_SECONDS)
    say(f"[green]✓[/] The model server is ready ({took:.1f} s)")
    if held_out:
        _replay(settings, params.dataset, held_out)
    drift = Due("drift", DRIFT_EVERY_SECONDS, _command("drift"), time.monotonic())
    jobs = [drift]
    if not held_out:
        refresh = _command("refresh", *_options(params))
        later = time.monotonic() + REFRESH_EVERY_SECONDS
        jobs.append(Due("refresh", REFRESH_EVERY_SECONDS, refresh, later))
    with _running(jobs, settings.state_dir / "logs") as turn:
        with console.status("Waiting for the page, and for the first drift report ..."):
            turn()
            supervisor.wait_ready(page, "/", READY_SECONDS)
            while drift.process is not None:
                turn()
                time.sleep(0.2)
        _print_addresses(
            settings, params.dataset, page_url, time.monotonic() - began, asked.usual_url
        )
        while True:
            supervisor.keep_up(lambda words: say(f"[yellow]{words}[/]"))
            turn()
            time.sleep(0.5)


def _sign(settings: Settings) -> None:
    """Have a key, and what an earlier release of the demo served signed by it."""
    if make_keys(settings.state_dir / FOLDER):
        say(f"[green]✓[/] A key that signs model versions is in {settings.state_dir / FOLDER}")
    why = "served by the demo before versions were signed"
    for version in adopt_what_is_served(settings, who="demo", why=why):
        say(f"[green]✓[/] Version {version} is adopted: {why}")


def _with_history_held_out(
    settings: Settings, params: TrainingParams
) -> tuple[TrainingParams, datetime | None]:
    """Publish features; for historical data, cut the training before the bars to be replayed."""
    refresh_features(settings, params)
    if not Lake(settings.lake).latest(params.dataset).replay:
        return params, None
    cut = held_out_from(settings, params.dataset)
    say(
        f"[dim]· Training on bars up to {cut:%Y-%m-%d}; the later ones are replayed, so that "
        "errors out of sample can be seen[/]"
    )
    return replace(params, train_until=cut.isoformat()), cut


def _replay(settings: Settings, dataset: str, since: datetime) -> None:
    with closing(RegistryReader(settings.registry_url, settings.registered_model)) as registry:
        versions = unaware_of(since, registry)
    began = time.monotonic()
    with console.status("Replaying forecasts ...") as status:
        count = replay_forecasts(
            settings, dataset, versions, since, lambda text: status.update(f"Replaying: {text}")
        )
    if count:
        say(
            f"[green]✓[/] {count} past forecasts asked of the server and logged "
            f"({time.monotonic() - began:.1f} s)"
        )


def _start(supervisor: Supervisor, name: str, url: str, command: str) -> Service:
    return supervisor.start(name, url, _command(command))


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bellwether", *arguments]


def _options(params: RefreshParams) -> list[str]:
    options = ["--source", params.source, "--interval", params.interval]
    options += ["--dataset", params.dataset]
    if path := params.source_options.get("path"):
        options += ["--files", str(path)]
    return options + (["--symbols", ",".join(params.symbols)] if params.symbols else [])


@contextmanager
def _running(jobs: list[Due], logs: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that starts jobs that are due and reaps those that have ended."""

    def turn() -> None:
        for job in jobs:
            if job.process is not None and (code := job.process.poll()) is not None:
                job.process = None
                job.next_at = time.monotonic() + job.every_seconds
                if code not in {0, EXIT_DRIFT}:
                    say(
                        f"[yellow]The {job.name} job ended with code {code}[/]: "
                        f"see {logs / job.name}.log"
                    )
            if job.process is None and time.monotonic() >= job.next_at:
                with (logs / f"{job.name}.log").open("ab") as log:
                    job.process = subprocess.Popen(  # noqa: S603 - the commands are our own
                        job.command, stdout=log, stderr=log, start_new_session=True
                    )

    try:
        yield turn
    finally:
        for job in jobs:
            if job.process is not None:
                job.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.process.wait(10)


def _print_addresses(
    settings: Settings, dataset: str, page_url: str, seconds: float, usual_url: str
) -> None:
    snapshot = Lake(settings.lake).latest(dataset)
    rows = [
        ("Page", page_url),
        ("Forecasts (V2 REST)", f"{settings.inference_url}/v2/models/{settings.registered_model}"),
        ("Forecasts (V2 gRPC)", f"127.0.0.1:{settings.grpc_port}"),
        ("Metrics", f"{settings.inference_url}/metrics"),
        ("MLflow", settings.registry_url),
        ("Drift metrics", str(settings.pushgateway_url or settings.batch_metrics_file)),
        ("Logs", str(settings.state_dir / "logs")),
    ]
    console.print(table("", ["what", "where"], rows))
    if snapshot.replay:
        say(
            f"[yellow]These are historical prices[/], {snapshot.first:%Y-%m-%d} to "
            f"{snapshot.last:%Y-%m-%d}, replayed as if the last bar had just closed."
        )
    if snapshot.synthetic:
        say("[yellow]These prices are SYNTHETIC.[/]")
    say(
        f"Ready after {seconds:.0f} s. Try: {_question(settings, usual_url)} {snapshot.symbols[0]} --days 10. "
        "[bold]Ctrl-C[/] stops everything."
    )


def _question(settings: Settings, usual_url: str) -> str:
    """The command that asks this demo from the caller's shell, wherever its server found a free port."""
    command = f"{_our_command()} forecast"
    if settings.inference_url == usual_url:
        return command
    return f"BELLWETHER_INFERENCE_URL={settings.inference_url} {command}"


def _our_command() -> str:
    """How this installation's command is called from here."""
    here = Path(sys.prefix) / "bin" / "bellwether"
    command = shutil.which("bellwether")
    if command and Path(command).resolve() == here.resolve():
        return "bellwether"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def _on_free_ports(settings: Settings, *, own_registry: bool) -> Settings:
    """The same settings with loopback addresses whose ports are free."""
    used: set[int] = set()

    def port(preferred: int) -> int:
        candidate = free_port(preferred)
        while candidate in used:
            candidate = free_port(candidate + 1)
        used.add(candidate)
        return candidate

    http, grpc = port(settings.http_port), port(settings.grpc_port or 8081)
    chosen = "versions_on_demand" in settings.model_fields_set
    on_demand = settings.versions_on_demand if chosen else VERSIONS_ON_DEMAND
    return settings.model_copy(
        update={
            "state_dir": settings.state_dir.resolve(),
            **({"registry_url": f"http://127.0.0.1:{port(5000)}"} if own_registry else {}),
            "http_port": http,
            "grpc_port": grpc,
            "inference_url": f"http://127.0.0.1:{http}",
            "page_port": port(settings.page_port),
            "versions_on_demand": on_demand,
        }
    )


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state folder for this demo alone.

    Raises:
        InvalidSettings: another demo holds it.
    """
    with (state_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidSettings(
                "one demo at a time may use a state folder",
                f"{state_dir} is in use by another one",
                "Stop it with Ctrl-C, or set BELLWETHER_STATE_DIR to another folder",
            ) from error
        yield
