"""Uses every connection the settings name, for real, and says what to do about what fails.

    python -m bellwether.doctor

is what `bellwether cluster doctor` runs in a pod, as a Job made from the drift CronJob, so that
addresses, credentials and network policies are those of a real run. It prints a JSON object a line.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final
from uuid import uuid4

import typer

from bellwether.console import console, table
from forecasting.errors import BellwetherError
from forecasting.settings import Settings

PACKAGES: Final = ("kfp", "kserve", "mlflow", "xgboost", "sklearn", "evidently", "gradio", "talib")
FREE_GB: Final = 2.0
PROBES: Final = "doctor"
"""Folder of the lake that is written to; the drift job's account, which a pod of ours has, may."""


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, whether it passed, and the detail: a fact, or the error with its remedy."""

    what: str
    ok: bool
    detail: str


def check(what: str, probe: Callable[[], str]) -> CheckResult:
    """Run one check; an error of whatever kind is its result."""
    try:
        return CheckResult(what, ok=True, detail=probe())
    except BellwetherError as error:
        return CheckResult(what, ok=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - a doctor reports whatever is wrong
        return CheckResult(what, ok=False, detail=f"{type(error).__name__}: {error}")


def report(results: Sequence[CheckResult]) -> None:
    """Print the results as a table.

    Raises:
        typer.Exit: with code 1, when a check failed.
    """
    rows = [(r.what, "[green]ok[/]" if r.ok else "[red]fails[/]", r.detail) for r in results]
    console.print(table("", ["what", "state", "detail"], rows))
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def examine(settings: Settings) -> list[CheckResult]:
    """Try everything in the order a forecast needs it; nothing is left behind."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("disk", _disk),
        ("lake: write and read", _lake),
        ("prediction log: connect", _log),
        ("MLflow: ask for the champion", _registry),
        ("model server: forecast", _server),
        ("page: open", _page),
        ("Pushgateway: reach", _pushgateway),
        *_where_used(settings),
    ]
    return [check(what, partial(probe, settings)) for what, probe in checks]


def examine_connections(settings: Settings) -> list[CheckResult]:
    """Try the connections alone, as a pod of a cluster has them."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("object store: write and read", _lake),
        ("database: connect", _log),
        ("MLflow: ask for the champion", _registry),
        ("gateway: forecast", _server),
        ("Pushgateway: reach", _pushgateway),
        *_where_used(settings),
    ]
    return [check(what, partial(probe, settings)) for what, probe in checks]


def _where_used(settings: Settings) -> list[tuple[str, Callable[[Settings], str]]]:
    """Connections that not every installation has."""
    return [("Kubeflow Pipelines: schedules", _workflows)] if settings.pipelines_url else []


def _python(_: Settings) -> str:
    version = sys.version.split()[0]
    if sys.version_info[:2] != (3, 11):
        raise BellwetherError("Bellwether needs Python 3.11", version, "Install it; make demo")
    return version


def _packages(_: Settings) -> str:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise BellwetherError(
            "every package of the lock must be there", f"missing {', '.join(missing)}", "make demo"
        )
    return f"{len(PACKAGES)} found"


def _disk(settings: Settings) -> str:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.state_dir).free / 1e9
    if free < FREE_GB:
        raise BellwetherError(
            f"the state folder needs {FREE_GB:.0f} GB free", f"{free:.1f} GB", "Free some space"
        )
    return f"{free:.0f} GB free in {settings.state_dir}"


def _lake(settings: Settings) -> str:
    from forecasting.adapters.lake.blobs import Blobs

    blobs = Blobs(settings.lake)
    name, data = f"{PROBES}/{uuid4().hex}", os.urandom(64)
    blobs.write(name, data)
    try:
        if blobs.read_if_there(name) != data:
            raise BellwetherError("the lake must give back what it was given", settings.lake)
    finally:
        blobs.remove(name)
    return settings.lake


def _log(settings: Settings) -> str:
    from forecasting.adapters.prediction_log.log import PredictionLog

    return f"{PredictionLog(settings.prediction_log).count():,} forecasts logged"


def _registry(settings: Settings) -> str:
    from forecasting.adapters.registry.reader import RegistryReader

    with closing(RegistryReader(settings.registry_url, settings.registered_model)) as registry:
        aliases = registry.aliases()
        if "champion" not in aliases:
            raise BellwetherError(
                "the registry needs a champion",
                f"{settings.registered_model} has none at {settings.registry_url}",
                "Train first: bellwether train",
            )
        record = registry.version(aliases["champion"])
    return f"champion is version {record.version} ({record.kind.replace('_', ' ')})"


def _server(settings: Settings) -> str:
    from forecasting.adapters.inference import InferenceClient

    with InferenceClient.of(settings) as client:
        symbols = client.symbols()
        answer = client.forecast(symbols[:1], horizon=1)[0]
    low, high = answer.quantiles[0][0], answer.quantiles[0][-1]
    return f"{answer.symbol} tomorrow: {low:,.2f} to {high:,.2f} (90 %)"


def _page(settings: Settings) -> str:
    from bellwether.demo.supervisor import answers

    url = f"http://127.0.0.1:{settings.page_port}/"
    if not answers(url):
        raise BellwetherError("the page must answer", url, "Start it: bellwether page")
    return url


def _pushgateway(settings: Settings) -> str:
    from bellwether.demo.supervisor import answers

    url = settings.pushgateway_url
    if not url:
        return f"none set; batch metrics go to {settings.batch_metrics_file}"
    if not answers(f"{url.rstrip('/')}/-/ready"):
        raise BellwetherError("the Pushgateway must answer", url, "Start it, or unset the variable")
    return url


def _workflows(settings: Settings) -> str:
    from forecasting.adapters.workflows.client import TRAINING, Workflows

    with Workflows.of(settings) as workflows:
        version = workflows.check()
        schedule = workflows.schedule_of(TRAINING)
    state = "" if schedule.enabled else ", suspended"
    return f"{version or 'version unknown'}; {TRAINING} at {schedule.cron!r}{state}"


def main() -> None:
    """Print the result of every connection's check, one JSON object a line."""
    for result in examine_connections(Settings()):
        print(json.dumps(asdict(result)), flush=True)  # noqa: T201 - the cluster doctor reads it


if __name__ == "__main__":
    main()
