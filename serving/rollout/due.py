"""Whether a scheduled rollout has anything to do."""

from forecasting.adapters.registry.records import CHAMPION
from forecasting.rollout.traffic import ALL
from serving.rollout.approval import waiting_in_words
from serving.rollout.rollout import Rollout
from serving.rollout.weights import ROLLED_BACK


def nothing_to_do(rollout: Rollout) -> str:
    """Why the champion is not rolled out now, in words; "" when it is to be.

    A champion that was rolled back stays so until another is chosen; one that could not be judged
    is tried again. A rollout under way is left to whoever started it, and a version that a person
    has to approve is waited for.

    Args:
        rollout: of the release.

    Raises:
        RegistryUnavailable: the registry cannot be asked.
        BundleRejected: the champion has no digest, or no trusted key signed it.
        InvalidSettings, Unavailable: whether it is approved cannot be found out.
        ClusterUnavailable: the cluster cannot be asked.
    """
    registry = rollout.connections.registry()
    champion = registry.aliases().get(CHAMPION)
    if champion is None:
        return "no model was promoted yet"
    traffic = rollout.cluster.route(rollout.config).traffic
    version = int(champion)
    if traffic.weights.get(version, 0) == ALL:
        return f"version {version} serves everything"
    if registry.version(champion).tags.get("rollout") == ROLLED_BACK:
        return f"version {version} was rolled back; the next champion will be rolled out"
    if any(canary != version for canary in traffic.canaries):
        return f"another version is being rolled out: {traffic.in_words()}"
    if rollout.gate.concerns(traffic, version):
        digest = rollout.signed.digest(registry.version(champion))
        if rollout.gate.waits(traffic, version, digest):
            return waiting_in_words(version)
    return ""
