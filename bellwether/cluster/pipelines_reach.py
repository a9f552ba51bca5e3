"""The way from here to the Kubeflow Pipelines that a release trains on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bellwether.cluster.installation import Place
from bellwether.cluster.kubectl import Cluster
from bellwether.console import say
from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.errors import InvalidSettings, Unavailable

if TYPE_CHECKING:
    from forecasting.adapters.workflows.client import Workflows


def pipelines_url(place: Place) -> str:
    """Where an installation's settings say that Kubeflow Pipelines is; "" where Jobs train.

    Raises:
        Unavailable: the cluster cannot be asked, or has no such release.
    """
    settings = place.get("configmap", f"{place.release}-settings")
    return str(settings["data"].get("BELLWETHER_PIPELINES_URL", ""))


def reached_pipelines(place: Place, stack: ExitStack) -> str:
    """An address that this machine can ask, as long as the stack is open.

    Raises:
        InvalidSettings: there is no such release, or Jobs train.
        Unavailable: kubectl cannot forward a port.
    """
    rule = "it must be known where Kubeflow Pipelines is"
    try:
        url = pipelines_url(place)
    except Unavailable as error:
        raise InvalidSettings(
            rule,
            f"BELLWETHER_PIPELINES_URL is not set, and no release tells: {error.found}",
            "Set it, or name the release: bellwether pipeline --context, --namespace, --release",
        ) from error
    if not url:
        raise InvalidSettings(
            rule,
            f"the trainings of release {place.release} in {place.namespace} are Jobs",
            f"kubectl -n {place.namespace} create job --from=cronjob/{place.release}-training now",
        )
    return reached(place.cluster, url, stack)


def reached(cluster: Cluster, url: str, stack: ExitStack) -> str:
    """An address this machine can ask: a forward to a Service of the cluster, or the address itself.

    Args:
        cluster: whose Service it may be.
        url: as pods write it.
        stack: ends the forward.

    Raises:
        Unavailable: kubectl cannot forward a port.
    """
    parts = urlsplit(url)
    name, _, rest = (parts.hostname or "").partition(".")
    if not rest.endswith(".svc.cluster.local"):
        return url
    namespace = rest.removesuffix(".svc.cluster.local")
    forward = PortForward(namespace, name, parts.port or 80, cluster.context)
    return stack.enter_context(forward).address()


@contextmanager
def opened(place: Place, ready_within: float = 0.0) -> Iterator["Workflows"]:
    """Kubeflow Pipelines as the settings name it, else as the release does.

    Args:
        place: the installation that is asked where no address is set.
        ready_within: seconds it may take to come up.

    Raises:
        InvalidSettings: nobody knows where it is.
        Unavailable: kubectl cannot forward a port.
        WorkflowsUnavailable: it is not there.
    """
    from forecasting.adapters.workflows.client import Workflows
    from forecasting.settings import Settings

    with ExitStack() as stack:
        settings = Settings()
        if not settings.pipelines_url:
            address = reached_pipelines(place, stack)
            settings = settings.model_copy(update={"pipelines_url": address})
        workflows = stack.enter_context(Workflows.of(settings))
        workflows.wait(ready_within, lambda found: say(f"[dim]waiting: {found}[/]"))
        yield workflows
