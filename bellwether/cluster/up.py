"""Brings Bellwether up on a cluster, step by step, and takes it down again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bellwether.cluster.helmfile import (
    CHARTS,
    Release,
    check_skips,
    install,
    installed_release,
    merged,
    platform_releases,
    uninstall,
    upgrade,
)
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import ask, follow, run
from bellwether.console import Step, Steps, console, say
from forecasting.errors import BellwetherError, InvalidSettings

CHART: Final = CHARTS / "bellwether"
# Releases that keep data, in volumes.
STATEFUL: Final = ("seaweedfs", "database", "kubeflow-pipelines")
# What a rollout makes: Helm does not know of it.
MADE_BY_ROLLOUT: Final = (
    "inferenceservices.serving.kserve.io",
    "poddisruptionbudgets",
    "horizontalpodautoscalers",
)
# Kubeflow Pipelines with an object store of its own, against charts/platform/values.
OWN_STORE: Final = (
    "objectStore.endpoint=",
    "objectStore.existingSecret=",
    "objectStore.accessKeyName=accesskey",
    "objectStore.secretKeyName=secretkey",
    "objectStore.embedded.enabled=true",
)


@dataclass(frozen=True)
class Plan:
    """What to bring up, where, and how.

    Args:
        installation: where charts/bellwether is, or is to be.
        profile: of the platform: default or small.
        skip: releases of the platform to leave out; "all" for every one.
        values: values files for charts/bellwether, the last one wins.
        settings: single values for it, as `helm --set` takes them.
        port: of this machine that leads to the gateway, None when it has an address of its own.
        training: whether to run a first training when nothing is served yet.
    """

    installation: Installation
    profile: str = "default"
    skip: tuple[str, ...] = ()
    values: tuple[Path, ...] = ()
    settings: tuple[str, ...] = ()
    port: int | None = None
    training: bool = True


def bring_up(plan: Plan, steps: Steps) -> None:
    """Platform, Bellwether, first training, addresses; what is there already is left alone.

    Raises:
        BellwetherError: a step failed; the next run continues from there.
    """
    releases = check_plan(plan)
    with steps.step("preflight") as step:
        step.outcome = _check_cluster(plan, releases)
    for release in releases:
        with steps.step(release.name) as step:
            settings = own_settings(plan, release)
            install(plan.installation.kubectl, release, step, plan.skip, settings)
            if release.name == "kserve" and step.outcome.endswith("installed"):
                _wait_for_webhook(plan, step)
    with steps.step("bellwether") as step:
        _install_bellwether(plan, releases, step)
    if plan.training:
        _train(plan, steps)
    show_addresses(plan.installation, plan.port)
    steps.total()


def take_down(plan: Plan, steps: Steps, *, platform: bool, data: bool) -> None:
    """Remove Bellwether; with `platform` the third parties, too; with `data` their data as well.

    Of the third parties those are removed that `bring_up` installed.

    Raises:
        BellwetherError: a step failed; the next run continues from there.
    """
    here = plan.installation
    with steps.step("model versions") as step:
        step.outcome = _remove_versions(here, step)
    with steps.step(here.release) as step:
        uninstall(here, step)
        jobs = ("--selector", f"app.kubernetes.io/instance={here.release}", "--ignore-not-found")
        run(here.command("delete", "jobs", *jobs))
    releases = platform_releases(plan.profile)
    if platform:
        for release in reversed(releases):
            with steps.step(release.name) as step:
                uninstall(Installation(here.kubectl, release.namespace, release.name), step)
    if data:
        stateful = {r.namespace for r in releases if r.name in STATEFUL}
        for namespace in sorted(stateful | {here.namespace}):
            with steps.step(f"namespace {namespace}") as step:
                _remove_namespace(here, namespace, step)
    steps.total()


def check_plan(plan: Plan) -> tuple[Release, ...]:
    """Read the list of releases and refuse options that make no sense, before anything is done.

    Raises:
        InvalidSettings: an option names what is not there.
    """
    releases = platform_releases(plan.profile)
    check_skips(plan.skip, releases)
    for path in plan.values:
        if not path.is_file():
            raise InvalidSettings(
                "a values file must exist", str(path), "Check the path given to -f"
            )
    return releases


def wiring(releases: Sequence[Release], installed: Sequence[str]) -> list[Path]:
    """Values by which charts/bellwether finds the releases of the platform that are installed."""
    folder = CHARTS / "platform" / "values" / "bellwether"
    files = (folder / f"{release.name}.yaml" for release in releases if release.name in installed)
    return [path for path in files if path.is_file()]


def show_addresses(installation: Installation, port: int | None) -> None:
    """Print where everything is, and a command that asks for a forecast.

    Args:
        installation: of charts/bellwether.
        port: of this machine that leads to the gateway; None when it has an address of its own.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    from bellwether.cluster.addresses import addresses

    listing, command = addresses(installation, port)
    console.print(listing)
    if command:
        say("\nAsk for a forecast:", style="bold")
        say(command)


def _remove_namespace(installation: Installation, namespace: str, step: Step) -> None:
    follow(
        installation.kubectl.command("delete", "namespace", namespace, "--ignore-not-found"),
        lambda _: step.doing("its objects are being deleted"),
    )
    step.outcome = "removed, with its volumes and credentials"


def _check_cluster(plan: Plan, releases: Sequence[Release]) -> str:
    from bellwether.cluster.preflight import check_cluster, refuse

    left_out = {r.name for r in releases} if "all" in plan.skip else set(plan.skip)
    volumes = any(name not in left_out for name in STATEFUL)
    results = check_cluster(plan.installation.kubectl, volumes=volumes)
    refuse(results)
    return ", ".join(f"{result.what} {result.detail}" for result in results)


def own_settings(plan: Plan, release: Release) -> tuple[str, ...]:
    """Values a release needs from this run: the namespace, and which other releases are left out."""
    namespace = plan.installation.namespace
    if release.name == "foundation":
        settings = [] if namespace == "bellwether" else [f"namespace={namespace}"]
        switches = {
            "seaweedfs": "objectStore.enabled",
            "database": "database.enabled",
            "kube-prometheus-stack": "grafana.enabled",
            "kubeflow-pipelines": "pipelines.enabled",
        }
        settings += [f"{switch}=false" for name, switch in switches.items() if name in plan.skip]
        return tuple(settings)
    if release.name == "kubeflow-pipelines":
        keys = ("networkPolicies.clients[0]", "networkPolicies.steps[0].namespace")
        clients = [f"{key}={namespace}" for key in keys] if namespace != "bellwether" else []
        # Without the platform's object store, it brings one of its own.
        store = OWN_STORE if "seaweedfs" in plan.skip else ()
        return (*clients, *store)
    return ()


def _wait_for_webhook(plan: Plan, step: Step) -> None:
    """cert-manager hands the webhook its certificate a moment after the controller is ready."""
    from bellwether.cluster.doctor import webhook_answers

    deadline = time.monotonic() + 120
    while not webhook_answers(plan.installation.kubectl, "default"):
        if time.monotonic() > deadline:
            raise BellwetherError(
                "KServe's webhook must answer within two minutes",
                "it does not",
                "kubectl -n kserve get pods,certificates; then run again",
            )
        step.doing("KServe's webhook gets its certificate")
        time.sleep(2)


def _install_bellwether(plan: Plan, releases: Sequence[Release], step: Step) -> None:
    here = plan.installation
    platform = [
        release.name
        for release in releases
        if installed_release(Installation(here.kubectl, release.namespace, release.name))
    ]
    values = [*wiring(releases, platform), *plan.values]
    _require_credentials(plan)
    upgrade(here, installed_release(here), (str(CHART),), step, values, plan.settings)
    step.outcome = f"in {here.namespace}"


def secrets_needed(values: Mapping[str, Any], settings: Sequence[str]) -> list[str]:
    """Names of the Secrets charts/bellwether will look for: its defaults, or what replaces them."""
    single = dict(setting.split("=", 1) for setting in settings if "=" in setting)
    return [
        single.get(f"{part}.existingSecret")
        or values.get(part, {}).get("existingSecret")
        or f"bellwether-{part.lower()}"
        for part in ("objectStore", "database")
    ]


def _require_credentials(plan: Plan) -> None:
    missing = [
        name
        for name in secrets_needed(merged(plan.values), plan.settings)
        if not plan.installation.exists("secret", name)
    ]
    if missing:
        raise InvalidSettings(
            "Bellwether needs the credentials of its object store and its database",
            f"no Secret {', '.join(missing)} in {plan.installation.namespace}",
            "Let foundation make them, or make them yourself; charts/platform/README.md says how",
        )


def _train(plan: Plan, steps: Steps) -> None:
    from bellwether.cluster.first_training import serves_already, train

    if serves_already(plan.installation):
        say("  A model is served already; the next training is the schedule's.", style="dim")
        return
    with steps.step("first training") as step:
        train(plan.installation, step)


def _remove_versions(installation: Installation, step: Step) -> str:
    removed = 0
    for kind in MADE_BY_ROLLOUT:
        selector = ("--selector", "bellwether.io/model-version")
        listing = ask(installation.command("get", kind, *selector, "--output", "name"))
        names = listing.out.split() if listing.code == 0 else []
        if names:
            follow(
                installation.command("delete", *names, "--ignore-not-found"),
                lambda _: step.doing("versions are being deleted"),
            )
        removed += len(names)
    return f"{removed} objects removed"


def images_settings(images: Sequence[str]) -> tuple[str, ...]:
    """`--set` values that name images just built, e.g. bellwether/ui:dev."""
    settings = []
    for image in images:
        repository, _, tag = image.rpartition(":")
        part = repository.rsplit("/", 1)[-1]
        settings += [f"images.{part}.repository={repository}", f"images.{part}.tag={tag}"]
    return tuple(settings)
