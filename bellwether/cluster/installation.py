"""Where an installation of charts/bellwether is."""

from dataclasses import dataclass
from typing import Any

from bellwether.cluster.kubectl import Cluster


@dataclass(frozen=True)
class Place:
    """Where an installation is: cluster, namespace, and the Helm release's name."""

    cluster: Cluster
    namespace: str
    release: str

    def get(self, *args: str) -> dict[str, Any]:
        """Objects of the installation's namespace.

        Raises:
            Unavailable: the cluster cannot be asked.
        """
        return self.cluster.objects(*args, "--namespace", self.namespace)
