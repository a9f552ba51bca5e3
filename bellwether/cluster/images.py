"""Builds the three images and checks their sizes against their budgets: `make images`."""

import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from bellwether.console import console, errors_in_words, say, table
from components.provenance import git_revision
from forecasting.errors import InvalidSettings, Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = "images/Dockerfile"
BASE_IMAGE: Final = "python:3.11-slim-bookworm"


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
        base_image: Python 3.11 on Debian, with pip.
        repository: what stands before each image's name, e.g. ghcr.io/acme/bellwether.
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


def _docker(program: str, *words: str, **variables: str) -> str:
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
            "Is the engine up, the base image there, the package index within reach?",
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
