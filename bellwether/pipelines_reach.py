"""The way from here to the Kubeflow Pipelines that a release trains on."""

from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from bellwether.tools import Cluster
from forecasting.adapters.port_forward import PortForward
from forecasting.errors import InvalidSettings, Unavailable


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
