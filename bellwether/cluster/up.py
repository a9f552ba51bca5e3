"""Brings Bellwether up on a cluster, step by step, and takes it down again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bellwether.cluster.installer import (
    check_skips,
    install,
    installed_release,
    mend,
    uninstall,
    waiting_for,
)
from bellwether.cluster.kubectl import Cluster, ask, follow, run
from bellwether.cluster.platform_list import CHARTS, Release, merged, platform_releases
from bellwether.console import console, say
from bellwether.steps import Step, Steps
from forecasting.errors import BellwetherError, InvalidSettings

CHART: Final = CHARTS / "bellwether"
# Releases that keep data, in volumes.
KEEPERS: Final = ("seaweedfs", "database", "kubeflow-pipelines")
# What the rollout made: Helm does not know of it.
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
TIMEOUT: Final = "10m"


@dataclass(frozen=True)
class Plan:
    """What to bring up, where, and how.

    Args:
        cluster: which.
        namespace: of charts/bellwether.
        release: Helm's name for it.
        profile: of the platform: default or small.
        skip: releases of the platform to leave out; "all" for every one.
        values: values files for charts/bellwether, the last one wins.
        settings: single values for it, as `helm --set` takes them.
        port: of this machine that leads to the gateway, None when it has an address of its own.
        training: whether to run a first training when nothing is served yet.
    """

    cluster: Cluster
    namespace: str
    release: str
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
        step.outcome = _look(plan, releases)
    for release in releases:
        with steps.step(release.name) as step:
            install(plan.cluster, release, step, plan.skip, own_settings(plan, release))
            if release.name == "kserve" and step.outcome.endswith("installed"):
                _wait_for_webhook(plan, step)
    with steps.step("bellwether") as step:
        _install_ours(plan, releases, step)
    if plan.training:
        _train(plan, steps)
    show_addresses(plan)
    steps.total()


def take_down(plan: Plan, steps: Steps, *, platform: bool, data: bool) -> None:
    """Remove ours; with `platform` the third parties we installed; with `data` what they kept.

    Raises:
        BellwetherError: a step failed; the next run continues from there.
    """
    place = ("--namespace", plan.namespace)
    with steps.step("model versions") as step:
        step.outcome = _remove_versions(plan, step)
    with steps.step(plan.release) as step:
        uninstall(plan.cluster, plan.release, plan.namespace, step)
        jobs = ("--selector", f"app.kubernetes.io/instance={plan.release}", "--ignore-not-found")
        run(plan.cluster.kubectl("delete", "jobs", *place, *jobs))
    releases = platform_releases(plan.profile)
    if platform:
        for release in reversed(releases):
            with steps.step(release.name) as step:
                uninstall(plan.cluster, release.name, release.namespace, step)
    if data:
        ours = sorted({r.namespace for r in releases if r.name in KEEPERS} | {plan.namespace})
        for namespace in ours:
            with steps.step(f"namespace {namespace}") as step:
                _remove_namespace(plan, namespace, step)
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
    """Values by which charts/bellwether finds the releases that are ours."""
    folder = CHARTS / "platform" / "values" / "bellwether"
    files = (folder / f"{release.name}.yaml" for release in releases if release.name in installed)
    return [path for path in files if path.is_file()]


def show_addresses(plan: Plan) -> None:
    """Print where everything is, and a command that asks for a forecast.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    from bellwether.cluster.addresses import addresses

    shown, command = addresses(plan.cluster, plan.namespace, plan.port)
    console.print(shown)
    if command:
        say("\nAsk for a forecast:", style="bold")
        say(command)


def _remove_namespace(plan: Plan, namespace: str, step: Step) -> None:
    follow(
        plan.cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found"),
        lambda _: step.doing("its objects are going"),
    )
    step.outcome = "removed, with its volumes and credentials"


def _look(plan: Plan, releases: Sequence[Release]) -> str:
    from bellwether.cluster.preflight import look_at_cluster, refuse

    left_out = {r.name for r in releases} if "all" in plan.skip else set(plan.skip)
    findings = look_at_cluster(plan.cluster, volumes=any(name not in left_out for name in KEEPERS))
    refuse(findings)
    return ", ".join(f"{f.what} {f.said}" for f in findings)


def own_settings(plan: Plan, release: Release) -> tuple[str, ...]:
    """What a release has to know of this run: our namespace, and which of its neighbours are there."""
    if release.name == "foundation":
        settings = [] if plan.namespace == "bellwether" else [f"namespace={plan.namespace}"]
        switches = {
            "seaweedfs": "objectStore.enabled",
            "database": "database.enabled",
            "kube-prometheus-stack": "grafana.enabled",
            "kubeflow-pipelines": "pipelines.enabled",
        }
        settings += [f"{switch}=false" for name, switch in switches.items() if name in plan.skip]
        return tuple(settings)
    if release.name == "kubeflow-pipelines":
        steps = ("networkPolicies.clients[0]", "networkPolicies.steps[0].namespace")
        place = (
            [f"{key}={plan.namespace}" for key in steps] if plan.namespace != "bellwether" else []
        )
        # Without the store that is usually here, it brings one of its own.
        store = OWN_STORE if "seaweedfs" in plan.skip else ()
        return (*place, *store)
    return ()


def _wait_for_webhook(plan: Plan, step: Step) -> None:
    """cert-manager hands the webhook its certificate a moment after the controller is ready."""
    from bellwether.cluster.doctor import webhook_answers

    deadline = time.monotonic() + 120
    while not webhook_answers(plan.cluster, "default"):
        if time.monotonic() > deadline:
            raise BellwetherError(
                "KServe's webhook must answer within two minutes",
                "it does not",
                "kubectl -n kserve get pods,certificates; then run again",
            )
        step.doing("KServe's webhook gets its certificate")
        time.sleep(2)


def _install_ours(plan: Plan, releases: Sequence[Release], step: Step) -> None:
    ours = [
        release.name
        for release in releases
        if installed_release(plan.cluster, release.name, release.namespace)
    ]
    values = [*wiring(releases, ours), *plan.values]
    _must_have_credentials(plan)
    there = installed_release(plan.cluster, plan.release, plan.namespace)
    if there and there.status != "deployed":
        step.doing("mending what an interrupted run left")
        mend(plan.cluster, plan.release, plan.namespace, there)
    follow(
        plan.cluster.helm(
            *("upgrade", "--install", plan.release, str(CHART)),
            *("--namespace", plan.namespace, "--create-namespace", "--wait", "--timeout", TIMEOUT),
            *(part for path in values for part in ("--values", str(path))),
            *(part for setting in plan.settings for part in ("--set", setting)),
        ),
        lambda _: step.doing(waiting_for(plan.cluster, plan.namespace)),
    )
    step.outcome = f"in {plan.namespace}"


def secrets_needed(values: Mapping[str, Any], settings: Sequence[str]) -> list[str]:
    """Names of the Secrets charts/bellwether will look for: its defaults, or what replaces them."""
    given = dict(setting.split("=", 1) for setting in settings if "=" in setting)
    return [
        given.get(f"{part}.existingSecret")
        or values.get(part, {}).get("existingSecret")
        or f"bellwether-{part.lower()}"
        for part in ("objectStore", "database")
    ]


def _must_have_credentials(plan: Plan) -> None:
    place = ("--namespace", plan.namespace)
    missing = [
        name
        for name in secrets_needed(merged(plan.values), plan.settings)
        if not plan.cluster.there("secret", name, *place)
    ]
    if missing:
        raise InvalidSettings(
            "Bellwether needs the credentials of its object store and its database",
            f"no Secret {', '.join(missing)} in {plan.namespace}",
            "Let foundation make them, or make them yourself; charts/platform/README.md says how",
        )


def _train(plan: Plan, steps: Steps) -> None:
    from bellwether.cluster.first_training import serves_already, train

    if serves_already(plan.cluster, plan.namespace):
        say("  A model is served already; the next training is the schedule's.", style="dim")
        return
    with steps.step("first training") as step:
        train(plan.cluster, plan.namespace, plan.release, step)


def _remove_versions(plan: Plan, step: Step) -> str:
    removed = 0
    for kind in MADE_BY_ROLLOUT:
        place = ("--namespace", plan.namespace)
        chosen = ("--selector", "bellwether.io/model-version")
        listed = ask(plan.cluster.kubectl("get", kind, *place, *chosen, "--output", "name"))
        names = listed.out.split() if listed.code == 0 else []
        if names:
            follow(
                plan.cluster.kubectl("delete", *names, *place, "--ignore-not-found"),
                lambda _: step.doing("versions are going"),
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
