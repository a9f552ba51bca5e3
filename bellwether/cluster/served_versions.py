"""Says which versions are ready, why others are not, and whose symbols differ from the values'."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from bellwether.cluster.connections import Connections
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import holds
from bellwether.cluster.rollouts import opened_approvals
from forecasting.adapters.cluster.cluster import Cluster
from forecasting.errors import BellwetherError
from serving.rollout.approval import ApprovalGate
from serving.rollout.status import Status, read_status


def judge_models(services: Mapping[str, Any], status: Callable[[], Status]) -> str:
    """Say which versions are ready, and where other symbols are asked for than the champion knows.

    Args:
        services: the InferenceServices.
        status: where the rollout stands.

    Raises:
        BellwetherError: none is there, or one is not ready.
    """
    if not services["items"]:
        raise BellwetherError(
            "a model version must be served",
            "there is no InferenceService",
            "Run a training: bellwether cluster up does, or bellwether rollout start champion",
        )
    waiting = [item["metadata"]["name"] for item in services["items"] if not holds(item, "Ready")]
    if waiting:
        try:
            told = [f"v{one.version}: {one.trouble}" for one in status().versions if one.trouble]
        except BellwetherError as error:
            told = [f"why is not seen: {error.found or error.rule}"]
        raise BellwetherError(
            "every version must be ready",
            "; ".join([", ".join(waiting), *told]),
            "A version without features needs a refresh; bellwether rollout status tells more",
        )
    ready = f"{', '.join(item['metadata']['name'] for item in services['items'])} ready"
    return "; ".join([ready, *status().remarks])


def models(place: Installation) -> str:
    """`judge_models` of an installation.

    Raises:
        BellwetherError: as there.
    """
    services = place.objects("inferenceservices.serving.kserve.io")
    return judge_models(services, partial(_status, place))


def _status(place: Installation) -> Status:
    """Where the rollout stands, as `bellwether rollout status` shows it."""
    cluster = Cluster(place.namespace, place.release, context=place.kubectl.context)
    try:
        with ExitStack() as stack:
            connections = stack.enter_context(Connections(cluster))
            gate = ApprovalGate(connections.config, *opened_approvals(connections, stack))
            return read_status(cluster, connections, lambda _: None, gate)
    finally:
        cluster.close()
