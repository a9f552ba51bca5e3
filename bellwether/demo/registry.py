"""MLflow for the demo, or alone: started on the state folder, or the one that the settings name."""

import os
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bellwether.console import say
from bellwether.demo.supervisor import Service, Supervisor, ending_on_signals, is_free
from forecasting.adapters.registry.server import MlflowServer
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings

REGISTRY_SECONDS: Final = 90.0
QUIET: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runners cost seconds and are not used
    "DO_NOT_TRACK": "true",
}


def run_registry(settings: Settings) -> None:
    """Run MLflow alone, on the state folder's database, until Ctrl-C.

    Raises:
        InvalidSettings: the registry's address is not of this machine, or something listens there.
        Unavailable: it does not start, or ends again and again.
    """
    host, port = registry_host_and_port(settings.registry_url)
    if host not in {"127.0.0.1", "localhost"} or not is_free(port):
        raise InvalidSettings(
            "a registry starts on a free port of this machine",
            settings.registry_url,
            "Set BELLWETHER_REGISTRY_URL, e.g. to http://127.0.0.1:5001",
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with ending_on_signals(), Supervisor(settings.state_dir / "logs") as supervisor:
        try:
            os.environ.update(QUIET)
            service = _start_registry(supervisor, settings)
            supervisor.wait_ready(service, "/health", REGISTRY_SECONDS)
            say(f"[green]✓[/] MLflow answers at {settings.registry_url}. Ctrl-C stops it.")
            while True:
                supervisor.keep_up(lambda words: say(f"[yellow]{words}[/]"))
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("\nMLflow is stopped.")


def registry_host_and_port(url: str) -> tuple[str, int]:
    """Host and port of the registry's address.

    Raises:
        InvalidSettings: it has none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise InvalidSettings(
            "the registry's address must have a host and a port",
            url,
            "Set BELLWETHER_REGISTRY_URL, e.g. to http://127.0.0.1:5000",
        )
    return host, port


def registry_to_use(supervisor: Supervisor, settings: Settings, *, own: bool) -> Service | None:
    """The demo's own MLflow, started; or None where the settings name one.

    Raises:
        RegistryUnavailable: the one that the settings name does not answer.
    """
    if own:
        return _start_registry(supervisor, settings)
    MlflowServer(settings.registry_url).check()
    return None


def wait_for_registry(supervisor: Supervisor, settings: Settings, registry: Service | None) -> None:
    """Wait for a registry that was started, and say which one is used.

    Raises:
        Unavailable: it does not answer in time.
    """
    if registry is not None:
        supervisor.wait_ready(registry, "/health", REGISTRY_SECONDS)
    said = f"[green]✓[/] MLflow answers at {settings.registry_url}"
    if registry is None:
        said += ": BELLWETHER_REGISTRY_URL names it, the demo neither starts nor stops it"
    say(said)


def _start_registry(supervisor: Supervisor, settings: Settings) -> Service:
    database = registry_file(settings)
    home = database.parent
    home.mkdir(parents=True, exist_ok=True)
    _, port = registry_host_and_port(settings.registry_url)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(home / "artifacts"), "--workers", "1"]
    return supervisor.start("mlflow", settings.registry_url, command)


def registry_file(settings: Settings) -> Path:
    """The database of the demo's own MLflow."""
    return settings.state_dir.resolve() / "mlflow" / "mlflow.sqlite"
