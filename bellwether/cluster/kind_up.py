"""From nothing to a forecast on this machine: kind cluster, images, then as on any cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from bellwether.cluster import kind
from bellwether.cluster.kubectl import Cluster
from bellwether.cluster.platform_list import CHARTS
from bellwether.cluster.preflight import look_at_machine, refuse
from bellwether.cluster.up import Plan, bring_up, check_plan, images_settings
from bellwether.steps import Steps

# Which profile of charts/bellwether goes with which of the platform.
PROFILES: Final = {"default": "kind", "small": "small"}


def bring_up_kind(
    profile: str,
    skip: tuple[str, ...],
    values: tuple[Path, ...],
    settings: tuple[str, ...],
    steps: Steps,
    *,
    training: bool,
) -> None:
    """Look, make the cluster, build and carry the images, bring everything up.

    Raises:
        BellwetherError: a step failed; the next run continues from there.
    """
    from bellwether.cluster.images import build_images

    port, _ = kind.gateway_ports()
    ours = CHARTS / "bellwether" / "profiles" / f"{PROFILES.get(profile, profile)}.yaml"
    plan = Plan(
        cluster=Cluster(f"kind-{kind.name()}"),
        namespace="bellwether",
        release="bellwether",
        profile=profile,
        skip=skip,
        values=(ours, *values),
        settings=settings,
        port=port,
        training=training,
    )
    check_plan(plan)
    with steps.step("this machine") as step:
        there = look_at_machine(profile, port, ours=False)
        if there[1].ok and kind.exists():
            there = look_at_machine(profile, port, ours=True)
        refuse(there)
        step.outcome = ", ".join(f"{finding.what} {finding.said}" for finding in there)
    with steps.step("kind cluster") as step:
        kind.create(step)
    with steps.step("images") as step:
        step.doing("building three, some minutes the first time")
        images = [
            one.image for one in build_images(told=lambda one: step.doing(f"{one.image} is built"))
        ]
        step.outcome = ", ".join(images)
    with steps.step("images into the node") as step:
        kind.load(images, step)
    bring_up(replace(plan, settings=(*images_settings(images), *settings)), steps)
