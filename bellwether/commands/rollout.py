"""`bellwether rollout`: brings model versions to users and back; see `serving.rollout`."""

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bellwether.commands.options import AsJson, Context, Namespace, Release
from bellwether.console import console, errors_in_words, say, table
from forecasting.errors import EXIT_ROLLED_BACK, InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.rollout.rollout import Rollout
    from serving.rollout.status import Status

app = typer.Typer(
    name="rollout",
    help="Bring a model version to users step by step, and back in seconds (needs a cluster).\n\n"
    "The registry's champion is what the evidence chose; the weights on the route are what users "
    "get. [bold]status[/] shows both. Exit code 12: the rollout rolled back by itself; 5: "
    "somebody else changes the weights.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Timeout = Annotated[float, typer.Option(min=1, help="Seconds a version may take to get ready.")]
Version = Annotated[str, typer.Argument(help="A version's number, champion or challenger.")]


@app.command()
def start(
    version: Version,
    weight: Annotated[
        int | None,
        typer.Option(help="Per cent, 0 to 100. Default: the first step, or 100 when alone."),
    ] = None,
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Run a version, wait until it is ready, then give it weight. Safe to repeat."""
    with _rollout(namespace, release, context, timeout) as rollout:
        rollout.start(version, weight)


@app.command()
def run(
    version: Version,
    steps: Annotated[
        str, typer.Option(help="Weights, e.g. 10,25,50,100. Default: the chart's.")
    ] = "",
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Minutes a step. Default: the chart's.")
    ] = None,
    hold_minutes: Annotated[
        float, typer.Option(min=0, help="How much longer a step may be held when unclear.")
    ] = 10.0,
    min_requests: Annotated[
        int, typer.Option(min=1, help="Users' requests to the canary that are enough to judge it.")
    ] = 50,
    require_traffic: Annotated[
        bool,
        typer.Option(
            help="Hold while users ask too little; else the rollout's own requests decide."
        ),
    ] = False,
    when_due: Annotated[
        bool,
        typer.Option(
            "--when-due",
            help="For the champion: do nothing, and say so, when there is none, when it serves "
            "already, was rolled back, or somebody else rolls out.",
        ),
    ] = False,
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Start a version and give it all requests step by step, judged between the steps.

    A version that is worse loses all requests at once, and the exit code is 12.
    """
    with _rollout(namespace, release, context, timeout) as rollout:
        from forecasting.rollout.canary import Policy
        from serving.rollout.due import nothing_to_do
        from serving.rollout.progress import Pace

        if when_due and version != "champion":
            raise InvalidSettings("--when-due is for the champion", version, "Leave it out")
        if when_due and (why := nothing_to_do(rollout)):
            say(f"Nothing to do: {why}")
            return
        config = rollout.config
        pace = Pace(
            steps=_steps(steps) or config.steps,
            step_seconds=60 * (config.minutes_per_step if minutes is None else minutes),
            hold_seconds=60 * hold_minutes,
        )
        policy = Policy(min_requests=min_requests, require_traffic=require_traffic)
        result = rollout.run(version, pace, policy)
    if result.serving:
        say(f"Version {result.version} serves: {result.reason}", style="green")
        return
    say(f"Version {result.version} was rolled back: {result.reason}", style="bold red")
    raise typer.Exit(EXIT_ROLLED_BACK)


@app.command()
def weight(
    version: Version,
    percent: Annotated[int, typer.Argument(help="Its share of the requests, 0 to 100.")],
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give a version its share of the requests; the others keep theirs in proportion."""
    with _rollout(namespace, release, context) as rollout:
        rollout.weight(rollout.number(version), percent)


@app.command()
def promote(
    version: Version,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give a version all requests, and wait until it is seen to answer them."""
    with _rollout(namespace, release, context) as rollout:
        rollout.promote(rollout.number(version))


@app.command()
def rollback(
    to: Annotated[str, typer.Option(help="Version to go back to. Default: the one before.")] = "",
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give all requests back to the version before, in one write."""
    with _rollout(namespace, release, context) as rollout:
        rollout.rollback(rollout.number(to) if to else None, why)


@app.command()
def delete(
    version: Version,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Delete a version that has no weight, with all that belongs to it."""
    with _rollout(namespace, release, context) as rollout:
        rollout.delete(rollout.number(version))


@app.command()
def sync(
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Make every live version run as the chart now says, one after the other."""
    with _rollout(namespace, release, context, timeout) as rollout:
        synced = rollout.sync()
    versions = ", ".join(f"version {version}" for version in synced)
    say(f"In step with the chart: {versions or 'nothing'}")


@app.command()
def status(
    as_json: AsJson = False,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Show versions, weights set and observed, and whether the champion serves."""
    with _rollout(namespace, release, context) as rollout:
        current = rollout.status()
    if as_json:
        typer.echo(json.dumps(asdict(current), indent=2))
        return
    _show(current)


def _show(status: "Status") -> None:
    columns = ["version", "kind", "alias", "state", ">ready", ">weight", ">observed", "digest"]
    rows = [
        (
            f"{version.version}{' *' if version.version == status.stable else ''}",
            version.kind,
            version.alias,
            "[green]ready[/]" if version.settled else "[red]not ready[/]",
            f"{version.endpoints}/{version.replicas}",
            "-" if version.weight is None else f"{version.weight} %",
            "-" if version.share is None else f"{version.share:.1%}",
            version.digest[:12],
        )
        for version in status.versions
    ]
    console.print(table("", columns, rows))
    say(
        "* held all requests last; observed: users' and other requests of the last 5 minutes", "dim"
    )
    if status.changed:
        say(f"Last change {status.changed.get('at', '')}: {status.changed.get('why', '')}")
    troubles = [f"version {v.version}: {v.trouble}" for v in status.versions if v.trouble]
    for remark in (*troubles, *status.remarks):
        say(f"Note: {remark}", style="yellow")


def _steps(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidSettings("--steps takes numbers", repr(text), "Give 10,25,50,100") from None


@contextmanager
def _rollout(
    namespace: str, release: str, context: str, timeout: float = 300.0
) -> "Iterator[Rollout]":
    from bellwether.cluster.connections import Connections
    from forecasting.adapters.cluster.cluster import Cluster
    from serving.rollout.rollout import Rollout

    with errors_in_words():
        cluster = Cluster(namespace, release, context=context)
        try:
            with Connections(cluster) as connections:
                yield Rollout(cluster, connections, say, ready_seconds=timeout)
        finally:
            cluster.close()
