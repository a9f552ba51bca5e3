"""Which docker client builds, one with BuildKit before one without, and with which options."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from bellwether.cluster.images import RECIPES, build_images, client
from components.provenance import git_revision

PLUGIN = '[ "$1" = buildx ] && { echo buildx 0.30; exit; }; echo Docker version 28.2.2'
NO_PLUGIN = '[ "$1" = buildx ] && exit 1; echo Docker version 28.2.2, build e6534b4'
BUILT_IN = '[ "$1" = buildx ] && exit 1; echo Docker version 20.10.24+dfsg1, build 297e128'
OTHER = '[ "$1" = buildx ] && exit 1; echo podman version 4.3.1'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts clients on the PATH, one in a folder each, in this order; their paths."""

    def install(*scripts):
        paths = []
        for number, script in enumerate(scripts):
            path = tmp_path / str(number) / "docker"
            path.parent.mkdir()
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
            paths.append(str(path))
        folders = [str(tmp_path / "none"), *(str(Path(path).parent) for path in paths)]
        monkeypatch.setenv("PATH", os.pathsep.join(folders))
        return paths

    return install


def test_a_client_with_the_plugin_needs_nothing_more(installed):
    first, _ = installed(PLUGIN, BUILT_IN)
    assert client() == (first, {})


@pytest.mark.parametrize("first", [NO_PLUGIN, OTHER])
def test_a_client_without_buildkit_is_passed_over(installed, first):
    _, second = installed(first, BUILT_IN)
    assert client() == (second, {"DOCKER_BUILDKIT": "1"})


def test_where_none_has_buildkit_the_first_builds_as_it_can(installed):
    installed(NO_PLUGIN, OTHER)
    assert client() == ("docker", {})


def test_where_there_is_none_the_build_will_say_so(installed):
    installed()
    assert client() == ("docker", {})


def test_an_image_is_built_with_its_version_and_revision(installed, tmp_path):
    log = tmp_path / "words"
    build = f'[ "$1" = build ] && printf "%s\\n" "$@" >{log}'
    size = '[ "$1" = image ] && echo 7 && exit'
    installed(f"{build}; {size}; {PLUGIN}")
    (image,) = build_images(tag="t", recipes=RECIPES[:1])
    assert (image.image, image.size) == ("bellwether/pipeline:t", 7)
    revision = git_revision()
    assert {
        f"--build-arg=GIT_REVISION={revision}",
        f"--label=org.opencontainers.image.revision={revision}",
        f"--label=org.opencontainers.image.version={version('bellwether')}",
    } < set(log.read_text().split("\n"))
