"""Makes and removes the kind cluster of kind-config.yaml, and brings everything up in it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bellwether.cluster.helmfile import CHARTS
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl, ask, follow, run
from bellwether.cluster.preflight import check_machine, refuse
from bellwether.cluster.up import Plan, bring_up, check_plan
from bellwether.console import Step, Steps

CONFIG: Final = Path(__file__).parents[2] / "kind-config.yaml"
# Which profile of charts/bellwether goes with which of the platform.
PROFILES: Final = {"default": "kind", "small": "small"}


def configuration() -> dict[str, Any]:
    """The content of kind-config.yaml."""
    import yaml

    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return content


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
    """Make the cluster unless it is there; one that does not answer is made anew.

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
    follow(["kind", "delete", "cluster", "--name", name()], lambda _: step.doing("deleting"))
    step.outcome = "removed"


def bring_up_kind(
    profile: str,
    skip: tuple[str, ...],
    values: tuple[Path, ...],
    settings: tuple[str, ...],
    steps: Steps,
    *,
    training: bool,
) -> None:
    """Check the machine, make the cluster, build and load the images, bring everything up.

    Raises:
        BellwetherError: a step failed; the next run continues from there.
    """
    from bellwether.cluster.images import LOCAL, build_images, images_settings

    port, _ = gateway_ports()
    profiled = CHARTS / "bellwether" / "profiles" / f"{PROFILES.get(profile, profile)}.yaml"
    plan = Plan(
        installation=Installation(Kubectl(f"kind-{name()}"), "bellwether", "bellwether"),
        profile=profile,
        skip=skip,
        values=(profiled, *values),
        settings=settings,
        port=port,
        training=training,
    )
    check_plan(plan)
    with steps.step("this machine") as step:
        results = check_machine(profile, port, own=False)
        if results[1].ok and exists():
            results = check_machine(profile, port, own=True)
        refuse(results)
        step.outcome = ", ".join(f"{result.what} {result.detail}" for result in results)
    with steps.step("kind cluster") as step:
        create(step)
    with steps.step("images") as step:
        step.doing("building three, some minutes the first time")
        built = build_images(
            repository=LOCAL, on_built=lambda image: step.doing(f"{image.image} is built")
        )
        images = [image.image for image in built]
        step.outcome = ", ".join(images)
    with steps.step("images into the node") as step:
        load(images, step)
    bring_up(replace(plan, settings=(*images_settings(images), *settings)), steps)
