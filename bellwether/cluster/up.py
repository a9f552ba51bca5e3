"""Brings Bellwether up on a cluster, step by step, and takes it down again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bellwether.cluster import login
from bellwether.cluster.helmfile import (
    CHARTS,
    Release,
    check_skips,
    given,
    install,
    installed_release,
    merged,
    platform_releases,
    single_values,
    uninstall,
    upgrade,
)
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import ask, follow, run
from bellwether.cluster.object_store import read_accounts
from bellwether.cluster.signing import BEGIN, settle
from bellwether.console import Step, Steps, say, show
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
        port: of this machine's loopback that leads to the gateway, None when it has an address of
            its own. With it third parties' pages and MLflow are routed, too, behind a login.
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
        _check_values(plan, releases)
    for release in releases:
        with steps.step(release.name) as step:
            settings = own_settings(plan, release)
            done = install(plan.installation.kubectl, release, step, plan.skip, settings)
            if release.name == "kserve" and step.outcome.endswith("installed"):
                _wait_for_webhook(plan, step)
            if release.name == "seaweedfs" and done not in {"skipped", "elsewhere"}:
                read_accounts(plan.installation.kubectl, step)
    with steps.step("bellwether") as step:
        _install_bellwether(plan, releases, step)
    if plan.training:
        _train(plan, steps)
    show_addresses(plan.installation, plan.port, password=True)
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


def wiring(
    releases: Sequence[Release], installed: Sequence[str], *, loopback: bool = False
) -> list[Path]:
    """Values by which charts/bellwether finds the releases of the platform that are installed.

    Args:
        releases: of the platform.
        installed: names of those that are there.
        loopback: whether the gateway is reached from this machine alone; their pages, and MLflow
            for reading, are then routed behind a login.
    """
    there = [release.name for release in releases if release.name in installed]
    values = CHARTS / "platform" / "values"
    files = [values / "bellwether" / f"{name}.yaml" for name in there]
    if loopback:
        files += [values / "loopback" / f"{name}.yaml" for name in (*there, "bellwether")]
    return [path for path in files if path.is_file()]


def show_addresses(installation: Installation, port: int | None, *, password: bool = False) -> None:
    """Print where everything is, how to log in, and a command that asks for a forecast.

    Args:
        installation: of charts/bellwether.
        port: of this machine that leads to the gateway; None when it has an address of its own.
        password: whether to print the password itself beside the command that reads it.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    from bellwether.cluster.addresses import addresses

    listing, command = addresses(installation, port)
    show(listing)
    if found := login.kept(installation):
        shown = f", password {found.password}" if password else ""
        say(f"\nThe gateway's login: user {found.user}{shown}", style="bold")
        say(f"To read the password: {login.how_to_read(installation)}")
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


def _check_values(plan: Plan, releases: Sequence[Release]) -> None:
    """Let charts/bellwether refuse its values before anything is installed.

    Raises:
        InvalidSettings: it does, in its own words.
        Unavailable: there is no helm.
    """
    from bellwether.cluster.preflight import judge_time_zones, refuse

    names = [r.name for r in releases if r.name not in plan.skip and "all" not in plan.skip]
    values = [*wiring(releases, names, loopback=plan.port is not None), *plan.values]
    refuse(judge_time_zones(merged(values), single_values(plan.settings)))
    here = plan.installation
    # Without it helm would render for the version that it was made for.
    version = here.kubectl.server_version()
    options = (*(("--kube-version", version) if version else ()), *given(values, plan.settings))
    rendered = ask(here.helm("template", here.release, str(CHART), *options))
    if rendered.code:
        # Helm writes where in the template; the chart's own words come after.
        words = rendered.err.strip().removeprefix("Error: ").rpartition("): ")[2]
        raise InvalidSettings(
            "charts/bellwether must accept its values",
            words,
            "Give others: bellwether cluster up -f FILE, --set NAME=VALUE, or --images REGISTRY",
        )


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
    values = [*wiring(releases, platform, loopback=plan.port is not None), *plan.values]
    known = merged(values)
    _require_credentials(plan, known)
    if secret := login.needed(known, plan.settings):
        login.ensure(here, secret)
    installed = installed_release(here)
    signing = settle(here, installed, known, plan.settings)
    settings = (*signing.settings, *plan.settings)
    upgrade(here, installed, (str(CHART),), step, values, settings)
    step.outcome = f"in {here.namespace}; signatures of versions: {signing.said}"
    if not signing.begun:
        say(f"  Versions here are of before they were signed, and are served as before. {BEGIN}")


def secrets_needed(values: Mapping[str, Any], settings: Sequence[str]) -> list[str]:
    """Names of the Secrets charts/bellwether will look for: its defaults, or what replaces them."""
    single = single_values(settings)
    needed = [
        single.get(f"{part}.existingSecret")
        or values.get(part, {}).get("existingSecret")
        or f"bellwether-{part.lower()}"
        for part in ("objectStore", "database")
    ]
    for part in ("objectStore", "database"):
        accounts = dict(values.get(part, {}).get("accounts", {}))
        prefix = f"{part}.accounts."
        accounts |= {k.removeprefix(prefix): v for k, v in single.items() if k.startswith(prefix)}
        needed += [name for name in accounts.values() if name]
    return needed


def _require_credentials(plan: Plan, values: Mapping[str, Any]) -> None:
    missing = [
        name
        for name in secrets_needed(values, plan.settings)
        if not plan.installation.exists("secret", name)
    ]
    if missing:
        raise InvalidSettings(
            "Bellwether needs the credentials of its object store and its database",
            f"no Secret {', '.join(missing)} in {plan.installation.namespace}",
            "Let foundation make them, or make them yourself; charts/platform/README.md says how",
        )


def _train(plan: Plan, steps: Steps) -> None:
    from bellwether.cluster.first_training import serves_already, train, wait_restored

    if not serves_already(plan.installation):
        with steps.step("what served before") as step:
            wait_restored(plan.installation, step)
            step.outcome = "restored" if serves_already(plan.installation) else "nothing restored"
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
