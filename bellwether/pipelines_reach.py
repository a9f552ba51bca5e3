"""The way from here to the Kubeflow Pipelines that a release trains on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bellwether.console import say
from bellwether.tools import Cluster
from forecasting.adapters.port_forward import PortForward
from forecasting.errors import InvalidSettings, Unavailable

if TYPE_CHECKING:
    from forecasting.adapters.workflows import Workflows


@dataclass(frozen=True)
class InstalledRelease:
    """A release of charts/bellwether.

    Attributes:
        cluster: where it is.
        namespace: of it.
        name: Helm's name for it.
    """

    cluster: Cluster
    namespace: str
    name: str

    def pipelines_url(self) -> str:
        """Where its settings say that Kubeflow Pipelines is; "" where Jobs train.

        Raises:
            Unavailable: the cluster cannot be asked, or has no such release.
        """
        place = ("--namespace", self.namespace)
        settings = self.cluster.objects("configmap", f"{self.name}-settings", *place)
        return str(settings["data"].get("BELLWETHER_PIPELINES_URL", ""))

    def reached_pipelines(self, stack: ExitStack) -> str:
        """An address that this machine can ask, as long as the stack is open.

        Raises:
            InvalidSettings: there is no such release, or Jobs train.
            Unavailable: kubectl cannot forward a port.
        """
        rule = "it must be known where Kubeflow Pipelines is"
        try:
            url = self.pipelines_url()
        except Unavailable as error:
            raise InvalidSettings(
                rule,
                f"BELLWETHER_PIPELINES_URL is not set, and no release tells: {error.found}",
                "Set it, or name the release: bellwether pipeline --context, --namespace, --release",
            ) from error
        if not url:
            raise InvalidSettings(
                rule,
                f"the trainings of release {self.name} in {self.namespace} are Jobs",
                f"kubectl -n {self.namespace} create job --from=cronjob/{self.name}-training now",
            )
        return reached(self.cluster, url, stack)


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
def opened(release: InstalledRelease, ready_within: float = 0.0) -> Iterator["Workflows"]:
    """Kubeflow Pipelines as the settings name it, else as the release does.

    Args:
        release: asked where no address is set.
        ready_within: seconds it may take to come up.

    Raises:
        InvalidSettings: nobody knows where it is.
        Unavailable: kubectl cannot forward a port.
        WorkflowsUnavailable: it is not there.
    """
    from forecasting.adapters.workflows import Workflows
    from forecasting.settings import Settings

    with ExitStack() as stack:
        settings = Settings()
        if not settings.pipelines_url:
            address = release.reached_pipelines(stack)
            settings = settings.model_copy(update={"pipelines_url": address})
        workflows = stack.enter_context(Workflows.of(settings))
        workflows.wait(ready_within, lambda found: say(f"[dim]waiting: {found}[/]"))
        yield workflows
