"""Says who is told of an installation's alerts, or that nobody is."""

from collections.abc import Mapping
from typing import Any

from bellwether.cluster.installation import Installation
from forecasting.errors import Unavailable


def judge_receivers(configs: Mapping[str, Any], alertmanagers: Mapping[str, Any]) -> str:
    """Say who is told of alerts, or that nobody is. Not a fault: a trial installation has nobody to tell.

    Args:
        configs: the AlertmanagerConfigs of the release's namespace.
        alertmanagers: of the whole cluster.
    """
    kinds = ("emailConfigs", "slackConfigs", "webhookConfigs")
    told = [
        kind.removesuffix("Configs")
        for item in configs["items"]
        for receiver in item["spec"].get("receivers", ())
        for kind in kinds
        if receiver.get(kind)
    ]
    if not alertmanagers["items"]:
        return (
            "alerts go nowhere: the cluster has no Alertmanager (the small profile leaves it out)"
        )
    if not told:
        return (
            "alerts go nowhere, as far as can be seen: no AlertmanagerConfig in this namespace "
            "names a receiver. Set monitoring.receivers (e-mail, Slack or a webhook)"
        )
    return f"alerts go to {', '.join(told)}"


def receivers(place: Installation) -> str:
    """`judge_receivers` of an installation; what cannot be seen is said."""
    try:
        configs = place.objects("alertmanagerconfigs.monitoring.coreos.com")
        alertmanagers = place.kubectl.objects(
            "alertmanagers.monitoring.coreos.com", "--all-namespaces"
        )
    except Unavailable as error:
        return f"alerts go nowhere, as far as can be seen: {error.found or error.rule}"
    return judge_receivers(configs, alertmanagers)
