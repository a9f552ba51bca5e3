"""Makes and removes the kind cluster of kind-config.yaml, and carries images into it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bellwether.cluster.kubectl import ask, follow, run
from bellwether.steps import Step

CONFIG: Final = Path(__file__).parents[2] / "kind-config.yaml"


def configuration() -> dict[str, Any]:
    """What kind-config.yaml says."""
    import yaml

    read: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return read


def gateway_ports() -> tuple[int, int]:
    """The host port of the gateway, and the NodePort behind it."""
    mapping = configuration()["nodes"][0]["extraPortMappings"][0]
    return mapping["hostPort"], mapping["containerPort"]


def name() -> str:
    """The cluster's name; its context is kind-<name>."""
    return str(configuration()["name"])


def exists() -> bool:
    """Whether the cluster is there, running or not.

    Raises:
        Unavailable: kind failed.
    """
    return name() in run(["kind", "get", "clusters"]).split()


def create(step: Step) -> None:
    """Make the cluster, or take the one that is there; a half-made one is made anew.

    Raises:
        Unavailable: kind failed.
    """
    if exists():
        context = f"kind-{name()}"
        if ask(["kubectl", "--context", context, "get", "nodes"]).code == 0:
            step.outcome = "already there"
            return
        step.doing("removing what an interrupted run left")
        remove(step)
    follow(
        ["kind", "create", "cluster", "--config", str(CONFIG), "--wait", "5m"],
        lambda _: step.doing("fetching the node image, starting Kubernetes"),
    )
    step.outcome = "created"


def load(images: Sequence[str], step: Step) -> None:
    """Carry images from Docker into the node; those already in it are not carried again.

    Raises:
        Unavailable: kind failed.
    """
    follow(
        ["kind", "load", "docker-image", "--name", name(), *images],
        lambda _: step.doing("copying"),
    )
    step.outcome = ", ".join(images)


def remove(step: Step) -> None:
    """Remove the cluster with everything in it.

    Raises:
        Unavailable: kind failed.
    """
    if not exists():
        step.outcome = "not there"
        return
    follow(["kind", "delete", "cluster", "--name", name()], lambda _: step.doing("going"))
    step.outcome = "removed"
