"""`bellwether calibration`: renews served intervals by hand, shows calibrations, and takes one back."""

import json
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bellwether.commands.options import AsJson, Context, Release
from bellwether.console import console, errors_in_words, plain, say, show, stderr, table
from forecasting.errors import BundleRejected, InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.adapters.registry.calibrations import CalibrationRow, Calibrations
    from forecasting.settings import Settings

app = typer.Typer(
    name="calibration",
    help="Calibrations: how far the intervals of a version that is served are stretched since its "
    "training.\n\n"
    "Every training makes one for each version in use, and a refresh does when one is due "
    "(BELLWETHER_RECALIBRATION_DAYS). Servers take them up without a restart.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Where = Annotated[
    str,
    typer.Option(
        "--namespace",
        help="Namespace of the release whose ledger is used. Default: the settings', as on a laptop.",
    ),
]
Who = Annotated[str, typer.Option(help="Your name, for the record. Default: the user's.")]


@app.command()
def run(
    dataset: Annotated[str, typer.Option(help="Name in the lake. Default: the champion's.")] = "",
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "by hand",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Recalibrate every version in use by the newest prices in the lake, whether or not it is due.

    On a cluster a refresh does this: set settings.recalibrationDays to 0 to have it each time.
    """
    from getpass import getuser

    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.recalibration import recalibrate_versions
    from forecasting.adapters.registry.reader import RegistryReader
    from forecasting.settings import Settings

    with errors_in_words():
        settings = Settings()
        if not dataset:
            with RegistryReader(settings.registry_url, settings.registered_model) as registry:
                champion = registry.champion()
            dataset = champion.dataset if champion else "default"
        lake = Lake(settings.lake)
        told = (lambda _: None) if as_json else say
        with console.status("Recalibrating"):
            done, failures = recalibrate_versions(
                settings, lake, lake.latest(dataset), who=who or getuser(), why=why, tell=told
            )
        if as_json:
            typer.echo(json.dumps([asdict(one) for one in done], indent=2))
        if failures:
            raise failures[0]
        if not done:
            raise InvalidSettings(
                "a recalibration needs a version in use that reads the data set",
                f"none reads {dataset!r}",
                "Train first (bellwether train), or name another data set: --dataset",
            )


@app.command("list")
def list_all(
    version: Annotated[str, typer.Argument(help="A version's number. Default: all.")] = "",
    as_json: AsJson = False,
    namespace: Where = "",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Show calibrations, newest first, and which is in force."""
    from forecasting.adapters.registry.calibrations import Calibrations

    with errors_in_words(), _settings(namespace, release, context) as settings:
        model = settings.registered_model
        with closing(Calibrations(settings.prediction_log)) as calibrations:
            rows = calibrations.history(model, version)
            current = {of: _in_force(calibrations, model, of) for of in {r.version for r in rows}}
        described = [_described(row, current[row.version]) for row in rows]
    if as_json:
        typer.echo(json.dumps(described, indent=2, default=plain))
        return
    if not rows:
        say("No calibration yet: versions are served with the ones their bundles bring.")
        return
    columns = [
        "version",
        ">number",
        "in force",
        "prices until",
        ">width",
        "made (UTC)",
        "who",
        "why",
    ]
    show(table("Calibrations", columns, [_cells(one) for one in described]))


@app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="A version's number.")],
    to: Annotated[
        int,
        typer.Option(min=0, help="Number of an earlier calibration; 0: the one its bundle brings."),
    ],
    why: Annotated[str, typer.Option(help="The reason, for the record.")],
    who: Who = "",
    namespace: Where = "",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Take an earlier calibration back into force, until the next training or the next that is due."""
    from getpass import getuser

    from forecasting.adapters.registry.calibrations import Calibrations

    with errors_in_words(), _settings(namespace, release, context) as settings:
        if not why.strip():
            raise InvalidSettings("a rollback has a reason", "--why is empty", "Say why")
        with closing(Calibrations(settings.prediction_log)) as calibrations:
            calibrations.roll_back(
                settings.registered_model, version, to=to, who=who or getuser(), why=why
            )
    which = f"calibration {to}" if to else "its bundle's own calibration"
    say(f"Version {version} is served with {which} from the servers' next look on", style="green")


def _in_force(calibrations: "Calibrations", model: str, version: str) -> int:
    """Number of the calibration in force; 0 for the bundle's own, or where it is gone."""
    try:
        row = calibrations.current(model, version)
    except BundleRejected as error:
        stderr.print(str(error), soft_wrap=True)
        return 0
    return row.number if row is not None else 0


def _described(row: "CalibrationRow", in_force: int) -> dict[str, object]:
    """A row for people and machines; the width one bar ahead, over that of the bundle.

    One that is damaged is shown as such: this list is where to look for one to go back to.
    """
    import math

    made, fault = None, ""
    if row.restores is None:
        try:
            made = row.calibration()
        except BundleRejected as error:
            fault = str(error)
    return {
        "version": row.version,
        "number": row.number,
        "in_force": made is not None and row.number == in_force,
        "fault": fault,
        "restores": row.restores,
        "until": made.until if made else "",
        "width": math.exp(made.log_stretch[0]) if made else None,
        "at": row.at,
        "who": row.who,
        "why": row.why,
    }


def _cells(one: dict[str, object]) -> list[str]:
    width, restores = one["width"], one["restores"]
    state = "yes" if one["in_force"] else "damaged" if one["fault"] else ""
    return [
        str(one["version"]),
        str(one["number"]),
        state if restores is None else f"back to {restores}",
        str(one["until"])[:16].replace("T", " "),
        f"{width:.3f}" if isinstance(width, float) else "",
        f"{one['at']:%Y-%m-%d %H:%M}",
        str(one["who"]),
        str(one["why"]),
    ]


@contextmanager
def _settings(namespace: str, release: str, context: str) -> "Iterator[Settings]":
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.cluster.registry_access import ledger_settings
    from forecasting.settings import Settings

    if not namespace:
        if context or release != "bellwether":
            raise InvalidSettings(
                "a release is named with its namespace", "--namespace is missing", "Give it"
            )
        yield Settings()
        return
    with ledger_settings(Installation(Kubectl(context), namespace, release)) as settings:
        yield settings
