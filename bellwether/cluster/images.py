"""Builds the three images, checks their sizes against their budgets (`make images`), and pushes them."""

import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from bellwether.console import Steps, console, errors_in_words, say, table
from components.provenance import git_revision
from forecasting.errors import InvalidSettings, Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = "images/Dockerfile"
BASE_IMAGE: Final = "python:3.11-slim-trixie"
LOCAL: Final = "localhost/bellwether"
"""Repository of images that are carried to nodes and never pulled: no registry can have this name but
the node itself."""
REPOSITORY: Final = re.compile(
    r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
BUILD_REMEDY: Final = "Is the engine up, the base image there, the package index within reach?"
PUSH_REMEDY: Final = "Is the registry there, and may you write to it? docker login REGISTRY"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Recipe:
    """One image.

    Attributes:
        name: of the image, below the repository; and of its target in the Dockerfile.
        budget: bytes it may take unpacked, base included.
        dominated_by: what takes the most, shown when it is over budget; "" where it never was.
    """

    name: str
    budget: int
    dominated_by: str = ""


# The largest first: it can be carried to a node while the others are built.
RECIPES: Final = (
    Recipe("pipeline", 1_200_000_000),
    # Plotly is 48 MB and pandas with numpy 88; the base has 145.
    Recipe("ui", 500_000_000, "pyarrow, which reads the prices: 107 MB"),
    Recipe("serving", 600_000_000),
)


@dataclass(frozen=True)
class Built:
    """An image that was built: its recipe, full name, unpacked bytes, and what building took."""

    recipe: Recipe
    image: str
    size: int
    seconds: float

    @property
    def over(self) -> int:
        """Bytes above the budget; negative when below."""
        return self.size - self.recipe.budget


def build_images(
    *,
    tag: str = "dev",
    base_image: str = BASE_IMAGE,
    repository: str = "bellwether",
    network: str = "host",
    recipes: Sequence[Recipe] = RECIPES,
    on_built: Callable[[Built], None] | None = None,
) -> tuple[Built, ...]:
    """Build the images from this checkout with docker.

    A package index other than the public one is taken from the variable PACKAGE_INDEX; proxies
    are docker's own business. Nothing of either stays in the images.

    Args:
        tag: of all of them.
        base_image: Python 3.11 on Debian, with pip; may end with @sha256:...
        repository: what stands before each image's name, e.g. registry.example.org/acme/bellwether.
        network: docker's network for the build; "host" reaches what this machine reaches.
        recipes: which ones, in this order.
        on_built: called with each image as it is ready.

    Raises:
        InvalidSettings: this is no checkout.
        Unavailable: docker is not there, or a build failed; its last lines are in the error.
    """
    if not (ROOT / DOCKERFILE).is_file():
        raise InvalidSettings(
            "images are built from a checkout", f"no {DOCKERFILE} in {ROOT}", "Clone it first"
        )
    revision = git_revision()
    options = (
        f"--build-arg=BASE_IMAGE={base_image}",
        f"--build-arg=GIT_REVISION={revision}",
        f"--build-arg=PACKAGE_INDEX={os.environ.get('PACKAGE_INDEX', '')}",
        f"--label=org.opencontainers.image.version={_version()}",
        f"--label=org.opencontainers.image.revision={revision}",
    )
    program, variables = client()
    built = []
    for recipe in recipes:
        image = f"{repository}/{recipe.name}:{tag}"
        start = time.monotonic()
        _docker(
            *(program, "build", "--network", network, "--file", DOCKERFILE),
            *("--target", recipe.name, "--tag", image, *options, "."),
            **variables,
        )
        seconds = time.monotonic() - start
        size = int(_docker(program, "image", "inspect", "--format", "{{.Size}}", image))
        built.append(Built(recipe, image, size, seconds))
        if on_built:
            on_built(built[-1])
    return tuple(built)


def check_registry(registry: str) -> str:
    """The registry, with a path below it or without; the place where images are pushed to.

    Raises:
        InvalidSettings: it names no host, so that docker would take a public registry.
    """
    found = registry.removesuffix("/")
    if not REPOSITORY.fullmatch(found):
        raise InvalidSettings(
            "a registry is a host, and may have a path",
            repr(registry),
            "Write e.g. registry.example.org/acme or localhost:5000, without https://",
        )
    return found


def push(image: str) -> str:
    """Push an image that was built; the digest by which the registry knows it, sha256:...

    Raises:
        Unavailable: docker is not there, the registry takes nothing from us, or gives no digest.
    """
    program, _ = client()
    _docker(program, "push", image, remedy=PUSH_REMEDY)
    digests = _docker(program, "image", "inspect", "--format", "{{json .RepoDigests}}", image)
    repository = image.rpartition(":")[0]
    for reference in json.loads(digests) or ():
        name, _, digest = str(reference).partition("@")
        if name == repository and DIGEST.fullmatch(digest):
            return digest
    raise Unavailable(
        "a pushed image must have a digest in its registry",
        f"{image}: {digests}",
        "Does the registry speak the OCI distribution API? Try docker push by hand",
    )


def images_settings(
    images: Sequence[str], digests: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """`--set` values that name images just built, e.g. localhost/bellwether/ui:dev.

    Args:
        images: with their registry and tag.
        digests: of those that a registry has, by image; they win over the tags.
    """
    settings = ["images.registry="]
    for image in images:
        repository, _, tag = image.rpartition(":")
        part = repository.rsplit("/", 1)[-1]
        settings += [f"images.{part}.repository={repository}", f"images.{part}.tag={tag}"]
        if digests:
            settings.append(f"images.{part}.digest={digests[image]}")
    return tuple(settings)


def publish_images(registry: str, steps: Steps) -> tuple[str, ...]:
    """Build the three images and push them; `--set` values that name them by digest.

    Args:
        registry: a host, with a path or without.
        steps: shows what is done.

    Raises:
        InvalidSettings: that is no registry, or this is no checkout.
        Unavailable: docker failed, or the registry.
    """
    repository = check_registry(registry)
    with steps.step("images") as step:
        step.doing("building three, some minutes the first time")
        built = build_images(
            repository=repository,
            tag=revision_tag(),
            on_built=lambda image: step.doing(f"{image.image} is built"),
        )
        images = [image.image for image in built]
        step.outcome = ", ".join(images)
    digests = {}
    with steps.step(f"images to {repository}") as step:
        for image in images:
            step.doing(f"pushing {image}")
            digests[image] = push(image)
        step.outcome = ", ".join(digest[:19] for digest in digests.values())
    return images_settings(images, digests)


def revision_tag() -> str:
    """A tag that names the commit: twelve digits of it, with "-changes" where files differ."""
    commit, _, changes = git_revision().partition("+")
    return f"{commit[:12]}-{changes}" if changes else commit[:12]


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def client() -> tuple[str, dict[str, str]]:
    """The docker client to build with, and the variables that make it use BuildKit.

    BuildKit works on several stages at a time and writes a file once a layer, where the classic
    builder copies every layer twice more. It is a plugin of clients, which some installations lack;
    before version 23 it was part of them, and off. Without it the classic builder does.
    """
    for folder in os.get_exec_path():
        if program := shutil.which("docker", path=folder):
            if _output(program, "buildx", "version"):
                return program, {}
            version = re.match(r"Docker version (\d+)", _output(program, "--version"))
            if version and int(version[1]) < 23:
                return program, {"DOCKER_BUILDKIT": "1"}
    return "docker", {}


def _output(*command: str) -> str:
    """What a command prints; "" where it fails."""
    done = subprocess.run(  # noqa: S603 - fixed words, no shell
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def _docker(program: str, *words: str, remedy: str = BUILD_REMEDY, **variables: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            [program, *words],
            cwd=ROOT,
            env={**variables, **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    except OSError as error:
        raise Unavailable(
            "building images needs docker", str(error), "Install it and start its engine"
        ) from error
    if done.returncode != 0:
        raise Unavailable(
            f"docker {words[0]} must succeed",
            "\n".join(done.stdout.strip().splitlines()[-15:]),
            remedy,
        )
    return done.stdout.strip()


def main(
    tag: Annotated[str, typer.Option(help="Tag of all images.")] = "dev",
    base_image: Annotated[str, typer.Option(help="Python 3.11 on Debian.")] = BASE_IMAGE,
    repository: Annotated[str, typer.Option(help="What stands before the names.")] = "bellwether",
) -> None:
    """Build the three images and print their sizes against their budgets."""
    with errors_in_words():
        built = build_images(
            tag=tag,
            base_image=base_image,
            repository=repository,
            on_built=lambda image: say(f"[green]✓[/] {image.image} ({image.seconds:.0f} s)"),
        )
    rows = [
        (
            image.image,
            f"{image.size / 1e6:,.0f}",
            f"{image.recipe.budget / 1e6:,.0f}",
            f"[red]over[/] {image.recipe.dominated_by}" if image.over > 0 else "[green]within[/]",
            f"{image.seconds:.0f}",
        )
        for image in built
    ]
    console.print(table("", ["image", ">MB unpacked", ">budget", "", ">seconds"], rows))


if __name__ == "__main__":
    typer.run(main)
