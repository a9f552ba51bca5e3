"""What the models tab says of a version that waits for a person, or was approved."""

from forecasting.adapters.registry.approvals import Approval
from gradio_app import formatting
from gradio_app.notices import Notice
from gradio_app.views.elements import notice


def waits(version: str, digest: str, *, may: bool) -> str:
    """A version without requests that nobody has approved.

    Args:
        version: its number.
        digest: of its bundle.
        may: whether the reader may approve it here.
    """
    how = (
        "Look at its report and verdict below, then approve it with a reason"
        if may
        else f"An operator approves it here, or: bellwether rollout approve {version} "
        '--why "REASON"'
    )
    return notice(
        Notice(
            f"Version {version} waits for a person's approval",
            "It is champion and gets no requests before somebody has approved it. An approval is "
            f"for the bundle {digest[:16]} alone.",
            how,
            "wait",
        )
    )


def approved(approval: Approval) -> str:
    """A version that was approved and has no requests yet."""
    return notice(
        Notice(
            f"Version {approval.version} is approved",
            f"{approval.who} approved it on {formatting.instant(approval.at)}: "
            f"{formatting.sentence(approval.why)}",
            "The scheduled rollout brings it to users step by step",
            "ok",
        )
    )
