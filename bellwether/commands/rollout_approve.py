"""`bellwether rollout approve`: a person lets a version have its first requests."""

from typing import Annotated

import typer

from bellwether.cluster.rollouts import opened_rollout
from bellwether.commands.options import Context, Namespace, Release
from bellwether.console import say
from forecasting.errors import InvalidSettings


def approve(
    version: Annotated[str, typer.Argument(help="A version's number, champion or challenger.")],
    why: Annotated[str, typer.Option(help="The reason, for the record.")],
    who: Annotated[str, typer.Option(help="Your name, for the record. Default: the user's.")] = "",
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Let a version have its first requests, where the release waits for a person to say so.

    The ledger keeps who, when and why. It is for the files that the version has now. It takes a
    login to the ledger's database that may write approvals: the release's Secret, or
    BELLWETHER_PREDICTION_LOG_URL.
    """
    import getpass

    from serving.rollout import approval

    with opened_rollout(namespace, release, context, approves=True) as rollout:
        if rollout.approvals is None:
            raise InvalidSettings(
                "an approval is written to the ledger",
                f"its database is not known here: {rollout.approvals_unknown}",
                "Set BELLWETHER_PREDICTION_LOG_URL to the database",
            )
        given = approval.approve(
            rollout.connections.registry(),
            rollout.signed,
            rollout.approvals,
            rollout.number(version),
            who=who or getpass.getuser(),
            why=why,
        )
        required = rollout.config.approval_required
    say(
        f"Version {given.version} with digest {given.bundle_digest[:16]} is approved by {given.who}.",
        style="green",
    )
    if required:
        say(
            "The scheduled rollout brings the champion to users; "
            f"now: bellwether rollout run {given.version}"
        )
    else:
        say("This release does not ask for approvals (rollout.approval.required).", style="yellow")
