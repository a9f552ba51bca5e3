"""Runs the whole platform on one machine: starts it in order and stops it cleanly."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final

from bellwether.console import console, say, table
from bellwether.demo.backfill import held_out_from, replay_forecasts, unaware_of
from bellwether.demo.supervisor import Service, Supervisor, free_port
from bellwether.jobs import refresh_features, run_training_visibly
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import EXIT_DRIFT, InvalidSettings, Unavailable
from forecasting.settings import Settings
from pipelines.local import RefreshParams, TrainingParams

DRIFT_EVERY_SECONDS: Final = 900.0
REFRESH_EVERY_SECONDS: Final = 3_600.0
REGISTRY_SECONDS: Final = 90.0
READY_SECONDS: Final = 60.0
QUIET: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runners cost seconds and are not used
    "DO_NOT_TRACK": "true",
}


@dataclass
class Due:
    """A batch job that runs beside the servers again and again."""

    name: str
    every_seconds: float
    command: list[str]
    next_at: float
    process: subprocess.Popen[bytes] | None = None


def run_demo(settings: Settings, params: TrainingParams) -> None:
    """Run everything until Ctrl-C.

    Raises:
        BellwetherError: a step or a server failed; what had been started is stopped.
    """
    began = time.monotonic()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    logs = settings.state_dir / "logs"
    with _only_one(settings.state_dir), _ending_on_signals(), Supervisor(logs) as supervisor:
        try:
            os.environ.update(QUIET)
            settings = _on_free_ports(settings)
            os.environ.update(settings.as_variables())
            _run(supervisor, settings, params, began)
        except KeyboardInterrupt:
            say("\nStopping ...")
    say(
        "[green]✓[/] Everything is stopped. What was learned stays in "
        f"{settings.state_dir}; make clean-demo removes it."
    )


def _run(supervisor: Supervisor, settings: Settings, params: TrainingParams, began: float) -> None:
    registry = _start_registry(supervisor, settings)
    params, held_out = _with_history_held_out(settings, params)
    supervisor.wait_ready(registry, "/health", REGISTRY_SECONDS)
    say(f"[green]✓[/] MLflow answers at {settings.registry_url}")
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
        _print_addresses(settings, params.dataset, page_url, time.monotonic() - began)
        while (ended := supervisor.first_ended()) is None:
            turn()
            time.sleep(0.5)
    raise _gone(ended)


def _start_registry(supervisor: Supervisor, settings: Settings) -> Service:
    home = (settings.state_dir / "mlflow").resolve()
    home.mkdir(parents=True, exist_ok=True)
    port = settings.registry_url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--backend-store-uri", f"sqlite:///{home / 'mlflow.sqlite'}"]
    command += ["--artifacts-destination", str(home / "artifacts"), "--workers", "1"]
    return supervisor.start("mlflow", settings.registry_url, command)


def _with_history_held_out(
    settings: Settings, params: TrainingParams
) -> tuple[TrainingParams, datetime | None]:
    """Publish features; for historical data, cut the training before the bars to be replayed."""
    from dataclasses import replace

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
        asked = replay_forecasts(
            settings, dataset, versions, since, lambda text: status.update(f"Replaying: {text}")
        )
    if asked:
        say(
            f"[green]✓[/] {asked} past forecasts asked of the server and logged "
            f"({time.monotonic() - began:.1f} s)"
        )


def _start(supervisor: Supervisor, name: str, url: str, command: str) -> Service:
    return supervisor.start(name, url, _command(command))


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bellwether", *words]


def _options(params: RefreshParams) -> list[str]:
    options = ["--source", params.source, "--interval", params.interval]
    options += ["--dataset", params.dataset]
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


def _print_addresses(settings: Settings, dataset: str, page_url: str, seconds: float) -> None:
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
        f"Ready after {seconds:.0f} s. Try: {_question(settings)} {snapshot.symbols[0]} --days 10. "
        "[bold]Ctrl-C[/] stops everything."
    )


def _question(settings: Settings) -> str:
    """The command that asks this demo, wherever its server found a free port."""
    command = f"{_our_command()} forecast"
    if settings.inference_url == Settings().inference_url:
        return command
    return f"BELLWETHER_INFERENCE_URL={settings.inference_url} {command}"


def _our_command() -> str:
    """How this installation's command is called from here."""
    here = Path(sys.prefix) / "bin" / "bellwether"
    found = shutil.which("bellwether")
    if found and Path(found).resolve() == here.resolve():
        return "bellwether"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def _gone(service: Service) -> Unavailable:
    return Unavailable(
        f"the {service.name} must stay up",
        f"it ended with code {service.process.returncode}; its log says:\n{service.tail()}\n",
        f"The whole log is {service.log}",
    )


def _on_free_ports(settings: Settings) -> Settings:
    """The same settings with loopback addresses whose ports are free."""
    taken: set[int] = set()

    def port(preferred: int) -> int:
        found = free_port(preferred)
        while found in taken:
            found = free_port(found + 1)
        taken.add(found)
        return found

    http, grpc = port(settings.http_port), port(settings.grpc_port or 8081)
    return settings.model_copy(
        update={
            "state_dir": settings.state_dir.resolve(),
            "registry_url": f"http://127.0.0.1:{port(5000)}",
            "http_port": http,
            "grpc_port": grpc,
            "inference_url": f"http://127.0.0.1:{http}",
            "page_port": port(settings.page_port),
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


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that nothing outlives the terminal."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupt) for s in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
