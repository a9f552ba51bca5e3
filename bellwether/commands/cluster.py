"""`bellwether cluster`: brings Bellwether up on Kubernetes, examines it and takes it down."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from bellwether.commands.options import Context, Namespace, Release
from bellwether.console import Steps, errors_in_words, say

app = typer.Typer(
    name="cluster",
    help="Bring Bellwether up on Kubernetes, look after it, take it down.\n\n"
    "Every command may be run again: what is there is left alone, what was interrupted goes on.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

EXIT_INTERRUPTED: Final = 130

Profile = Annotated[str, typer.Option(help="default, or small for a machine with 8 GB.")]
Skip = Annotated[
    list[str] | None,
    typer.Option(help="Leave out a release of charts/platform; may be repeated; all: every one."),
]
Values = Annotated[
    list[Path] | None,
    typer.Option("--values", "-f", help="Values file for charts/bellwether; may be repeated."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One value for charts/bellwether, as helm takes it; repeatable."),
]
Images = Annotated[
    str,
    typer.Option(
        metavar="REGISTRY",
        help="Build the images, push them to this registry (e.g. registry.example.org/acme), and "
        "install exactly these, by digest.",
    ),
]
Training = Annotated[bool, typer.Option(help="Run a first training when nothing is served yet.")]


@app.command()
def up(
    context: Context = "",
    namespace: Namespace = "bellwether",
    release: Release = "bellwether",
    profile: Profile = "default",
    skip: Skip = None,
    values: Values = None,
    settings: Settings = None,
    images: Images = "",
    training: Training = True,
) -> None:
    """Install the platform and Bellwether on an existing cluster, train, and print the addresses."""
    from bellwether.cluster.helmfile import CHARTS
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.cluster.up import Plan, bring_up, check_plan

    with _in_words():
        profiled = CHARTS / "bellwether" / "profiles" / f"{profile}.yaml"
        plan = Plan(
            installation=Installation(Kubectl(context), namespace, release),
            profile=profile,
            skip=tuple(skip or ()),
            values=(*([profiled] if profiled.is_file() else []), *(values or ())),
            settings=tuple(settings or ()),
            training=training,
        )
        steps = Steps()
        if images:
            from bellwether.cluster.images import publish_images

            check_plan(plan)
            pinned = publish_images(images, steps)
            plan = replace(plan, settings=(*pinned, *plan.settings))
        bring_up(plan, steps)


@app.command()
def kind_up(
    profile: Profile = "default",
    skip: Skip = None,
    values: Values = None,
    settings: Settings = None,
    training: Training = True,
) -> None:
    """Make a cluster on this machine with kind, build the images, and bring all of it up in it."""
    from bellwether.cluster.kind import bring_up_kind

    with _in_words():
        bring_up_kind(
            profile,
            tuple(skip or ()),
            tuple(values or ()),
            tuple(settings or ()),
            Steps(),
            training=training,
        )


@app.command()
def down(
    context: Context = "",
    namespace: Namespace = "bellwether",
    release: Release = "bellwether",
    platform: Annotated[
        bool, typer.Option("--platform", help="Remove the third parties we installed, too.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Remove volumes and credentials, too: for good.")
    ] = False,
) -> None:
    """Remove Bellwether from a cluster; its data and credentials stay, unless --data."""
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.cluster.up import Plan, take_down

    with _in_words():
        plan = Plan(Installation(Kubectl(context), namespace, release))
        take_down(plan, Steps(), platform=platform, data=data)


@app.command()
def kind_down() -> None:
    """Remove the kind cluster and everything in it."""
    from bellwether.cluster import kind

    with _in_words():
        steps = Steps()
        with steps.step(f"kind cluster {kind.name()}") as step:
            kind.remove(step)


@app.command()
def doctor(
    context: Context = "",
    namespace: Namespace = "bellwether",
    release: Release = "bellwether",
) -> None:
    """Use every connection of an installation for real; each that fails comes with its remedy."""
    from bellwether.cluster.doctor import examine_cluster
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.doctor import report

    with _in_words():
        with Steps().step("examination") as step:
            results = examine_cluster(Installation(Kubectl(context), namespace, release), step)
        report(results)


@app.command()
def addresses(
    context: Context = "",
    namespace: Namespace = "bellwether",
    port: Annotated[
        int, typer.Option(help="Port of this machine that leads to the gateway; 0: none.")
    ] = 0,
) -> None:
    """Print where everything that is routed can be reached, and how to log in."""
    from bellwether.cluster.installation import Installation
    from bellwether.cluster.kubectl import Kubectl
    from bellwether.cluster.up import show_addresses

    with _in_words():
        show_addresses(Installation(Kubectl(context), namespace, "bellwether"), port or None)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        with errors_in_words():
            yield
    except KeyboardInterrupt as error:
        say("Stopped. The same command continues from here.")
        raise typer.Exit(EXIT_INTERRUPTED) from error
