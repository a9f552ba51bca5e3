"""Where one Helm release is: context of the kubeconfig, namespace and name."""

from dataclasses import dataclass
from typing import Any

from bellwether.cluster.kubectl import Kubectl


@dataclass(frozen=True)
class Installation:
    """A Helm release, usually of charts/bellwether, and commands for its namespace.

    Attributes:
        kubectl: the cluster.
        namespace: of the release.
        release: Helm's name for it.
    """

    kubectl: Kubectl
    namespace: str
    release: str

    def command(self, *args: str) -> list[str]:
        """A kubectl command for the installation's namespace."""
        return self.kubectl.command(*args, "--namespace", self.namespace)

    def helm(self, *args: str) -> list[str]:
        """A helm command for the installation's namespace."""
        return self.kubectl.helm(*args, "--namespace", self.namespace)

    def objects(self, *args: str) -> dict[str, Any]:
        """What `kubectl get ... --output json` says.

        Raises:
            Unavailable: the cluster cannot be asked.
        """
        return self.kubectl.objects(*args, "--namespace", self.namespace)

    def exists(self, *args: str) -> bool:
        """Whether `kubectl get` finds this object.

        Raises:
            Unavailable: the cluster cannot be asked.
        """
        return self.kubectl.exists(*args, "--namespace", self.namespace)
