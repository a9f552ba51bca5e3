"""`bellwether rollout restore`, `retire` and `history`: what outlives a release, and what ends."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from bellwether.cluster.rollouts import opened_rollout
from bellwether.commands.options import AsJson, Context, Namespace, Release, Timeout
from bellwether.console import say, show, table

app = typer.Typer()


@app.command()
def restore(
    ready_within: Annotated[
        float,
        typer.Option(min=0, help="Seconds that registry and database may take to come up."),
    ] = 0.0,
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Give users back what served last, after a new installation over the same data.

    Does nothing where the route has weights. The version that held all requests is started again, if
    its digest and its signature still hold, and one to roll back to; a canary is not.
    """
    with opened_rollout(namespace, release, context, timeout) as rollout:
        from serving.rollout.restoration import restore_within

        done = restore_within(rollout, ready_within)
    say(f"{done[0].upper()}{done[1:]}")


@app.command()
def retire(
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Delete old versions by the chart's rule: rollout.keepVersions and rollout.keepDays.

    Never one that has requests or an alias, nor the one that a rollback would go to. Done after every
    completed rollout, too.
    """
    with opened_rollout(namespace, release, context) as rollout:
        from serving.rollout.retirement import retire_old

        ended = retire_old(rollout)
    versions = ", ".join(f"version {version}" for version in ended)
    say(f"Retired: {versions or 'nothing'}")


@app.command()
def history(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 20,
    as_json: AsJson = False,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Show who changed the weights, when and why: of this installation and of those before it."""
    with opened_rollout(namespace, release, context) as rollout:
        changes = (
            rollout.history.changes(rollout.config.model, last=last) if rollout.history else []
        )
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes], indent=2, default=str))
        return
    rows = [
        (
            f"{change.at:%Y-%m-%d %H:%M:%S}",
            change.who,
            change.traffic.in_words() or "nothing",
            change.why,
        )
        for change in changes
    ]
    show(table("", ["when (UTC)", "who", "requests go to", "why"], rows))
