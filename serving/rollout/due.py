"""Whether a scheduled rollout has anything to do."""

from forecasting.adapters.registry.reader import CHAMPION
from forecasting.rollout.traffic import ALL
from serving.rollout.rollout import Rollout


def nothing_to_do(rollout: Rollout) -> str:
    """Why the champion is not rolled out now, in words; "" when it is to be.

    A champion that was rolled back stays so until another is chosen, and a rollout under way is
    left to whoever started it.

    Args:
        rollout: of the release.

    Raises:
        RegistryUnavailable: the registry cannot be asked.
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
    if registry.version(champion).tags.get("rollout") == "rolled back":
        return f"version {version} was rolled back; the next champion will be rolled out"
    if any(canary != version for canary in traffic.canaries):
        return f"another version is being rolled out: {traffic.in_words()}"
    return ""
