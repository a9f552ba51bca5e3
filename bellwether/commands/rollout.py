"""`bellwether rollout`: brings model versions to users and back; see `serving.rollout`."""

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bellwether.cluster.rollouts import opened_rollout
from bellwether.commands import rollout_upkeep
from bellwether.commands.options import AsJson, Context, Namespace, Release, Timeout
from bellwether.commands.rollout_approve import approve
from bellwether.commands.rollout_quality import quality
from bellwether.commands.rollout_shadow import shadow
from bellwether.console import errors_in_words, plain, say, show, table
from forecasting.errors import EXIT_ROLLED_BACK, InvalidSettings, NotReady, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.settings import Settings
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
app.add_typer(rollout_upkeep.app)

Version = Annotated[str, typer.Argument(help="A version's number, champion or challenger.")]
DespiteVerdict = Annotated[
    str,
    typer.Option(
        help="Why it may have requests though its evaluation refused it; kept with your name."
    ),
]


@app.command()
def start(
    version: Version,
    weight: Annotated[
        int | None,
        typer.Option(help="Per cent, 0 to 100. Default: the first step, or 100 when alone."),
    ] = None,
    despite_verdict: DespiteVerdict = "",
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Run a version, wait until it is ready, then give it weight. Safe to repeat."""
    with opened_rollout(namespace, release, context, timeout, despite_verdict) as rollout:
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
    despite_verdict: DespiteVerdict = "",
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Start a version and give it all requests step by step, judged between the steps.

    A version that is worse loses all requests at once, and the exit code is 12.
    """
    with opened_rollout(namespace, release, context, timeout, despite_verdict) as rollout:
        from forecasting.rollout.rules import Policy
        from serving.rollout.due import nothing_to_do
        from serving.rollout.progress import Pace
        from serving.rollout.retirement import retire_old
        from serving.rollout.shadow import Shadowing

        if when_due and version != "champion":
            raise InvalidSettings("--when-due is for the champion", version, "Leave it out")
        if when_due:
            Shadowing(rollout.cluster, rollout.connections, rollout.log).end_overdue()
            _restore_first(rollout)
        if when_due and (why := nothing_to_do(rollout)):
            say(f"Nothing to do: {why}")
            retire_old(rollout)
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
            retire_old(rollout)
    if result.serving:
        say(f"Version {result.version} serves: {result.reason}", style="green")
        return
    say(f"Version {result.version} was rolled back: {result.reason}", style="bold red")
    raise typer.Exit(EXIT_ROLLED_BACK)


@app.command()
def weight(
    version: Version,
    percent: Annotated[int, typer.Argument(help="Its share of the requests, 0 to 100.")],
    despite_verdict: DespiteVerdict = "",
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give a version its share of the requests; the others keep theirs in proportion."""
    with opened_rollout(namespace, release, context, despite_verdict=despite_verdict) as rollout:
        rollout.weight(rollout.number(version), percent)


@app.command()
def promote(
    version: Version,
    despite_verdict: DespiteVerdict = "",
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give a version all requests, and wait until it is seen to answer them."""
    with opened_rollout(namespace, release, context, despite_verdict=despite_verdict) as rollout:
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
    with opened_rollout(namespace, release, context) as rollout:
        rollout.rollback(rollout.number(to) if to else None, why)


@app.command()
def delete(
    version: Version,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Delete a version that has no weight, with all that belongs to it."""
    with opened_rollout(namespace, release, context) as rollout:
        rollout.delete(rollout.number(version))


@app.command()
def sync(
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Make every live version run as the chart now says, one after the other."""
    with opened_rollout(namespace, release, context, timeout) as rollout:
        synced = rollout.sync()
    versions = ", ".join(f"version {version}" for version in synced)
    say(f"In step with the chart: {versions or 'nothing'}")


@app.command()
def adopt(
    version: Annotated[str, typer.Argument(help="A version's number.")],
    why: Annotated[str, typer.Option(help="The reason, for the record.")],
    who: Annotated[str, typer.Option(help="Your name, for the record. Default: the user's.")] = "",
    namespace: Annotated[
        str,
        typer.Option(
            help="Namespace of the release whose registry, ledger and key are used. Default: those "
            "of the settings, as on a laptop."
        ),
    ] = "",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Sign a version that was registered before versions were signed, or by a lost key.

    Its files are fetched and verified against its digest, then signed with BELLWETHER_SIGNING_KEY,
    else with the key in the release's Secret; the ledger keeps who did so and why.
    """
    import getpass

    from bellwether.adoption import adopt_version

    with errors_in_words(), _adoption_settings(namespace, release, context) as settings:
        adopted = adopt_version(settings, version, who=who or getpass.getuser(), why=why)
    say(f"Version {version} is signed by {adopted[:16]}", style="green")
    say("A version that runs gets its signature by: bellwether rollout sync")


app.command()(shadow)
app.command()(approve)
app.command()(quality)


@app.command()
def status(
    as_json: AsJson = False,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Show versions, weights set and observed, and whether the champion serves."""
    with opened_rollout(namespace, release, context) as rollout:
        current = rollout.status()
    if as_json:
        typer.echo(json.dumps(asdict(current), indent=2, default=plain))
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
    show(table("", columns, rows))
    say(
        "* held all requests last; observed: users' and other requests of the last 5 minutes", "dim"
    )
    say(f"Signatures: {status.signatures}")
    if status.changed:
        by = f" by {status.changed['who']}" if status.changed.get("who") else ""
        say(f"Last change {status.changed.get('at', '')}{by}: {status.changed.get('why', '')}")
    troubles = [f"version {v.version}: {v.trouble}" for v in status.versions if v.trouble]
    for remark in (*troubles, *status.remarks):
        say(f"Note: {remark}", style="yellow")


def _steps(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidSettings("--steps takes numbers", repr(text), "Give 10,25,50,100") from None


def _restore_first(rollout: "Rollout") -> None:
    """Before a scheduled rollout: else the champion would get everything at once on a new route."""
    from serving.rollout.restoration import restore

    try:
        say(restore(rollout))
    except (InvalidSettings, Unavailable) as error:
        # Users have a version, or none of those before is left: neither keeps the champion back.
        if not isinstance(error, NotReady) and not rollout.weights.route().traffic.serving:
            raise
        say(f"warning: the rollout history was of no use: {error.found or error.rule}")


@contextmanager
def _adoption_settings(namespace: str, release: str, context: str) -> "Iterator[Settings]":
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.cluster.registry_access import opened_settings
    from forecasting.settings import Settings

    if not namespace:
        if context or release != "bellwether":
            raise InvalidSettings(
                "a release is named with its namespace", "--namespace is missing", "Give it"
            )
        yield Settings()
        return
    with opened_settings(Installation(Kubectl(context), namespace, release)) as settings:
        yield settings
