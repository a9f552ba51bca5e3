"""Opens the rollout of a release: its cluster, its registry, its ledger and the history of its weights."""

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from bellwether.console import errors_in_words, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bellwether.cluster.connections import Connections
    from forecasting.adapters.registry.approvals import Approvals
    from serving.rollout.rollout import Rollout

JOB: Final = "rollout job"
"""Who the history says acted, where no person did."""


@contextmanager
def opened_rollout(
    namespace: str,
    release: str,
    context: str,
    timeout: float = 300.0,
    despite_verdict: str = "",
    log: "Callable[[str], None]" = say,
    *,
    approves: bool = False,
) -> "Iterator[Rollout]":
    """A release's rollout, for as long as its connections are open; errors end the command in words.

    In a pod the ledger's database is the settings'; elsewhere it is found when it is needed, and only
    the rollout history uses it then.

    Args:
        namespace: of the release.
        release: its name.
        context: of the kubeconfig; "" for the current one.
        timeout: seconds a version may take to get ready.
        despite_verdict: why a version may have requests that was refused; "" for no reason.
        log: told what goes on.
        approves: whether approvals are needed, whatever the release asks for.

    Raises:
        typer.Exit: with the error's exit code.
    """
    from getpass import getuser

    from bellwether.cluster.connections import Connections
    from forecasting.adapters.cluster.cluster import Cluster
    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.adapters.registry.ledger import Ledger
    from forecasting.adapters.registry.rollout_history import RolloutHistory
    from forecasting.settings import Settings
    from serving.rollout.rollout import Rollout

    with errors_in_words(), ExitStack() as opened:
        settings = Settings()
        known = bool(settings.prediction_log_url)
        ledger = Ledger(settings.prediction_log) if known else None
        predictions = PredictionLog(settings.prediction_log) if known else None
        cluster = Cluster(namespace, release, context=context)
        opened.callback(cluster.close)
        connections = opened.enter_context(Connections(cluster))
        history = RolloutHistory(settings.prediction_log if known else connections.ledger)
        for opened_by_us in (ledger, predictions, history):
            if opened_by_us is not None:
                opened.callback(opened_by_us.close)
        who = JOB if cluster.inside else getuser()
        why = f"{who}: {despite_verdict}" if despite_verdict else ""
        approvals, unknown = opened_approvals(connections, opened, asked=approves)
        yield Rollout(
            *(cluster, connections, log, timeout, ledger, predictions, why),
            approvals=approvals,
            approvals_unknown=unknown,
            history=history,
            who=who,
        )


def opened_approvals(
    connections: "Connections", opened: ExitStack, *, asked: bool = False
) -> "tuple[Approvals | None, str]":
    """The ledger's approvals where they are asked for; or why they are not known here.

    Args:
        connections: of the release, which says whether it asks for them.
        opened: closes them.
        asked: whether they are needed, whatever the release says.
    """
    from bellwether.cluster.connections import known_ledger
    from forecasting.adapters.registry.approvals import Approvals

    if not (asked or connections.config.approval_required):
        return None, ""
    url, unknown = known_ledger(connections)
    if not url:
        return None, unknown
    approvals = Approvals(url)
    opened.callback(approvals.close)
    return approvals, ""
